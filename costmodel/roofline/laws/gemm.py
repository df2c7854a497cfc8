"""Matrix products on tiles: waves, tile size, contraction length, latency hiding, operand reads.

A kernel cuts the (rows x columns) result of each product into tiles and gives each to a block
of threads; a split contraction gives several blocks the same tile. From this follow

- waves: the unit with the most tiles decides, ceil(tiles / units); partial tiles cost whole ones;
- tile size: a small tile loads more operands per multiply-add;
- contraction: prologue and epilogue of a tile cost a few steps of the contraction;
- latency hiding: a unit with few warps waits;
- operand reads: tiles in flight share operands through L2 while their slab fits and they run in
  step; else they read them again from DRAM.

All functions broadcast; sizes are arrays (ops,) and device columns (devices, 1), so results are
(devices, ops). `unit_rate` makes them serve vector lanes and matrix engines alike. Which kernel
runs a product is decided in `selection`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from costmodel.roofline.constants import Constants
from costmodel.roofline.device_columns import DeviceColumns
from costmodel.roofline.laws.bandwidth import (
    hit_share,
    is_pascal,
    stream_bandwidth,
    strided_bandwidth,
)

Array = np.ndarray

WARP = 32
LARGEST_SIDE = 128.0
"""Side of the tile that `contraction_half` is stated for."""
ALIGNMENT = 32
"""Elements: sizes that are multiples of it let a kernel load whole vectors."""
STEP_DEPTH = 8
"""Elements of the contraction that a tile loads and multiplies at a time."""
FULL_WARPS = 16
"""Warps on a unit at which the main loop runs at its full rate."""


@dataclass(frozen=True)
class Product:
    """`batches` products of (rows x contraction) by (contraction x columns), arrays (ops,)."""

    batches: Array
    rows: Array
    columns: Array
    contraction: Array
    element_bytes: float = 4.0
    unfolding: float | Array = 1.0
    """Times that the row operand repeats each stored element, as an implicit convolution does."""
    result_passes: float | Array = 1.0
    """Times that the result is written or read, more than once where a bias is added to it."""
    strided: bool | Array = False
    """Both operands contiguous along the contraction, as in a linear layer: a step of a tile
    takes a short segment from each of its rows."""

    @cached_property
    def aligned(self) -> Array:
        """Whether all sizes are multiples of `ALIGNMENT`, (ops,)."""
        sizes = (self.rows, self.columns, self.contraction)
        first, second, third = (np.mod(size, ALIGNMENT) == 0 for size in sizes)
        aligned: Array = first & second & third
        return aligned

    @property
    def sizes(self) -> tuple[Any, ...]:
        """All fields in order, arrays (..., ops) or one value for all."""
        return (
            self.batches, self.rows, self.columns, self.contraction,
            self.element_bytes, self.unfolding, self.result_passes, self.strided,
        )  # fmt: skip

    def take(self, index: Array) -> Product:
        """Some of the products, or some of them several times."""
        some: list[Any] = [
            value.take(index, -1) if isinstance(value, np.ndarray) else value
            for value in self.sizes
        ]
        return Product(*some)

    def across_rows(self, device: DeviceColumns) -> Array:
        """Whether tile loads go across rows in short segments, (devices, ops).

        Pascal's kernels for aligned products load whole vectors instead.
        """
        pascal = is_pascal(device)
        if not pascal.any():
            return np.asarray(self.strided)
        across: Array = np.logical_and(self.strided, ~(pascal & self.aligned))
        return across

    @property
    def operand_bytes(self) -> Array:
        """Bytes of both operands, each stored element once."""
        size: Array = self.batches * self.contraction * (self.rows / self.unfolding + self.columns)
        return self.element_bytes * size

    @property
    def result_bytes(self) -> Array:
        """Bytes of the result."""
        size: Array = self.batches * self.rows * self.columns
        return self.element_bytes * size


def stacked(parts: Sequence[Product]) -> Product:
    """Products one after the other."""
    shapes = [
        np.broadcast(part.batches, part.rows, part.columns, part.contraction).shape
        for part in parts
    ]
    leads = {shape[:-1] for shape in shapes}
    lead = leads.pop() if len(leads) == 1 else np.broadcast_shapes(*leads)
    ends = list(accumulate(shape[-1] for shape in shapes))

    def column(values: Sequence[Any]) -> Any:
        first = values[0]
        if all(not isinstance(v, np.ndarray) and v == first for v in values):
            return first
        whole = np.empty((*lead, ends[-1]), np.asarray(first).dtype)
        for value, start, end in zip(values, (0, *ends), ends, strict=False):
            whole[..., start:end] = value
        return whole

    return Product(*map(column, zip(*(part.sizes for part in parts), strict=True)))


@dataclass(frozen=True)
class Tile:
    """The part of the result that a block of threads computes; ints, or arrays (ops,)."""

    columns: int | Array
    rows: int | Array
    threads: int | Array

    @property
    def parts(self) -> tuple[int | Array, int | Array, int | Array]:
        """Columns, rows and threads."""
        return self.columns, self.rows, self.threads

    def take(self, index: Array) -> Tile:
        """Some tiles of arrays (tiles,)."""
        return Tile(*(np.asarray(part)[index] for part in self.parts))

    @property
    def side(self) -> Array:
        """Elements: side of the square of the same area."""
        side: Array = np.sqrt(np.asarray(self.rows * self.columns, dtype=np.float64))
        return side


class Tiling:
    """Products cut into tiles, each computed in `splits` parts of the contraction."""

    def __init__(self, product: Product, tile: Tile, splits: int | Array = 1) -> None:
        self.product, self.tile, self.splits = product, tile, splits
        self.across: Array = np.ceil(product.columns / tile.columns)
        """Tiles along the columns of one product."""
        self.down: Array = np.ceil(product.rows / tile.rows)
        """Tiles along the rows of one product."""
        self.unsplit: Array = product.batches * self.across * self.down
        """Tiles of all products."""
        self.blocks: Array = self.unsplit * splits
        """Blocks of threads: a tile has one for each part."""


class MainLoop(NamedTuple):
    """What a tile costs in its main loop."""

    step: Array
    """FLOPs at a unit's full rate per element of the contraction."""
    overhead: Array
    """Elements of the contraction that prologue and epilogue cost."""

    def take(self, index: Array) -> MainLoop:
        """Some of them."""
        return MainLoop(self.step[index], self.overhead[index])


