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
(devices, ops). `unit_rate` makes them serve vector lanes and matrix engines alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from costmodel.roofline.constants import Constants
from costmodel.roofline.device_columns import DeviceColumns
from costmodel.roofline.laws.bandwidth import (
    hit_share,
    is_pascal,
    stream_bandwidth,
    strided_bandwidth,
)
from costmodel.roofline.laws.overlap import p_norm

Array = np.ndarray

WARP = 32
LARGEST_SIDE = 128.0
"""Side of the tile that `contraction_half` is stated for."""
ALIGNMENT = 32
"""Elements: sizes that are multiples of it let a kernel load whole vectors."""
STEP_DEPTH = 8
"""Elements of the contraction that a tile loads and multiplies at a time."""
SPLIT_COST = 0.05
"""Gain in arithmetic time below which a library does not split the contraction."""
TILE_COST = 0.05
"""Weight of the tiles themselves where waves decide between tiles of one size."""
TAIL_COST = 0.01
"""The same of the tiles, rounded up to whole sets of resident blocks."""
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

    def across_rows(self, device: DeviceColumns) -> Array:
        """Whether tile loads go across rows in short segments, (devices, ops).

        Pascal's kernels for aligned products load whole vectors instead.
        """
        spared = is_pascal(device) & self.aligned
        across: Array = np.logical_and(self.strided, ~spared)
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

    @property
    def side(self) -> Array:
        """Elements: side of the square of the same area."""
        side: Array = np.sqrt(np.asarray(self.rows * self.columns, dtype=np.float64))
        return side


def tile_efficiency(tile: Tile, constants: Constants) -> Array:
    """Share of a unit's rate that the main loop reaches, from the size of the tile."""
    smallness = constants.tile_half_side / tile.side
    share: Array = constants.tile_ceiling / (1 + smallness**constants.tile_steepness)
    return share


def tile_grid(product: Product, tile: Tile) -> tuple[Array, Array]:
    """Numbers of tiles along columns and along rows of one product."""
    across: Array = np.ceil(product.columns / tile.columns)
    down: Array = np.ceil(product.rows / tile.rows)
    return across, down


def hiding_share(warps: Array, constants: Constants) -> Array:
    """Share of the full rate with so many warps on a unit; 1 from `FULL_WARPS` on."""
    resident = np.minimum(warps, FULL_WARPS)
    half = constants.hiding_warps
    share: Array = resident / (resident + half)
    share *= (FULL_WARPS + half) / FULL_WARPS
    return share


def compute_time(
    product: Product,
    tile: Tile,
    splits: int | Array,
    unit_rate: Array,
    device: DeviceColumns,
    constants: Constants,
) -> Array:
    """Seconds of arithmetic of the busiest unit.

    Args:
        product: sizes.
        tile: what a block computes.
        splits: parts that the contraction is cut into.
        unit_rate: FLOP/s of one unit.
        device: needs units and generation.
        constants: of the laws.
    """
    across, down = tile_grid(product, tile)
    tiles = product.batches * across * down * splits
    if np.any(product.strided):
        slowed = is_pascal(device) & product.across_rows(device)
        unit_rate = unit_rate * np.where(slowed, constants.strided_rate_pascal, 1.0)
    return blocks_time(tiles, tile, product.contraction / splits, unit_rate, device, constants)


def blocks_time(
    tiles: Array,
    tile: Tile,
    steps: Array,
    unit_rate: Array,
    device: DeviceColumns,
    constants: Constants,
) -> Array:
    """Seconds of the busiest unit for so many tiles of so many contraction steps each."""
    busiest = np.ceil(tiles / device.units)
    overhead = constants.contraction_half * LARGEST_SIDE / tile.side
    depth = np.ceil(steps / STEP_DEPTH) * STEP_DEPTH + overhead
    flops = 2 * tile.rows * tile.columns * depth / tile_efficiency(tile, constants)
    rate = unit_rate * hiding_share(busiest * (tile.threads / WARP), constants)
    time: Array = busiest * flops / rate
    return time


def operand_reads(
    product: Product,
    tile: Tile,
    splits: int | Array,
    device: DeviceColumns,
    constants: Constants,
) -> Array:
    """Bytes of operands that come from DRAM: each once, and what L2 could not keep again.

    The blocks in flight form a slab of operands, along columns first. If the slab overflows L2,
    the next wave reads its share again. Blocks drift apart along the contraction: if L2 does not
    hold that much of every block in flight, those of one wave no longer share their loads.
    """
    across, down = tile_grid(product, tile)
    tiles = product.batches * across * down * splits
    flying = np.minimum(device.units * np.maximum(1, FULL_WARPS * WARP / tile.threads), tiles)
    wide = np.minimum(across, flying)
    tall = np.minimum(down, np.maximum(1, flying / across))
    steps = product.contraction / splits * product.element_bytes
    height = tile.rows / product.unfolding
    slab = (wide * tile.columns + tall * height) * steps
    once = product.operand_bytes
    by_wave = np.maximum(once, tiles / (wide * tall) * slab)
    by_tile = np.maximum(by_wave, tiles * (tile.columns + height) * steps)
    c, l2 = constants, device.l2_capacity
    kept = hit_share(slab, c.slab_share * l2, c.slab_steepness)
    in_step = hit_share(flying * steps, c.lockstep_share * l2, c.lockstep_steepness)
    reads: Array = once + (1 - kept) * (by_wave - once) + (1 - in_step) * (by_tile - by_wave)
    return reads


