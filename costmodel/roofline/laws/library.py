"""Kernels that the vendor's float32 libraries choose from, by generation of the device.

Read from the kernel names of measured products (cuBLAS, float32 without TF32): the names of a
kernel begin with the generation it was written for (maxwell_, volta_, ampere_) and hold its tile,
"columns x rows" of a row-major result.
"""

from __future__ import annotations

from collections.abc import Mapping
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


GP100_PREFERENCE = {(32, 128): 0.9, (128, 64): 0.8}
"""What the heuristics make of a linear layer's tiles on Pascal units of 64 lanes: they take
32 x 128 wherever waves and padding leave the choice, and 128 x 64 for aligned products."""


def generation_key(device: DeviceColumns) -> Array:
    """6 up to Pascal, 7 for Volta, 7.5 for Turing, 8 for later and unknown ones."""
    known = np.where(np.isnan(device.generation), 8.0, device.generation)
    key: Array = np.clip(known, 6, 8)
    return key


def linear_choices(device: DeviceColumns) -> Choices:
    """Kernels for one product with both operands along the contraction."""
    return _choices(LINEAR_TILES, SPLITS, device, GP100_PREFERENCE)


def batched_choices(device: DeviceColumns) -> Choices:
    """Kernels for batches of products."""
    return _choices(BATCHED_TILES, (1,), device)


def winograd_choices(device: DeviceColumns) -> Choices:
    """Kernels for the products of unfused Winograd."""
    return _choices(WINOGRAD_TILES, (1,), device)


def implicit_choices(device: DeviceColumns) -> Choices:
    """Kernels of implicit convolutions."""
    return _choices(IMPLICIT_TILES, (1, 4), device)


def _choices(
    table: Tiles,
    splits: tuple[int, ...],
    device: DeviceColumns,
    gp100: dict[tuple[int, int], float] | None = None,
) -> Choices:
    key = generation_key(device)
    kernels = [
        (shape, split)
        for shape in dict.fromkeys(shape for tiles in table.values() for shape in tiles)
        for split in splits
    ]
    axes = (-1, *(1,) * key.ndim)

    def column(values: list[Any]) -> Array:
        return np.array(values).reshape(axes)

    available: Array = np.zeros((len(kernels), *key.shape), dtype=bool)
    for generation, tiles in table.items():
        available |= column([shape in tiles for shape, _ in kernels]) & (key == generation)
    split = column([split for _, split in kernels])
    fullest = np.select([key == k for k in FULLEST_SPLIT], list(FULLEST_SPLIT.values()))
    narrow = (key == 6) & (device.vector_lanes <= 64)
    preferred = column([(gp100 or {}).get(shape, 1.0) for shape, _ in kernels])
    aligned = gp100 is not None and column([shape in ALIGNED_ONLY_PASCAL for shape, _ in kernels])
    return Choices(
        Tile(
            column([shape[0] for shape, _ in kernels]),
            column([shape[1] for shape, _ in kernels]),
            column([THREADS[shape] for shape, _ in kernels]),
        ),
        split,
        available,
        np.where(split == 1, np.inf, fullest),
        np.where(narrow, preferred, 1.0),
        (key == 6) & aligned,
    )