def main_loop(tile: Tile, constants: Constants) -> MainLoop:
    """The cost of tiles, from their size."""
    step = 2 * tile.rows * tile.columns / tile_efficiency(tile, constants)
    return MainLoop(step, constants.contraction_half * LARGEST_SIDE / tile.side)


def tile_efficiency(tile: Tile, constants: Constants) -> Array:
    """Share of a unit's rate that the main loop reaches, from the size of the tile."""
    smallness = constants.tile_half_side / tile.side
    share: Array = constants.tile_ceiling / (1 + smallness**constants.tile_steepness)
    return share


def hiding_share(warps: Array, constants: Constants) -> Array:
    """Share of the full rate with so many warps on a unit; 1 from `FULL_WARPS` on."""
    resident = np.minimum(warps, FULL_WARPS)
    half = constants.hiding_warps
    share: Array = resident / (resident + half)
    share *= (FULL_WARPS + half) / FULL_WARPS
    return share


def compute_time(
    tiling: Tiling,
    unit_rate: Array,
    device: DeviceColumns,
    constants: Constants,
    loop: MainLoop | None = None,
) -> Array:
    """Seconds of arithmetic of the busiest unit.

    Args:
        tiling: products and their tiles.
        unit_rate: FLOP/s of one unit.
        device: needs units and generation.
        constants: of the laws.
        loop: cost of the tiles where it is known already.
    """
    product = tiling.product
    if np.any(product.strided) and (pascal := is_pascal(device)).any():
        slowed = pascal & product.across_rows(device)
        unit_rate = unit_rate * np.where(slowed, constants.strided_rate_pascal, 1.0)
    steps = product.contraction / tiling.splits
    loop = loop or main_loop(tiling.tile, constants)
    return blocks_time(
        tiling.blocks, tiling.tile.threads, loop, steps, unit_rate, device, constants
    )


def blocks_time(
    blocks: Array,
    threads: int | Array,
    loop: MainLoop,
    steps: Array,
    unit_rate: Array,
    device: DeviceColumns,
    constants: Constants,
) -> Array:
    """Seconds of the busiest unit for so many blocks of so many contraction steps each."""
    busiest = np.ceil(blocks / device.units)
    depth = np.ceil(steps / STEP_DEPTH) * STEP_DEPTH + loop.overhead
    rate = unit_rate * hiding_share(busiest * (threads / WARP), constants)
    time: Array = busiest * (loop.step * depth) / rate
    return time


def operand_reads(tiling: Tiling, device: DeviceColumns, constants: Constants) -> Array:
    """Bytes of operands that come from DRAM: each once, and what L2 could not keep again.

    The blocks in flight form a slab of operands, along columns first. If the slab overflows L2,
    the next wave reads its share again. Blocks drift apart along the contraction, with about the
    fourth root of the waves, as Pascal's linear layers show: if L2 does not hold that much of
    every block in flight, those of one wave no longer share their loads.
    """
    product, tile, blocks = tiling.product, tiling.tile, tiling.blocks
    flying = np.minimum(device.units * np.maximum(1, FULL_WARPS * WARP / tile.threads), blocks)
    wide = np.minimum(tiling.across, flying)
    tall = np.minimum(np.maximum(flying / tiling.across, 1), tiling.down)
    depth = product.contraction / tiling.splits * product.element_bytes
    width, height = tile.columns * depth, tile.rows / product.unfolding * depth
    slab = wide * width + tall * height
    once = product.operand_bytes
    by_wave = np.maximum(slab * blocks / (wide * tall), once)
    by_tile = np.maximum(by_wave, blocks * (width + height))
    l2 = device.l2_capacity
    kept = hit_share(slab, constants.slab_share * l2, constants.slab_steepness)
    apart = flying * depth * np.sqrt(np.sqrt(blocks / flying))
    in_step = hit_share(apart, constants.lockstep_share * l2, constants.lockstep_steepness)
    reads: Array = once + (1 - kept) * (by_wave - once) + (1 - in_step) * (by_tile - by_wave)
    return reads


def transfer_time(tiling: Tiling, device: DeviceColumns, constants: Constants) -> Array:
    """Seconds to read operands and write the result; split parts are written, read and summed."""
    product = tiling.product
    reads = operand_reads(tiling, device, constants)
    loads = stream = stream_bandwidth(device, constants)
    if np.any(product.strided):
        strided = strided_bandwidth(device, constants)
        loads = np.where(product.strided, strided, stream)
    parts = np.asarray(tiling.splits)
    passes = product.result_passes + np.where(parts > 1, 2.0 * parts, 0.0)
    time: Array = reads / loads + passes * product.result_bytes / stream
    return time
