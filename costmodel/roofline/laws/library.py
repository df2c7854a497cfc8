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
from costmodel.roofline.laws.gemm import Choices, Tile

Array = np.ndarray

THREADS = {
    (128, 128): 256, (128, 64): 128, (64, 64): 64, (32, 128): 256, (128, 32): 256,
    (64, 128): 128,
    (64, 32): 256, (32, 32): 128,
}  # fmt: skip
"""Threads of a block by (columns, rows) of its tile."""

SPLITS = (1, 2, 4, 8, 16, 32, 64)
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
class _Kernels:
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


_LINEAR = _Kernels(
    LINEAR_TILES, SPLITS, GP100_PREFERENCE, ALIGNED_ONLY_PASCAL, FULLEST_PASCAL, True
)
_BATCHED = _Kernels(BATCHED_TILES)
_WINOGRAD = _Kernels(WINOGRAD_TILES)
_IMPLICIT = _Kernels(IMPLICIT_TILES, (1, 4))


def linear_choices(device: DeviceColumns) -> Choices:
    """Kernels for one product with both operands along the contraction."""
    return _choices(_LINEAR, device)


def batched_choices(device: DeviceColumns) -> Choices:
    """Kernels for batches of products."""
    return _choices(_BATCHED, device)


def winograd_choices(device: DeviceColumns) -> Choices:
    """Kernels for the products of unfused Winograd."""
    return _choices(_WINOGRAD, device)


def implicit_choices(device: DeviceColumns) -> Choices:
    """Kernels of implicit convolutions."""
    return _choices(_IMPLICIT, device)


def _choices(kernels: _Kernels, device: DeviceColumns) -> Choices:
    key = generation_key(device)
    narrow = (key == 6) & (device.vector_lanes <= 64)
    return _choices_of(kernels, key.shape, (*key.flat,), (*narrow.flat,))


@lru_cache(maxsize=256)
def _choices_of(
    kernels: _Kernels, shape: tuple[int, ...], keys: tuple[float, ...], narrow: tuple[bool, ...]
) -> Choices:
    """Every kernel that a generation has, and on which devices it is available."""
    key = np.array(keys).reshape(shape)
    table = kernels.tiles
    tiles = dict.fromkeys(tile for offered in table.values() for tile in offered)
    choices = [(tile, split) for tile in tiles for split in kernels.splits]
    axes = (-1, *(1,) * key.ndim)

    def column(values: list[Any]) -> Array:
        return np.array(values).reshape(axes)

    available: Array = np.zeros((len(choices), *shape), dtype=bool)
    for generation, offered in table.items():
        available |= column([tile in offered for tile, _ in choices]) & (key == generation)
    split = column([split for _, split in choices])
    fullest = np.select([key == k for k in FULLEST_SPLIT], list(FULLEST_SPLIT.values()))
    limit = np.where(
        key == 6, column([kernels.fullest.get(tile, np.inf) for tile, _ in choices]), np.inf
    )
    resident = column([RESIDENT_PASCAL[THREADS[tile]] for tile, _ in choices])
    preferred = column([kernels.preference.get(tile, 1.0) for tile, _ in choices])
    return Choices(
        Tile(
            column([tile[0] for tile, _ in choices]),
            column([tile[1] for tile, _ in choices]),
            column([THREADS[tile] for tile, _ in choices]),
        ),
        split,
        available,
        np.minimum(np.where(split == 1, np.inf, fullest), limit),
        np.where(np.array(narrow).reshape(shape), preferred, 1.0),
        (key == 6) & column([tile in kernels.aligned_only for tile, _ in choices]),
        np.where((key == 6) & kernels.weighs_resident, resident, 0.0),
    )
