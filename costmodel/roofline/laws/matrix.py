"""Tiles and waves: what a matrix product loses because it is cut into tiles.

A library computes C (rows x columns, `batches` of them) in tiles, one per compute unit at a time.
Rows and columns are padded to whole tiles; tiles to whole waves over all units; each tile spends
some depth filling its pipeline and some of its edges on loading operands. The library picks the
best of its tiles, and so does the law.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

Array = np.ndarray

TILES = (
    (256, 128), (128, 256), (128, 128), (128, 64), (64, 128), (64, 64), (64, 32), (32, 64),
    (32, 32),
)  # fmt: skip
"""Rows x columns of the tiles that GPU libraries offer."""


@lru_cache(maxsize=16)
def leading_axis(choices: tuple[tuple[int, ...], ...], axes: int) -> tuple[Array, ...]:
    """Each column of a table as an array (choices, 1, ...) with so many axes of length 1."""
    return tuple(np.reshape(side, (-1, *(1,) * axes)) for side in zip(*choices, strict=True))


def tile_efficiency(
    batches: Array, rows: Array, columns: Array, units: Array, edge: float
) -> Array:
    """Useful share of the best tiling's work, in (0, 1].

    Args:
        batches: independent products.
        rows: of the result.
        columns: of the result.
        units: compute units of the device.
        edge: elements of each tile side lost to loading.
    """
    useful = np.asarray(batches * rows * columns)
    height, width = leading_axis(TILES, max(useful.ndim, np.ndim(units)))
    tiles = np.ceil(rows / height) * np.ceil(columns / width) * batches
    work = np.ceil(tiles / units) * units
    work *= height * width * (1 + edge * (1 / height + 1 / width))
    return np.asarray(useful / np.maximum(work.min(axis=0), 1))


def contraction_efficiency(contraction: Array, lost: Array | float) -> Array:
    """Share of the depth of a product that is useful when `lost` elements go to the pipeline."""
    return np.asarray(contraction / (contraction + lost))
