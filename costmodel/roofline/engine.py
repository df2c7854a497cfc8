"""The engine: workload x device columns -> time, for all devices and batches at once.

With every law off this is the roofline (Williams, Waterman and Patterson, 2009):
attainable = min(peak, bandwidth x intensity), so an operator takes the longer of its compute time
and its memory time. Each law in `LAWS` adds one named physical effect and can be switched off.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

import numpy as np

from costmodel.errors import UnknownNameError
from costmodel.roofline.ceilings import Ceilings
from costmodel.roofline.constants import DEFAULT, Constants
from costmodel.roofline.device_columns import DeviceColumns
from costmodel.roofline.laws.cpu import CPU_LAWS, cpu_times
from costmodel.roofline.laws.gpu import gpu_times
from costmodel.roofline.operators import OperatorColumns
from costmodel.roofline.times import BOUNDS as BOUNDS
from costmodel.roofline.times import Times as Times

Array = np.ndarray

np.empty(31 << 20, np.uint8)
# The C library hands freed arrays back to the system and fetches them anew page by page, up to half
# of the engine's time, until a larger one was freed once: see M_MMAP_THRESHOLD in mallopt(3).

LAWS: dict[str, str] = {
    "overlap": "compute and memory time overlap only in part",
    "launch": "every operator starts after an overhead",
    "dram": "long streams reach a share of the DRAM bandwidth",
    "residency": "recently touched data comes from the shared cache",
    "passes": "copies, and reads in another order, go over their data more than once",
    "bias": "a convolution's bias is added by an operator of its own",
    "layout": "16-bit NCHW convolutions convert to channels-last and back",
    "tiles": "matrix products are padded to whole tiles and waves",
    "contraction": "a tile spends depth on filling its pipeline",
    "alignment": "16-bit products want sizes that are multiples of 8",
    "grouped": "grouped convolutions fill narrow products badly",
    "depthwise": "depthwise convolutions run on scalar lanes",
    "pooling": "and so does pooling",
    **CPU_LAWS,
    "attention": "attention off the fused path writes its scores",
    "gradients": "kernels of training: split weight gradients, channel blocks and further reads of "
    "norms, slower gradients of convolutions",
    "rows": "layer norms and long softmaxes wait for the reduction of each row",
    "starved": "kernels with one thread per pixel leave the device idle",
    "float32": "float32 products run on the tiles and algorithms that the library chooses",
    "power": "dense float32 work lowers the clock of boards with little power",
    "issue": "a load takes the slot of a multiply-add where a GPU has lanes for one at every clock",
}
"""The efficiency laws by name."""
ALL_LAWS = frozenset(LAWS)


def enabled_laws(without: Iterable[str] = ()) -> frozenset[str]:
    """All laws except some; `without=["all"]` leaves the plain roofline.

    Raises:
        UnknownNameError: for a law that does not exist.
    """
    dropped = set(without)
    if not dropped:
        return ALL_LAWS
    if "all" in dropped:
        return frozenset()
    for name in dropped:
        if name not in LAWS:
            raise UnknownNameError("law", name, LAWS, f"laws are {', '.join(LAWS)}, or all")
    return ALL_LAWS - dropped


def operator_times(
    operators: OperatorColumns,
    ceilings: Ceilings,
    devices: DeviceColumns,
    laws: frozenset[str] = ALL_LAWS,
    constants: Constants = DEFAULT,
) -> Times:
    """Time of every operator on every device.

    Args:
        operators: columns of the operators.
        ceilings: of the devices, made for `operators.dtypes`.
        devices: columns of the same devices.
        laws: names of the laws to apply.
        constants: of the laws.
    """
    if not operators.count:
        nothing = np.zeros((len(ceilings.targets), 1, 0))
        return Times(nothing, nothing, nothing, nothing, nothing)
    cpus = np.flatnonzero(devices.is_cpu)
    others = np.flatnonzero(~devices.is_cpu)
    if not cpus.size:
        return gpu_times(operators, ceilings, devices, laws, constants)
    if not others.size:
        return _cpu_times(operators, ceilings, devices, laws, constants)
    groups = [
        (some, times(operators, ceilings.take(some), devices.take(some), laws, constants))
        for some, times in ((cpus, _cpu_times), (others, gpu_times))
    ]

    def joined(name: str) -> Array:
        whole = np.empty((len(ceilings.targets), *groups[0][1].total.shape[1:]))
        for some, times in groups:
            whole[some] = getattr(times, name)
        return whole

    return Times(*(joined(f.name) for f in fields(Times)))


def _cpu_times(
    operators: OperatorColumns,
    ceilings: Ceilings,
    devices: DeviceColumns,
    laws: frozenset[str],
    constants: Constants,
) -> Times:
    own = cpu_times(operators, ceilings, devices, laws, constants)
    return Times(own.compute, own.memory, own.launch, np.zeros_like(own.total), own.total)
