"""GPUs, and every other device that is no CPU: the laws joined to the time of an operator.

Compute, memory and scalar lanes overlap in part; the start of an operator comes before them. Each
law looks at the rows it applies to and at no others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from costmodel.roofline.ceilings import Ceilings
from costmodel.roofline.constants import Constants
from costmodel.roofline.device_columns import DeviceColumns
from costmodel.roofline.laws.backward import (
    channel_seconds,
    contraction_splits,
    gradient_cycles,
    partial_sum_bytes,
)
from costmodel.roofline.laws.board import board
from costmodel.roofline.laws.depthwise import (
    depthwise_seconds,
    narrow_seconds,
    pooling_cycles,
    starved_seconds,
)
from costmodel.roofline.laws.float32 import convolution_seconds, product_seconds
from costmodel.roofline.laws.grouped import grouped_efficiency
from costmodel.roofline.laws.matrix import contraction_efficiency, tile_efficiency
from costmodel.roofline.laws.memory import hit_rate, seconds_per_byte
from costmodel.roofline.laws.overlap import p_norm
from costmodel.roofline.laws.pointwise import row_seconds
from costmodel.roofline.operators import OperatorColumns, select
from costmodel.roofline.times import Times

Array = np.ndarray

DIRECT_PIXELS = 256
"""Pixels of an image, two tiles of 128, from which a 16-bit 1x1 convolution of NCHW runs as a
product of its own for each image; smaller ones are converted to channels-last."""


def gpu_times(
    operators: OperatorColumns,
    ceilings: Ceilings,
    devices: DeviceColumns,
    laws: frozenset[str],
    constants: Constants,
) -> Times:
    """Time of every operator on every device; with no law it is the plain roofline.

    Args:
        operators: columns of the operators.
        ceilings: of the devices, made for `operators.dtypes`.
        devices: columns of the same devices.
        laws: names of the laws to apply.
        constants: of the laws.
    """
    run = _Run(operators, ceilings, devices, laws, constants)
    compute, memory, lanes = run.compute(), run.memory(), run.lanes_time()
    launch = run.launch()
    busy = np.maximum(compute, lanes)
    if "overlap" in laws:
        joined = p_norm(busy, memory, constants.overlap)
    else:
        joined = np.maximum(busy, memory)
    if (found := run.float32_kernels()) is not None:
        where, kernels = found
        known, busy, moving = np.isfinite(kernels), compute[where], memory[where]
        joined[where] = np.where(known, kernels, joined[where])
        compute[where] = np.where(known & (busy >= moving), kernels, busy)
        memory[where] = np.where(known & (busy < moving), kernels, moving)
    return Times(compute, memory, launch, lanes, joined + launch)


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
        self.board = known = board(devices, ceilings, laws, constants)
        self.gpu, self.units, self.clock, self.lanes = (
            known.gpu, known.units, known.clock, known.lanes,
        )  # fmt: skip
        self.cache, self.dram = known.cache, known.dram
        default = np.where(operators.compiled, constants.compiled_launch, constants.launch)
        self.launch_time = np.where(known.launch > 0, known.launch, default)
        self.shape = (len(ceilings.targets), *np.atleast_2d(operators.macs).shape)

    def _rows(self, chosen: Array) -> tuple[Array, OperatorColumns]:
        """Where a law applies, and the operators there: few, so that it looks at no others."""
        (rows,) = chosen.nonzero()
        return rows, select(self.ops, rows)

    def _splits(self, ops: OperatorColumns) -> Array:
        """Parts that the contraction of weight gradients is cut into, 1 for all others."""
        if not self.on("gradients") or not ops.weight_gradient.any():
            return np.ones(1)
        found = contraction_splits(
            ops.batches, ops.rows, ops.columns, ops.contraction, self.units, self.constants
        )
        return np.where(self.gpu & ops.weight_gradient, found, 1.0)

    def launch(self) -> Array:
        """Time before every operator starts."""
        return self.launch_time if self.on("launch") else np.zeros((1, 1, 1))

    # ------------------------------------------------------------------ memory

    def _per_byte(self, distance: Array, chance: float = 1.0) -> Array:
        """Seconds per byte for data last touched so many bytes ago."""
        if not self.on("residency"):
            return np.asarray(1 / self.dram)
        hit = chance * hit_rate(distance, self.cache)
        return seconds_per_byte(hit, self.dram, self.board.cache_bandwidth)

    def memory(self) -> Array:
        """Time to move every operator's bytes."""
        ops, constants = self.ops, self.constants
        per_byte = ops.first_share * self._per_byte(ops.first_distance)
        (rows,) = ops.second_share.nonzero()
        if rows.size:
            second = self._per_byte(ops.second_distance.take(rows, -1))
            per_byte[..., rows] += ops.second_share[rows] * second
        per_byte += np.maximum(1 - ops.first_share - ops.second_share, 0) / self.dram
        reads = ops.data_read * per_byte
        writes = ops.bytes_written * self._per_byte(
            2 * ops.bytes_written, constants.write_residency
        )
        weights = ops.weight_bytes * self._per_byte(ops.whole_run)
        total: Array = np.asarray(reads + weights + writes)
        for rows, added in self._further_traffic(reads, writes):
            total[..., rows] += added
        if self.on("gradients"):
            rows, some = self._rows(np.isfinite(ops.channel_blocks))
            if rows.size:
                passes = 1 + constants.norm_gradient_pass * some.norm_gradient
                moved = passes * some.data_read + some.bytes_written
                blocks = channel_seconds(moved, some.channel_blocks, self.clock, constants)
                longer = np.maximum(total.take(rows, -1), blocks)
                total[..., rows] = np.where(self.gpu, longer, total[..., rows])
        return total

    def _further_traffic(self, reads: Array, writes: Array) -> Iterator[tuple[Array, Array]]:
        """Rows, and the time of what they move beside their operands, one law after the other."""
        ops, constants, on = self.ops, self.constants, self.on
        planar = ops.half & ~ops.channels_last & (ops.convolution | ops.grouped)
        rows, some = self._rows(planar & on("layout"))
        if rows.size:
            direct = (some.taps <= 1) & (some.pixels >= DIRECT_PIXELS)
            again = np.where(direct, constants.reorder_pointwise, constants.reorder_window)
            again = np.where(some.grouped, constants.reorder_grouped, again)
            if on("gradients"):
                slower = np.maximum(again, constants.reorder_gradient)
                again = np.where(some.gradient, slower, again)
            moved = reads.take(rows, -1) + writes.take(rows, -1)
            yield rows, np.where(self.gpu, 2 * again, 0.0) * moved
        rows, some = self._rows((ops.convolution | ops.grouped) & ops.bias & on("bias"))
        if rows.size:
            yield rows, self._bias_time(some)
        rows, some = self._rows(ops.reduces & on("passes"))
        if rows.size:
            yield rows, constants.fused_reread * reads.take(rows, -1)
        rows, some = self._rows(ops.unfused & on("attention"))
        if rows.size:
            scores = 4 * some.batches * some.rows * some.columns
            yield rows, constants.score_traffic * 4 * scores * self._per_byte(2 * scores)
        rows, some = self._rows(ops.weight_gradient & on("gradients"))
        if rows.size:
            splits = self._splits(some)
            partial = partial_sum_bytes(some.batches, some.rows, some.columns, splits)
            yield rows, partial * self._per_byte(partial)
        rows, some = self._rows(ops.norm_gradient & on("gradients"))
        if rows.size:
            again = constants.norm_gradient_pass * some.data_read
            yield rows, again * self._per_byte(some.data_read)
        rows, some = self._rows(ops.depthwise & ops.channels_last & on("depthwise"))
        if rows.size:
            again = np.where(self.gpu, constants.depthwise_pass_nhwc, 0.0)
            yield rows, again * (reads.take(rows, -1) + writes.take(rows, -1))
        rows, some = self._rows(ops.reordering & on("passes"))
        if rows.size:
            moved = some.data_read + some.weight_bytes + some.bytes_written
            yield rows, constants.movement_pass * moved * self._per_byte(moved)
        crossed = (ops.crossed > 0) & ~ops.reordering & ~ops.matrix & ~ops.compiled
        rows, some = self._rows(crossed & on("passes"))
        if rows.size:
            copies = constants.movement_pass + (some.line_length > 0)
            yield rows, 2 * copies * some.crossed * reads.take(rows, -1)

    def _bias_time(self, ops: OperatorColumns) -> Array:
        """Time of adding the bias of convolutions, on GPUs a kernel of its own."""
        one_pass = 2 * ops.bytes_written * self._per_byte(2 * ops.bytes_written)
        passes = np.where(self.gpu & ops.bias, self.constants.bias_pass, 0.0)
        return np.asarray(passes * one_pass)

    # ----------------------------------------------------------------- compute

    def compute(self) -> Array:
        """Time of every operator's arithmetic at what its engine reaches."""
        ops = self.ops
        time: Array = np.asarray(2 * ops.macs / self.vector_rate)
        rows, some = self._rows(ops.matrix)
        if rows.size:
            rate = self.matrix_rate.take(rows, -1) * self._efficiency(some)
            time[..., rows] = 2 * some.macs / rate
        return np.asarray(time + ops.other_flops / self.vector_rate)

    def float32_kernels(self) -> tuple[Any, Array] | None:
        """Time of float32 products and convolutions on GPUs, as (where, seconds); never below the
        roofline: what Winograd's algorithm saves beyond it is not counted on."""
        ops, lanes = self.ops, self.board.with_lanes
        if not self.on("float32") or "float32" not in ops.dtypes:
            return None
        covered = (ops.matrix_code == ops.dtypes.index("float32")) & (ops.convolution | ops.product)
        dense = ops.convolution & ~ops.gradient
        (direct,), (products,) = (covered & dense).nonzero(), (covered & ~dense).nonzero()
        rows = np.concatenate([direct, products])
        if not lanes.size or not rows.size:
            return None
        device, boost, held, engine, constants = self.board.float32
        vector, matrix = self.vector_rate.take(rows, -1), self.matrix_rate.take(rows, -1)
        where: Any = (..., rows)
        if len(lanes) < self.shape[0]:
            vector, matrix = vector[lanes], matrix[lanes]
            where = np.ix_(lanes, np.arange(self.shape[1]), rows)
        found = []
        if direct.size:
            some = select(ops, direct)
            seconds = convolution_seconds(some, held, boost, device, constants, engine)
            if self.on("bias") and some.bias.any():
                adding = self._bias_time(some)
                seconds += adding[lanes] if len(adding) > len(lanes) else adding
            found.append(seconds)
        if products.size:
            found.append(product_seconds(select(ops, products), held, device, constants))
        some = select(ops, rows)
        plain = 2 * some.macs / matrix + some.other_flops / vector
        moved = some.data_read + some.weight_bytes + some.bytes_written
        least = np.maximum(plain, moved / device.dram_bandwidth)
        return where, np.maximum(np.concatenate(found, axis=-1), least)

    def lanes_time(self) -> Array:
        """Time on scalar lanes of depthwise and starved kernels, 0 for all others."""
        ops, constants = self.ops, self.constants
        time: Array = np.zeros(self.shape)
        rows, some = self._rows(ops.depthwise & self.on("depthwise"))
        if rows.size:
            lane_rate = np.maximum(self.units * self.lanes * self.clock, 1.0)
            taps = np.maximum(some.taps, 1)
            scalar = depthwise_seconds(
                some.macs / taps, taps, some.square, some.channels_last, lane_rate, constants
            )
            if (grouped := self.board.columns.groups_depthwise).any():
                rate = self.vector_rate.take(rows, -1)
                scalar = np.where(grouped, narrow_seconds(some.macs, taps, rate, constants), scalar)
            if self.on("gradients"):
                scalar = scalar * gradient_cycles(some.gradient, some.weight_gradient, constants)
            time[..., rows] += np.where(self.gpu, scalar, 0.0)
        rows, some = self._rows(ops.pooling & ~ops.compiled & self.on("pooling"))
        if rows.size:
            cycles = pooling_cycles(some.planes * some.pixels, some.other_flops, constants)
            lane_rate = np.maximum(self.units * self.lanes * self.clock, 1.0)
            time[..., rows] += np.where(self.gpu, cycles / lane_rate, 0.0)
        starved = ops.bilinear & ~ops.channels_last & ~ops.compiled
        rows, some = self._rows(starved & self.on("starved"))
        if rows.size:
            walked = starved_seconds(
                some.planes, some.pixels, self.units * 1024, self.clock, constants
            )
            time[..., rows] += np.where(self.gpu, walked, 0.0)
        rows, some = self._rows((ops.line_length > 0) & ~ops.compiled & self.on("rows"))
        if rows.size:
            softmax = ~some.normalization
            waited = row_seconds(
                some.lines, some.line_length, softmax, self.board.columns, constants
            )
            time[..., rows] += np.where(self.gpu & np.isfinite(waited), waited, 0.0)
        return time

    def _efficiency(self, ops: OperatorColumns) -> Array:
        """Share of the matrix peak that operators reach, before memory is considered."""
        constants = self.constants
        share: Array = np.ones(ops.matrix.shape)
        if self.on("contraction"):
            lost = np.where(ops.attention, constants.attention_contraction, constants.contraction)
            endless = np.where(ops.attention, constants.attention_share, constants.matrix_share)
            share = endless * contraction_efficiency(ops.contraction, lost)
        if self.on("tiles"):
            tiled = tile_efficiency(
                ops.batches * self._splits(ops), ops.rows, ops.columns, self.units,
                constants.tile_edge,
            )  # fmt: skip
            share = share * np.where(self.gpu & ~ops.attention, tiled, 1.0)
        if self.on("alignment"):
            odd = ops.half & ((ops.columns % 8 != 0) | (ops.contraction % 8 != 0))
            slower = np.where(odd & ~ops.attention, 1 + constants.misaligned, 1.0)
            share = share / np.where(self.gpu, slower, 1.0)
        if self.on("grouped") and ops.grouped.any():
            narrow = grouped_efficiency(
                ops.contraction, ops.columns, ops.channels_last & ops.half, constants
            )
            if self.on("gradients"):
                narrow = np.where(ops.gradient, narrow * constants.grouped_gradient_share, narrow)
            share = np.where(self.gpu & ops.grouped, narrow, share)
        return np.asarray(np.maximum(share, 1e-9))
