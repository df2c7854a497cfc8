"""The engine: workload x device columns -> time, for all devices and batches at once.

With every law off this is the roofline (Williams, Waterman and Patterson, 2009):
attainable = min(peak, bandwidth x intensity), so an operator takes the longer of its compute time
and its memory time. Each law in `LAWS` adds one named physical effect and can be switched off.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

import numpy as np

from costmodel.errors import UnknownNameError
from costmodel.roofline.ceilings import Ceilings
from costmodel.roofline.constants import DEFAULT, Constants
from costmodel.roofline.device_columns import DeviceColumns
from costmodel.roofline.laws.backward import (
    channel_seconds,
    contraction_splits,
    gradient_cycles,
    partial_sum_bytes,
)
from costmodel.roofline.laws.bandwidth import stream_bandwidth
from costmodel.roofline.laws.cpu import CPU_LAWS, cpu_times
from costmodel.roofline.laws.depthwise import depthwise_seconds, starved_seconds
from costmodel.roofline.laws.float32 import convolution_seconds, product_seconds
from costmodel.roofline.laws.grouped import grouped_efficiency
from costmodel.roofline.laws.matrix import contraction_efficiency, tile_efficiency
from costmodel.roofline.laws.memory import hit_rate, seconds_per_byte
from costmodel.roofline.laws.pointwise import row_seconds
from costmodel.roofline.laws.power import flop_energy, sustained_clock
from costmodel.roofline.operators import OperatorColumns, take

Array = np.ndarray

BOUNDS = ("compute", "memory", "launch", "lanes")
"""What limits an operator, by code: arithmetic at its engine's peak; bytes; the start of the
operator; or scalar lanes, busy with index arithmetic and loads rather than with FLOPs."""

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
    **CPU_LAWS,
    "attention": "attention off the fused path writes its scores",
    "gradients": "kernels of training: split weight gradients, channel blocks and further reads of "
    "norms, slower gradients of convolutions",
    "rows": "layer norms and long softmaxes wait for the reduction of each row",
    "starved": "kernels with one thread per pixel leave the device idle",
    "float32": "float32 products run on the tiles and algorithms that the library chooses",
    "power": "dense float32 work lowers the clock of boards with little power",
}
"""The efficiency laws by name."""


@dataclass(frozen=True)
class Times:
    """Time of every row in seconds; arrays are (devices, batches, rows)."""

    compute: Array
    memory: Array
    launch: Array
    lanes: Array
    """Time on scalar lanes of kernels that have no other engine, else 0."""
    total: Array
    """All four joined, with their overlap."""

    @property
    def bound(self) -> Array:
        """Code into `BOUNDS` of the longest part."""
        parts = np.broadcast_arrays(self.compute, self.memory, self.launch, self.lanes)
        return np.asarray(np.argmax(np.stack(parts), 0))


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


def operator_times(
    operators: OperatorColumns,
    ceilings: Ceilings,
    devices: DeviceColumns,
    laws: frozenset[str] = frozenset(LAWS),
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
    cpus = devices.is_cpu
    if cpus.any():
        own = cpu_times(operators, ceilings.take(cpus), devices.take(cpus), laws, constants)
        times = Times(own.compute, own.memory, own.launch, np.zeros_like(own.total), own.total)
        if cpus.all():
            return times
        others = operator_times(
            operators, ceilings.take(~cpus), devices.take(~cpus), laws, constants
        )
        return _merged(others, times, cpus)
    run = _Run(operators, ceilings, devices, laws, constants)
    compute, memory, lanes = run.compute(), run.memory(), run.lanes_time()
    launch = np.broadcast_to(run.launch(), compute.shape)
    busy = np.maximum(compute, lanes)
    if "overlap" in laws:
        # The larger is taken out so that powers neither overflow nor vanish.
        larger = np.maximum(np.maximum(busy, memory), 1e-300)
        smaller = np.minimum(busy, memory)
        joined = larger * (1 + (smaller / larger) ** constants.overlap) ** (1 / constants.overlap)
    else:
        joined = np.maximum(busy, memory)
    kernels = run.float32_kernels()
    if kernels is not None:
        known, busy_more = np.isfinite(kernels), compute >= memory
        joined = np.where(known, kernels, joined)
        compute = np.where(known & busy_more, kernels, compute)
        memory = np.where(known & ~busy_more, kernels, memory)
    return Times(compute, memory, launch, lanes, joined + launch)


def _merged(first: Times, second: Times, chosen: Array) -> Times:
    """Times of devices that were evaluated apart: the second's where `chosen`."""

    def placed(one: Array, other: Array) -> Array:
        result = np.empty((len(chosen), *first.total.shape[1:]))
        result[~chosen], result[chosen] = one, other
        return result

    return Times(*(placed(getattr(first, f.name), getattr(second, f.name)) for f in fields(Times)))