def transfer_time(
    product: Product,
    tile: Tile,
    splits: int | Array,
    device: DeviceColumns,
    constants: Constants,
) -> Array:
    """Seconds to read operands and write the result; split parts are written, read and summed."""
    reads = operand_reads(product, tile, splits, device, constants)
    loads = stream = stream_bandwidth(device, constants)
    if np.any(product.strided):
        strided = strided_bandwidth(device, constants)
        loads = np.where(product.across_rows(device), strided, stream)
    parts = np.asarray(splits)
    passes = product.result_passes + np.where(parts > 1, 2.0 * parts, 0.0)
    time: Array = reads / loads + passes * product.result_bytes / stream
    return time


def product_time(
    product: Product,
    tile: Tile,
    splits: int | Array,
    unit_rate: Array,
    device: DeviceColumns,
    constants: Constants,
) -> Array:
    """Seconds of one kernel with the given tile and split; see `compute_time`."""
    compute = compute_time(product, tile, splits, unit_rate, device, constants)
    memory = transfer_time(product, tile, splits, device, constants)
    return p_norm(compute, memory, constants.product_overlap)


@dataclass(frozen=True)
class Choices:
    """Kernels that a library could take; every array starts with an axis (choices,)."""

    tile: Tile
    splits: Array
    available: Array
    """On which devices."""
    fullest: Array
    """Most tiles per unit at which the library splits the contraction so."""
    preference: Array
    """Factor on the arithmetic time that the library's heuristics see."""
    aligned_only: Array
    """Where it needs an aligned product."""
    resident: Array
    """Blocks on a unit at a time where the heuristics weigh ties by them, 0 elsewhere."""

    def tie_break(self, product: Product, device: DeviceColumns) -> Array:
        """Factor on the arithmetic time that heuristics see: fewer tiles, fuller last waves."""
        across, down = tile_grid(product, self.tile)
        fill = product.batches * across * down * self.splits / device.units
        resident = np.maximum(self.resident, 1)
        cost = TILE_COST * fill + TAIL_COST * resident * np.ceil(fill / resident)
        return np.where(self.resident > 0, 1 + cost / np.ceil(fill), 1.0)

    def usable(self, product: Product, device: DeviceColumns) -> Array:
        """Where a library would consider them, (choices, devices, ops)."""
        across, down = tile_grid(product, self.tile)
        fill = product.batches * across * down / device.units
        suits = product.aligned | ~self.aligned_only
        usable: Array = self.available & (fill <= self.fullest) & suits
        return usable

    def chosen(self, index: Array) -> tuple[Tile, Array]:
        """Tile and splits of the choices at `index`, which has the shape of the result."""
        tile = Tile(*(np.ravel(part)[index] for part in self.tile.parts))
        return tile, np.ravel(self.splits)[index]


def chosen_time(
    product: Product,
    choices: Choices,
    unit_rate: Array,
    device: DeviceColumns,
    constants: Constants,
    *,
    autotuned: bool = False,
) -> tuple[Array, Array]:
    """Seconds of the kernel that a library takes, and its index in `choices`; (devices, ops).

    A library's heuristics take the kernel with the least arithmetic time, padding and waves
    included; an autotuned run takes the one that is fastest in fact.
    """
    tile, splits = choices.tile, choices.splits
    compute = compute_time(product, tile, splits, unit_rate, device, constants)
    if autotuned:
        rank = p_norm(
            compute,
            transfer_time(product, tile, splits, device, constants),
            constants.product_overlap,
        )
    else:
        rank = compute * choices.preference * np.where(splits > 1, 1 + SPLIT_COST, 1.0)
        if choices.resident.any():
            rank = rank * choices.tie_break(product, device)
    with np.errstate(divide="ignore"):
        rank = rank / choices.usable(product, device)  # by 0 where it would not be considered
    least = rank.min(axis=0)
    index = (rank == least).argmax(axis=0)  # the first of them, sooner than argmin finds it
    if autotuned:
        return least, index
    compute = np.take_along_axis(np.broadcast_to(compute, rank.shape), index[None], axis=0)[0]
    memory = transfer_time(product, *choices.chosen(index), device, constants)
    time = p_norm(compute, memory, constants.product_overlap)
    return np.where(np.isfinite(least), time, np.inf), index
