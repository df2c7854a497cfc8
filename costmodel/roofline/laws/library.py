"""Kernels that the vendor's float32 libraries choose from, by generation of the device.

Read from the kernel names of measured products (cuBLAS, float32 without TF32): the names of a
kernel begin with the generation it was written for (maxwell_, volta_, ampere_) and hold its tile,
"columns x rows" of a row-major result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from costmodel.roofline.device_columns import DeviceColumns
from costmodel.roofline.laws.gemm import Tile
from costmodel.roofline.laws.selection import Kernels
from costmodel.roofline.once import once

Array = np.ndarray

THREADS = {
    (128, 128): 256, (128, 64): 128, (64, 64): 64, (32, 128): 256, (128, 32): 256,
    (64, 128): 128,
    (64, 32): 256, (32, 32): 128,
}  # fmt: skip
"""Threads of a block by (columns, rows) of its tile."""

SPLITS = (1, 2, 4, 8, 16, 32, 64)
SPLIT_COST = 0.05
"""Gain in arithmetic time below which a library does not split the contraction."""
FULLEST_SPLIT = {6: 8.0, 7: np.inf, 7.5: np.inf, 8: 0.5}
"""Most tiles per unit at which the contraction is split, by generation."""

Tiles = Mapping[float, tuple[tuple[int, int], ...]]

BATCHED_TILES: Tiles = {
    6: ((128, 64),),
    7: ((64, 64), (32, 128)),
    7.5: ((128, 64), (64, 64), (128, 32)),
    8: ((128, 128),),
}
"""Tiles of batched products by generation: up to Pascal, Volta, Turing, Ampere and later."""

_LINEAR_SINCE_VOLTA = ((128, 128), (128, 64), (32, 128), (128, 32), (64, 32), (32, 32))
LINEAR_TILES: Tiles = {
    6: ((64, 64), (32, 128), (128, 32), (128, 64)),
    7: _LINEAR_SINCE_VOLTA,
    7.5: _LINEAR_SINCE_VOLTA,
    8: _LINEAR_SINCE_VOLTA,
}
"""Tiles of linear layers by generation."""

ALIGNED_ONLY_PASCAL = ((128, 64),)
"""Tiles that Pascal's linear layers take for aligned products only: no measured kernel of unaligned
sizes has them, while whole transformers, whose sizes are aligned, run at their speed."""

WINOGRAD_TILES: Tiles = {
    6: ((64, 64), (32, 128)),
    7: ((64, 64), (32, 128), (128, 32)),
    7.5: ((128, 64), (64, 64), (128, 32)),
    8: ((128, 64), (64, 64), (128, 32)),
}
"""Tiles of the products of unfused Winograd by generation; Ampere's are taken to be Turing's."""

IMPLICIT_TILES: Tiles = dict.fromkeys((6, 7, 7.5, 8), ((128, 128), (64, 128), (32, 128)))
"""Tiles of implicit convolutions, filters x pixels."""


FULLEST_PASCAL = {(128, 32): 1.25}
"""Most tiles per unit at which Pascal's linear layers take a tile at all."""
RESIDENT_PASCAL = {64: 8.0, 128: 4.0, 256: 4.0}
"""Blocks on a unit, by threads, that decide between Pascal's tiles of one size when the waves do
not: with them the law takes 9 of 10 unsplit kernels of the P4 and P100 as their library did."""

GP100_PREFERENCE = {(32, 128): 0.9, (128, 64): 0.8}
"""What the heuristics make of a linear layer's tiles on Pascal units of 64 lanes: they take
32 x 128 wherever waves and padding leave the choice, and 128 x 64 for aligned products."""


def generation_key(device: DeviceColumns) -> Array:
    """6 up to Pascal, 7 for Volta, 7.5 for Turing, 8 for later and unknown ones."""
    known = np.where(np.isnan(device.generation), 8.0, device.generation)
    key: Array = np.clip(known, 6, 8)
    return key


@dataclass(frozen=True, eq=False)
class _Library:
    """What a library offers for one sort of product."""

    tiles: Tiles
    splits: tuple[int, ...] = (1,)
    preference: Mapping[tuple[int, int], float] = field(default_factory=dict)
    """Of tiles, on Pascal units of 64 lanes."""
    aligned_only: tuple[tuple[int, int], ...] = ()
    """Tiles, on Pascal."""
    fullest: Mapping[tuple[int, int], float] = field(default_factory=dict)
    """Most tiles per unit, on Pascal."""
    weighs_resident: bool = False
    """Whether resident blocks decide ties, on Pascal."""


_LINEAR = _Library(
    LINEAR_TILES, SPLITS, GP100_PREFERENCE, ALIGNED_ONLY_PASCAL, FULLEST_PASCAL, True
)
_BATCHED = _Library(BATCHED_TILES)
_WINOGRAD = _Library(WINOGRAD_TILES)
_IMPLICIT = _Library(IMPLICIT_TILES, (1, 4))


@once
def linear_kernels(device: DeviceColumns) -> Kernels:
    """For one product with both operands along the contraction."""
    return _kernels(_LINEAR, device)


@once
def batched_kernels(device: DeviceColumns) -> Kernels:
    """For batches of products."""
    return _kernels(_BATCHED, device)


@once
def winograd_kernels(device: DeviceColumns) -> Kernels:
    """For the products of unfused Winograd."""
    return _kernels(_WINOGRAD, device)


@once
def implicit_kernels(device: DeviceColumns) -> Kernels:
    """For implicit convolutions."""
    return _kernels(_IMPLICIT, device)


def _kernels(library: _Library, device: DeviceColumns) -> Kernels:
    key = generation_key(device)
    narrow = (key == 6) & (device.vector_lanes <= 64)
    return _kernels_of(library, key.shape, (*key.flat,), (*narrow.flat,))


@lru_cache(maxsize=256)
def _kernels_of(
    library: _Library, shape: tuple[int, ...], keys: tuple[float, ...], narrow: tuple[bool, ...]
) -> Kernels:
    """Every kernel that one of the devices has, and on which it is available.

    `shape` is that of device columns and ends with an axis of length 1, here (..., kernels).
    """
    key, offered = np.array(keys).reshape(shape), library.tiles
    tiles = dict.fromkeys(tile for k in offered if k in keys for tile in offered[k])
    names = [(tile, split) for tile in tiles for split in library.splits]

    def column(values: list[Any]) -> Array:
        return np.array(values)

    available = np.zeros((*shape[:-1], len(names)), dtype=bool)
    for generation, own in offered.items():
        available |= column([tile in own for tile, _ in names]) & (key == generation)
    split = column([split for _, split in names])
    fullest = np.select([key == k for k in FULLEST_SPLIT], list(FULLEST_SPLIT.values()))
    limit = np.where(
        key == 6, column([library.fullest.get(tile, np.inf) for tile, _ in names]), np.inf
    )
    resident = column([RESIDENT_PASCAL[THREADS[tile]] for tile, _ in names])
    preferred = column([library.preference.get(tile, 1.0) for tile, _ in names])
    split_cost = np.where(split > 1, 1 + SPLIT_COST, 1.0)
    return Kernels(
        Tile(
            column([tile[0] for tile, _ in names]),
            column([tile[1] for tile, _ in names]),
            column([THREADS[tile] for tile, _ in names]),
        ),
        split,
        available,
        np.minimum(np.where(split == 1, np.inf, fullest), limit),
        np.where(np.array(narrow).reshape(shape), preferred, 1.0) * split_cost,
        (key == 6) & column([tile in library.aligned_only for tile, _ in names]),
        np.where((key == 6) & library.weighs_resident, resident, 0.0),
    )