class _Run:
    """One evaluation; device arrays are (devices, 1, 1) and meet (batches, rows) or (rows,)."""

    def __init__(
        self,
        operators: OperatorColumns,
        ceilings: Ceilings,
        devices: DeviceColumns,
        laws: frozenset[str],
        constants: Constants,
    ) -> None:
        self.ops, self.constants, self.on = operators, constants, laws.__contains__
        self.vector_rate = ceilings.vector_peak[:, operators.vector_code][:, None, :]
        self.matrix_rate = ceilings.matrix_peak[:, operators.matrix_code][:, None, :]

        def column(values: Array, unknown: float = 0.0) -> Array:
            return np.where(np.isnan(values), unknown, values)[:, None, None]

        self.gpu = devices.is_gpu[:, None, None]
        self.units, self.clock = column(devices.units, 1.0), column(devices.clock, 1e9)
        self.lanes, self.cache = column(devices.vector_lanes, 1.0), column(devices.l2_capacity)
        self.bandwidth = ceilings.bandwidth[:, None, None]
        self.columns = replace(devices.expand(2), dram_bandwidth=self.bandwidth)
        dram = self.bandwidth
        self.dram = stream_bandwidth(self.columns, constants) if self.on("dram") else dram
        assumed = constants.cache_share * self.units * self.clock * 64
        self.cache_bandwidth = np.where(self.gpu, assumed, column(devices.l2_bandwidth))
        known = ceilings.launch[:, None, None]
        default = np.where(operators.compiled, constants.compiled_launch, constants.launch)
        self.launch_time = np.where(known > 0, known, default)
        self.splits: Array = np.ones(1)
        if self.on("gradients") and operators.weight_gradient.any():
            split = contraction_splits(
                operators.batches, operators.rows, operators.columns, operators.contraction,
                self.units, constants,
            )  # fmt: skip
            self.splits = np.where(self.gpu & operators.weight_gradient, split, 1.0)

    def launch(self) -> Array:
        """Time before every operator starts."""
        return self.launch_time if self.on("launch") else np.zeros((1, 1, 1))

    # ------------------------------------------------------------------ memory

    def _per_byte(self, distance: Array, chance: float = 1.0) -> Array:
        """Seconds per byte for data last touched so many bytes ago."""
        if not self.on("residency"):
            return np.asarray(1 / self.dram)
        hit = chance * hit_rate(distance, self.cache)
        return seconds_per_byte(hit, self.dram, self.cache_bandwidth)

    def memory(self) -> Array:
        """Time to move every operator's bytes."""
        ops, constants = self.ops, self.constants
        written = ops.bytes_written
        reads = ops.data_read * (
            ops.first_share * self._per_byte(ops.first_distance)
            + ops.second_share * self._per_byte(ops.second_distance)
            + np.maximum(1 - ops.first_share - ops.second_share, 0) / self.dram
        )
        weights = ops.weight_bytes * self._per_byte(ops.whole_run)
        writes = written * self._per_byte(2 * written, constants.write_residency)
        total: Array = np.asarray(reads + weights + writes)
        if self.on("layout"):
            again = np.where(ops.taps <= 1, constants.reorder_pointwise, constants.reorder_window)
            again = np.where(ops.grouped, constants.reorder_grouped, again)
            if self.on("gradients"):
                again = np.where(ops.gradient, np.maximum(again, constants.reorder_gradient), again)
            planar = ops.half & ~ops.channels_last & (ops.convolution | ops.grouped)
            total = total + np.where(self.gpu & planar, 2 * again, 0.0) * (reads + writes)
        if self.on("bias"):
            biased = (ops.convolution | ops.grouped) & ops.bias
            one_pass = 2 * written * self._per_byte(2 * written)
            total = total + np.where(self.gpu & biased, constants.bias_pass, 0.0) * one_pass
        if self.on("passes"):
            total = total + constants.fused_reread * ops.reduces * reads
        if self.on("attention"):
            scores = 4 * ops.batches * ops.rows * ops.columns
            traffic = np.where(ops.unfused, constants.score_traffic * 4 * scores, 0.0)
            total = total + traffic * self._per_byte(2 * scores)
        if self.on("gradients"):
            partial = partial_sum_bytes(ops.batches, ops.rows, ops.columns, self.splits)
            total = total + partial * self._per_byte(partial)
            again = constants.norm_gradient_pass * ops.norm_gradient * ops.data_read
            total = total + again * self._per_byte(ops.data_read)
        if self.on("passes"):
            moved = ops.data_read + ops.weight_bytes + written
            total = total + self._further_passes() * moved * self._per_byte(moved)
        if self.on("gradients"):
            moved = (1 + constants.norm_gradient_pass * ops.norm_gradient) * ops.data_read + written
            blocks = channel_seconds(moved, ops.channel_blocks, self.clock, constants)
            total = np.where(self.gpu, np.maximum(total, blocks), total)
        return np.asarray(total)

    def _further_passes(self) -> Array:
        """How often an operator goes over its data again."""
        ops, constants = self.ops, self.constants
        factor: Array = (
            1
            + constants.norm_pass * ops.normalization
            + constants.pooling_pass * ops.pooling
            + constants.movement_pass * ops.reordering
        )
        strided = ops.strided & ~ops.matrix & ~ops.depthwise
        return np.asarray(factor * (1 + constants.strided_pass * strided) - 1)

    # ----------------------------------------------------------------- compute

    def compute(self) -> Array:
        """Time of every operator's arithmetic at what its engine reaches."""
        ops = self.ops
        rate = np.where(ops.matrix, self.matrix_rate * self._efficiency(), self.vector_rate)
        return np.asarray(2 * ops.macs / rate + ops.other_flops / self.vector_rate)

    def float32_kernels(self) -> Array | None:
        """Time of float32 products and convolutions on GPUs, NaN for all else; never below the
        roofline: what Winograd's algorithm saves beyond it is not counted on."""
        ops, constants, columns = self.ops, self.constants, self.columns
        float32 = np.array(ops.dtypes)[ops.matrix_code] == "float32"
        covered = (ops.convolution | ops.product) & float32
        lanes = (columns.is_gpu & np.isfinite(columns.vector_lanes))[:, 0, 0]
        if not self.on("float32") or not covered.any() or not lanes.any():
            return None
        device = columns.take(lanes)
        energy = flop_energy(device.year, constants)
        if not self.on("launch"):
            constants = replace(constants, kernel_latency=0.0)
        seconds = np.full((len(lanes), *np.atleast_2d(ops.macs).shape), np.nan)

        def held(boost_rate: Array) -> Array:
            """The rate of a unit at the clock that the board's power leaves to dense work."""
            if not self.on("power"):
                return boost_rate
            clock = sustained_clock(device, boost_rate / device.clock, energy)
            return np.asarray(boost_rate * np.nan_to_num(clock / device.clock, nan=1.0))

        rows = ops.convolution & ~ops.gradient & float32
        if rows.any():
            boost = self.vector_rate[lanes][..., rows][..., :1] / device.units
            seconds[np.ix_(lanes, np.arange(seconds.shape[1]), rows)] = convolution_seconds(
                take(ops, rows), held(boost), boost, device, constants
            )
        rows = (ops.product | (ops.convolution & ops.gradient)) & float32
        if rows.any():
            boost = self.matrix_rate[lanes][..., rows][..., :1] / device.units
            seconds[np.ix_(lanes, np.arange(seconds.shape[1]), rows)] = product_seconds(
                take(ops, rows), held(boost), device, constants
            )
        plain = 2 * ops.macs / self.matrix_rate + ops.other_flops / self.vector_rate
        bytes_ = ops.data_read + ops.weight_bytes + ops.bytes_written
        return np.asarray(np.maximum(seconds, np.maximum(plain, bytes_ / self.bandwidth)))

    def lanes_time(self) -> Array:
        """Time on scalar lanes of depthwise and starved kernels, 0 for all others."""
        ops, constants = self.ops, self.constants
        time: Array = np.zeros((1, 1, 1))
        if self.on("depthwise") and ops.depthwise.any():
            lane_rate = np.maximum(self.units * self.lanes * self.clock, 1.0)
            taps = np.maximum(ops.taps, 1)
            scalar = depthwise_seconds(
                ops.macs / taps, taps, ops.square, ops.channels_last, lane_rate, constants
            )
            if self.on("gradients"):
                scalar = scalar * gradient_cycles(ops.gradient, ops.weight_gradient, constants)
            time = time + np.where(self.gpu & ops.depthwise, scalar, 0.0)
        starved = ops.bilinear & ~ops.channels_last & ~ops.compiled
        if self.on("starved") and starved.any():
            walked = starved_seconds(
                ops.planes, ops.pixels, self.units * 1024, self.clock, constants
            )
            time = time + np.where(self.gpu & starved, walked, 0.0)
        rows = (ops.line_length > 0) & ~ops.compiled
        if self.on("rows") and rows.any():
            softmax = ~ops.normalization
            waited = row_seconds(ops.lines, ops.line_length, softmax, self.columns, constants)
            known = self.gpu & np.isfinite(waited)
            time = time + np.where(known & rows, waited, 0.0)
        return time

    def _efficiency(self) -> Array:
        """Share of the matrix peak that every operator reaches, before memory is considered."""
        ops, constants = self.ops, self.constants
        share: Array = np.ones(ops.count)
        if self.on("contraction"):
            lost = np.where(ops.attention, constants.attention_contraction, constants.contraction)
            endless = np.where(ops.attention, constants.attention_share, constants.matrix_share)
            share = endless * contraction_efficiency(ops.contraction, lost)
        if self.on("tiles"):
            tiled = tile_efficiency(
                ops.batches * self.splits, ops.rows, ops.columns, self.units, constants.tile_edge
            )
            share = share * np.where(self.gpu & ~ops.attention, tiled, 1.0)
        if self.on("alignment"):
            odd = ops.half & ((ops.columns % 8 != 0) | (ops.contraction % 8 != 0))
            slower = np.where(odd & ~ops.attention, 1 + constants.misaligned, 1.0)
            share = share / np.where(self.gpu, slower, 1.0)
        if self.on("grouped"):
            narrow = grouped_efficiency(
                ops.contraction, ops.columns, ops.channels_last & ops.half, constants
            )
            if self.on("gradients"):
                narrow = np.where(ops.gradient, narrow * constants.grouped_gradient_share, narrow)
            share = np.where(self.gpu & ops.grouped, narrow, share)
        return np.asarray(np.maximum(share, 1e-9))
