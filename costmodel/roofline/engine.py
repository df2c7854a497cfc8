"""The engine: workload x device columns -> time, for all devices and batches at once.

With every law off this is the roofline (Williams, Waterman and Patterson, 2009):
attainable = min(peak, bandwidth x intensity), so an operator takes the longer of its compute time
and its memory time. Each law in `LAWS` adds one named physical effect and can be switched off.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from costmodel.errors import UnknownNameError
from costmodel.formulas.columns import CostColumns
from costmodel.graph import DTYPE_BYTES
from costmodel.roofline.ceilings import Ceilings
from costmodel.roofline.constants import DEFAULT, Constants
from costmodel.roofline.device_columns import DeviceColumns
from costmodel.roofline.laws.depthwise import depthwise_seconds, starved_seconds
from costmodel.roofline.laws.matrix import contraction_efficiency, tile_efficiency
from costmodel.roofline.laws.memory import hit_rate, seconds_per_byte
from costmodel.roofline.precision import Precision
from costmodel.roofline.workload import Workload

Array = np.ndarray

BOUNDS = ("compute", "memory", "launch")
"""What limits an operator, by code."""

MATRIX_KINDS = ("convolution", "grouped convolution", "matmul", "attention", "recurrent")
"""Kinds whose MACs run on the matrix engine where there is one."""

LAWS: dict[str, str] = {
    "overlap": "compute and memory time overlap only in part",
    "launch": "every operator starts after an overhead",
    "dram": "long streams reach a share of the DRAM bandwidth",
    "residency": "recently touched data comes from the shared cache",
    "passes": "norms, pooling, copies and strided reads go over their data more than once",
    "bias": "a convolution's bias is added by an operator of its own",
    "layout": "16-bit NCHW convolutions convert to channels-last and back",
    "tiles": "matrix products are padded to whole tiles and waves",
    "contraction": "a tile spends depth on filling its pipeline",
    "alignment": "16-bit products want sizes that are multiples of 8",
    "grouped": "grouped convolutions fill narrow products badly",
    "depthwise": "depthwise convolutions run on scalar lanes",
    "attention": "attention off the fused path writes its scores",
    "starved": "kernels with one thread per pixel leave the device idle",
}
"""The efficiency laws by name."""


@dataclass(frozen=True)
class Times:
    """Time of every row in seconds; arrays are (devices, batches, rows)."""

    compute: Array
    memory: Array
    launch: Array
    total: Array
    """All three joined, with their overlap."""

    @property
    def bound(self) -> Array:
        """Code into `BOUNDS` of the longest part."""
        parts = np.broadcast_arrays(self.compute, self.memory, self.launch)
        return np.argmax(np.stack(parts), 0)


def enabled_laws(without: Iterable[str] = ()) -> frozenset[str]:
    """All laws except some; `without=["all"]` leaves the plain roofline.

    Raises:
        UnknownNameError: for a law that does not exist.
    """
    dropped = set(without)
    if "all" in dropped:
        return frozenset()
    for name in dropped:
        if name not in LAWS:
            raise UnknownNameError("law", name, LAWS, f"laws are {', '.join(LAWS)}, or all")
    return frozenset(LAWS) - dropped


def compute_dtypes(workload: Workload, precision: Precision) -> tuple[str, ...]:
    """dtypes the rows compute in: (matrix dtype, storage dtype) come first, then others met."""
    others = {d for d in workload.dtypes if d != "float32" and d in DTYPE_BYTES}
    return tuple(dict.fromkeys((precision.matrix, precision.storage, *sorted(others))))


def operator_times(
    workload: Workload,
    ceilings: Ceilings,
    devices: DeviceColumns,
    batches: Array,
    precision: Precision,
    laws: frozenset[str] = frozenset(LAWS),
    constants: Constants = DEFAULT,
) -> Times:
    """Time of every distinct operator of a graph.

    Args:
        workload: the graph's rows.
        ceilings: made for `compute_dtypes(workload, precision)`.
        devices: columns of the same devices.
        batches: (batches,) sizes.
        precision: uniform policy applied to float32 tensors.
        laws: names of the laws to apply.
        constants: of the laws.
    """
    run = _Run(workload, ceilings, devices, batches, precision, laws, constants)
    compute, memory = run.compute(), run.memory()
    launch = np.broadcast_to(run.launch(), compute.shape)
    if "overlap" in laws:
        # The larger is taken out so that powers neither overflow nor vanish.
        larger = np.maximum(np.maximum(compute, memory), 1e-300)
        smaller = np.minimum(compute, memory)
        joined = larger * (1 + (smaller / larger) ** constants.overlap) ** (1 / constants.overlap)
    else:
        joined = np.maximum(compute, memory)
    return Times(compute, memory, launch, joined + launch)


class _Run:
    """One evaluation; every array is broadcast to (devices, batches, rows)."""

    def __init__(
        self,
        workload: Workload,
        ceilings: Ceilings,
        devices: DeviceColumns,
        batches: Array,
        precision: Precision,
        laws: frozenset[str],
        constants: Constants,
    ) -> None:
        self.workload, self.ceilings, self.constants = workload, ceilings, constants
        self.on = laws.__contains__
        self.scale = (batches / workload.graph.batch)[None, :, None]
        costs: CostColumns = workload.cost(batches, precision.storage)
        self.cost = costs.cost.map(lambda column: column[None])
        self.products = tuple(
            column[None]
            for column in (costs.batches, costs.rows, costs.columns, costs.contraction)
        )
        code = {name: i for i, name in enumerate(ceilings.dtypes)}
        stored = [precision.storage if d == "float32" else d for d in workload.dtypes]
        multiplied = [precision.matrix if d == "float32" else d for d in workload.dtypes]
        self.vector_rate = ceilings.vector_peak[:, [code[d] for d in stored]][:, None, :]
        self.matrix_rate = ceilings.matrix_peak[:, [code[d] for d in multiplied]][:, None, :]
        self.half = np.array([DTYPE_BYTES[d] == 2 for d in stored])

        def column(values: Array, unknown: float = 0.0) -> Array:
            return np.where(np.isnan(values), unknown, values)[:, None, None]

        self.gpu = devices.is_gpu[:, None, None]
        self.units, self.clock = column(devices.units, 1.0), column(devices.clock)
        self.lanes = column(devices.vector_lanes, 1.0)
        self.cache = column(devices.l2_capacity)
        dram = ceilings.bandwidth[:, None, None]
        self.dram = dram * (constants.dram_share if self.on("dram") else 1.0)
        assumed = constants.cache_share * self.units * self.clock * 64
        self.cache_bandwidth = np.where(self.gpu, assumed, column(devices.l2_bandwidth))
        self.conv = workload.is_kind("convolution")
        self.grouped = workload.is_kind("grouped convolution")
        self.depthwise = workload.is_kind("depthwise convolution")
        self.channels_last = workload.trait("channels_last")

    # ------------------------------------------------------------------ memory

    def _per_byte(self, distance: Array, chance: float = 1.0) -> Array:
        if not self.on("residency"):
            return np.asarray(1 / self.dram)
        hit = chance * hit_rate(distance, self.cache)
        return seconds_per_byte(hit, self.dram, self.cache_bandwidth)

    def memory(self) -> Array:
        """Time to move every row's bytes."""
        cost, constants, workload = self.cost, self.constants, self.workload
        data = cost.bytes_read - cost.weight_bytes
        reads: Array = np.zeros((1, 1, 1))
        for which in ("first", "second"):
            share, fixed, growing = workload.reuse(which)
            with np.errstate(invalid="ignore"):
                distance = fixed + np.where(growing != 0, growing * self.scale, 0.0)
            reads = reads + data * share * self._per_byte(distance)
        untracked = data * (1 - workload.reuse("first")[0] - workload.reuse("second")[0])
        reads = reads + np.maximum(untracked, 0) * self._per_byte(np.array(np.inf))
        whole_run = workload.traced_traffic[0] + workload.traced_traffic[1] * self.scale
        weights = cost.weight_bytes * self._per_byte(whole_run)
        written = cost.bytes_written
        writes = written * self._per_byte(2 * written, constants.write_residency)
        total: Array = reads + weights + writes
        if self.on("layout"):
            planar = self.half & ~self.channels_last & (self.conv | self.grouped)
            pointwise = workload.trait("taps") <= 1
            again = np.where(pointwise, constants.reorder_pointwise, constants.reorder_window)
            again = np.where(self.grouped, constants.reorder_grouped, again)
            total = total + np.where(self.gpu & planar, 2 * again * (reads + writes), 0.0)
        if self.on("bias"):
            biased = (self.conv | self.grouped) & workload.trait("bias")
            one_pass = 2 * written * self._per_byte(2 * written)
            total = total + np.where(self.gpu & biased, constants.bias_pass * one_pass, 0.0)
        if self.on("attention"):
            batches, rows, columns, _ = self.products
            scores = 4 * batches * rows * columns
            traffic = 4 * scores * self._per_byte(2 * scores)
            unfused = workload.trait("unfused")
            total = total + np.where(unfused, constants.score_traffic * traffic, 0.0)
        return total * self._passes() if self.on("passes") else total

    def _passes(self) -> Array:
        constants, workload = self.constants, self.workload
        factor: Array = np.ones(len(workload.kinds))
        for kind, extra in (
            ("normalization", constants.norm_pass),
            ("pooling", constants.pooling_pass),
            ("movement", constants.movement_pass),
        ):
            factor = factor + extra * workload.is_kind(kind)
        matrix = workload.is_kind(*MATRIX_KINDS, "depthwise convolution")
        return factor * (1 + constants.strided_pass * (workload.trait("strided") & ~matrix))

    # ----------------------------------------------------------------- compute

    def compute(self) -> Array:
        """Time of every row's arithmetic at what its engine reaches."""
        workload, constants = self.workload, self.constants
        matrix = workload.is_kind(*MATRIX_KINDS)
        rate = np.where(matrix, self.matrix_rate * self._efficiency(), self.vector_rate)
        time: Array = 2 * self.cost.macs / rate + self.cost.other_flops / self.vector_rate
        lane_rate = np.maximum(self.units * self.lanes * self.clock, 1.0)
        if self.on("depthwise"):
            taps = np.maximum(workload.trait("taps"), 1)
            square = workload.trait("kernel_is_square")
            outputs = self.cost.macs / taps
            scalar = depthwise_seconds(
                outputs, taps, square, self.channels_last, lane_rate, constants
            )
            time = np.where(self.gpu & self.depthwise, np.maximum(scalar, time), time)
        if self.on("starved"):
            bilinear = np.array(["upsample_bilinear" in t for t in workload.targets], dtype=bool)
            planes = workload.trait("planes") * self.scale
            walked = starved_seconds(
                planes, workload.trait("pixels"), self.units * 1024, np.maximum(self.clock, 1.0),
                constants,
            )  # fmt: skip
            starved = self.gpu & bilinear & ~self.channels_last
            time = np.where(starved, np.maximum(walked, time), time)
        return time

    def _efficiency(self) -> Array:
        """Share of the matrix peak that every row reaches, before memory is considered."""
        constants, workload = self.constants, self.workload
        batches, rows, columns, contraction = (np.maximum(p, 1) for p in self.products)
        share: Array = np.full((1, 1, len(workload.kinds)), 1.0)
        attention = workload.is_kind("attention")
        if self.on("contraction"):
            lost = np.where(attention, constants.attention_contraction, constants.contraction)
            share = share * constants.matrix_share * contraction / (contraction + lost)
        if self.on("tiles"):
            tiled = tile_efficiency(batches, rows, columns, self.units, constants.tile_edge)
            share = share * np.where(self.gpu & ~attention, tiled, 1.0)
        if self.on("alignment"):
            odd = self.half & ((columns % 8 != 0) | (contraction % 8 != 0)) & ~attention
            share = share / np.where(self.gpu & odd, 1 + constants.misaligned, 1.0)
        if self.on("grouped"):
            narrow = (
                constants.grouped_share
                * contraction_efficiency(contraction, constants.grouped_contraction)
                * contraction_efficiency(columns, constants.grouped_columns)
            )
            share = np.where(self.gpu & self.grouped, narrow, share)
        return np.maximum(share, 1e-9)

    def launch(self) -> Array:
        """Time before every row starts."""
        if not self.on("launch"):
            return np.zeros((1, 1, 1))
        known = self.ceilings.launch[:, None, None]
        return np.where(known > 0, known, self.constants.launch)
