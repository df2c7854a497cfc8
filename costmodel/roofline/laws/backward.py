"""What the kernels of a training step do that those of inference do not.

- Gradients of weights are products that contract over all positions of the batch and have few
  results: libraries split the contraction over blocks until the device is full, and add the
  partial sums up in float32 through memory.
- A batch norm in training gives each channel of planar images to one block of threads, which
  sums over it and goes over it again: few channels leave most of the device idle.
- Gradients of grouped and depthwise convolutions run slower than their forward, and those of
  planar 16-bit ones convert their tensors' layout for each gradient.
"""

from __future__ import annotations

import numpy as np

from costmodel.roofline.constants import Constants

Array = np.ndarray

TILE = 128
"""Edge of the tiles that are counted to see whether a product fills the device."""
WAVES = 2
"""Tiles per unit up to which libraries split."""


def contraction_splits(
    batches: Array, rows: Array, columns: Array, contraction: Array, units: Array,
    constants: Constants,
) -> Array:  # fmt: skip
    """Into how many parts a library splits the contraction of a weight gradient, at least 1.

    As many as give every unit `WAVES` tiles, each no shorter than `split_depth`.

    Args:
        batches: independent products.
        rows: of the result.
        columns: of the result.
        contraction: depth of the products.
        units: compute units of the device.
        constants: of the laws.
    """
    tiles = np.ceil(rows / TILE) * np.ceil(columns / TILE) * batches
    wanted = np.floor(np.maximum(WAVES * units / tiles, 1))
    most = np.floor(np.maximum(contraction / constants.split_depth, 1))
    return np.asarray(np.minimum(wanted, most))


def partial_sum_bytes(batches: Array, rows: Array, columns: Array, splits: Array) -> Array:
    """Bytes of float32 partial sums that are written and read again; none without a split."""
    return np.asarray(np.where(splits > 1, 8 * batches * rows * columns * splits, 0.0))


def gradient_cycles(gradient: Array, weight_gradient: Array, constants: Constants) -> Array:
    """Cycles of a depthwise convolution's gradient over those of its forward, 1 for others."""
    own = np.where(
        weight_gradient, constants.depthwise_weight_gradient, constants.depthwise_input_gradient
    )
    return np.asarray(np.where(gradient, own, 1.0))


def channel_seconds(moved: Array, channels: Array, clock: Array, constants: Constants) -> Array:
    """Time of a norm with one block of threads per channel, 0 where channels are infinite.

    Args:
        moved: bytes, all passes together.
        channels: of the norm, each drawing `block_stream` bytes per clock.
        clock: of the device, in Hz.
        constants: of the laws.
    """
    return np.asarray(moved / (channels * constants.block_stream * clock))
