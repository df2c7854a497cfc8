"""Predicted latency of measured kernels: the laws applied to the sizes of a kernel table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from costmodel.errors import UsageError
from costmodel.measurement.tables.kernels import KernelTable
from costmodel.roofline.constants import Constants
from costmodel.roofline.device_columns import DeviceColumns
from costmodel.roofline.laws.convolution import Convolution, algorithm_times
from costmodel.roofline.laws.gemm import Product
from costmodel.roofline.laws.launch import timed_alone
from costmodel.roofline.laws.library import batched_kernels, linear_kernels
from costmodel.roofline.laws.pointwise import elementwise_time, layer_norm_time, softmax_time
from costmodel.roofline.laws.power import (
    burst_clock,
    dense_flops_per_clock,
    flop_energy,
    sustained_clock,
)
from costmodel.roofline.laws.selection import Kernels, Offer, chosen_time

Array = np.ndarray
Sizes = dict[str, Array]
KernelLaw = Callable[[Sizes, DeviceColumns, Constants], Array]

SMALLEST = 0.01
"""Share of a table's rows, the least work first, that show the host's time per operator."""


def measured_dispatch(table: KernelTable) -> float:
    """Seconds of the host per operator: the median latency of the rows with the least work."""
    count = max(1, round(SMALLEST * len(table)))
    least = np.argsort(table.work, kind="stable")[:count]
    return float(np.median(table.latency[least]))


def predicted_latency(
    operator: str, sizes: Sizes, device: DeviceColumns, dispatch: float, constants: Constants
) -> Array:
    """Seconds of each row of one device when timed alone.

    Args:
        operator: name in the kernel tables.
        sizes: columns of the table.
        device: columns of one device, expanded to (1, 1).
        dispatch: seconds of the host per operator.
        constants: of the laws.

    Raises:
        UsageError: if there is no law for the operator.
    """
    if operator not in LAWS:
        raise UsageError(f"no kernel law for {operator!r}; known: {', '.join(LAWS)}")
    kernel = LAWS[operator](sizes, device, constants)
    share = constants.norm_start_share if operator == "ln" else constants.start_share
    latency: Array = timed_alone(kernel, np.asarray(dispatch), share, constants).reshape(-1)
    return latency


def _elementwise(inputs: int) -> KernelLaw:
    def law(sizes: Sizes, device: DeviceColumns, constants: Constants) -> Array:
        tensor = 4.0 * sizes["b"] * sizes["h"]
        return elementwise_time(inputs * tensor, tensor, device, constants)

    return law


def _clock(device: DeviceColumns, constants: Constants, issued: float) -> Array:
    per_clock = issued * dense_flops_per_clock(device)
    return sustained_clock(device, per_clock, flop_energy(device.year, constants), constants)


def _layer_norm(sizes: Sizes, device: DeviceColumns, constants: Constants) -> Array:
    return layer_norm_time(sizes["b"], sizes["h"], device, constants)


def _softmax(sizes: Sizes, device: DeviceColumns, constants: Constants) -> Array:
    return softmax_time(sizes["b"], sizes["h"], device, constants)


def _dense(
    time_at: Callable[[Array], Array], device: DeviceColumns, c: Constants, issued: float = 1.0
) -> Array:
    """Time of dense work that is run alone, at the clock that its length allows.

    `issued` is the share of clocks at which it issues multiply-adds: the fewer, the less power.
    """
    sustained = _clock(device, c, issued)
    rate = dense_flops_per_clock(device)
    busy = time_at(rate * sustained)
    return time_at(rate * burst_clock(sustained, device, busy, c))


def _product(sizes: Sizes, *, result_passes: float = 1.0, strided: bool = False) -> Product:
    return Product(
        batches=sizes["b"],
        rows=sizes["m"],
        columns=sizes["k"],
        contraction=sizes["n"],
        result_passes=result_passes,
        strided=strided,
    )


def _linear(sizes: Sizes, device: DeviceColumns, constants: Constants) -> Array:
    product = _product(sizes, result_passes=constants.bias_passes, strided=True)
    return _chosen(product, linear_kernels(device), device, constants)


def _batched(sizes: Sizes, device: DeviceColumns, constants: Constants) -> Array:
    return _chosen(_product(sizes), batched_kernels(device), device, constants)


def _chosen(product: Product, kernels: Kernels, device: DeviceColumns, c: Constants) -> Array:
    offers = [Offer(kernels, len(product.rows))]
    return _dense(lambda rate: chosen_time(product, offers, rate, device, c)[0], device, c)


def _convolution(sizes: Sizes, device: DeviceColumns, constants: Constants) -> Array:
    conv = Convolution.square(
        images=sizes["b"],
        channels=sizes["input_channel"],
        filters=sizes["output_channel"],
        kernel=sizes["kernel_size"],
        size=sizes["input_size"],
        stride=sizes["stride"],
        padding=sizes["padding"],
    )

    def fastest(rate: Array) -> Array:
        return np.asarray(algorithm_times(conv, rate, device, constants).min(axis=0))

    return _dense(fastest, device, constants, constants.implicit_rate)


LAWS: dict[str, KernelLaw] = {
    "add": _elementwise(2),
    "gelu": _elementwise(1),
    "relu": _elementwise(1),
    "softmax": _softmax,
    "ln": _layer_norm,
    "bmm": _batched,
    "linear": _linear,
    "conv": _convolution,
}
"""Laws by the operator's name in the tables."""
