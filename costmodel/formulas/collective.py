"""Collective communication: what each device sends and receives over its link.

Volumes of the bandwidth-optimal ring algorithms. `bytes_written` is sent and `bytes_read` is
received by one device; e_x is the number of elements of the whole tensor.
"""

from __future__ import annotations

from costmodel.formulas.cost import Cost, S
from costmodel.formulas.registry import formula

_SOURCE = (
    "Thakur, Rabenseifner and Gropp, Optimization of collective communication operations in MPICH "
    "(2005); Patarasuk and Yuan, Bandwidth optimal all-reduce algorithms (2009)"
)


@formula("reduce_scatter", kind="communication", source=_SOURCE)
def reduce_scatter(e_x: S, devices: S, b_x: S) -> Cost:
    """Each device ends with the sum of one share of e_x elements."""
    passed = e_x * (devices - 1) / devices
    return Cost(other_flops=passed, bytes_read=passed * b_x, bytes_written=passed * b_x)


@formula("all_gather", kind="communication", source=_SOURCE)
def all_gather(e_x: S, devices: S, b_x: S) -> Cost:
    """Each device starts with one share of e_x elements and ends with all."""
    passed = e_x * (devices - 1) / devices
    return Cost(bytes_read=passed * b_x, bytes_written=passed * b_x)


@formula("all_reduce", kind="communication", source=_SOURCE)
def all_reduce(e_x: S, devices: S, b_x: S) -> Cost:
    """Each device ends with the sum of e_x elements: a reduce-scatter, then an all-gather."""
    values = {"e_x": e_x, "devices": devices, "b_x": b_x}
    return reduce_scatter.function(**values) + all_gather.function(**values)


@formula("all_to_all", kind="communication", source=_SOURCE)
def all_to_all(e_x: S, devices: S, b_x: S) -> Cost:
    """Each device holds e_x elements and keeps its own share of them, the others go out."""
    passed = e_x * (devices - 1) / devices
    return Cost(bytes_read=passed * b_x, bytes_written=passed * b_x)


@formula("broadcast", kind="communication", source=_SOURCE)
def broadcast(e_x: S, b_x: S) -> Cost:
    """e_x elements passed down a pipeline: all but the ends receive and send all of them."""
    return Cost(bytes_read=e_x * b_x, bytes_written=e_x * b_x)


@formula("send_receive", kind="communication", source="definition")
def send_receive(e_x: S, b_x: S) -> Cost:
    """e_x elements from one device to the next."""
    return Cost(bytes_read=e_x * b_x, bytes_written=e_x * b_x)
