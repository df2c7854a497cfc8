"""Depthwise convolution: one filter per channel is no matrix product and runs on scalar lanes.

PyTorch has kernels for it on most GPUs. Where it leaves it to a library that treats it as a
convolution of as many groups, it is as narrow a product as there can be, on the vector lanes:
MIOpen takes a grouped Winograd or direct kernel, which older devices without matrix engines run
as well.
"""

from __future__ import annotations

import numpy as np

from costmodel.roofline.constants import Constants
from costmodel.roofline.laws.grouped import grouped_efficiency

Array = np.ndarray


def depthwise_seconds(
    outputs: Array, taps: Array, square: Array, channels_last: Array, lane_rate: Array,
    constants: Constants,
) -> Array:  # fmt: skip
    """Compute time of depthwise convolutions on a GPU.

    Args:
        outputs: elements written.
        taps: of the kernel.
        square: whether the kernel is square; libraries unroll 1x1, 3x3 and 5x5 only.
        channels_last: whether the image is stored so.
        lane_rate: lane-cycles per second of the device (lanes x clock).
        constants: cycles per tap and per output.
    """
    unrolled = square & np.isin(taps, (1, 9, 25))
    tap = np.where(unrolled, constants.depthwise_tap, constants.depthwise_tap_other)
    planar = tap * taps + constants.depthwise_output
    tap = np.where(unrolled, constants.depthwise_tap_nhwc, constants.depthwise_tap_nhwc_other)
    return np.asarray(outputs * np.where(channels_last, tap * taps, planar) / lane_rate)


def narrow_seconds(macs: Array, taps: Array, vector_rate: Array, constants: Constants) -> Array:
    """Time of depthwise convolutions that run as grouped ones of one channel each.

    Args:
        macs: multiply-adds.
        taps: of the kernel, all that a group contracts over.
        vector_rate: FLOP/s of the vector lanes.
        constants: of grouped convolutions.
    """
    planar = np.zeros(np.shape(taps), dtype=bool)
    share = grouped_efficiency(taps, np.ones(np.shape(taps)), planar, constants)
    return np.asarray(2 * macs / (vector_rate * share))


def pooling_cycles(outputs: Array, taps: Array, constants: Constants) -> Array:
    """Lane-cycles of pooling: a planar depthwise convolution whose weights are all the same.

    Args:
        outputs: elements written.
        taps: elements of all their windows.
        constants: cycles per tap and per output.
    """
    return np.asarray(outputs * constants.depthwise_output + taps * constants.depthwise_tap)


def starved_seconds(
    planes: Array, pixels: Array, threads: Array, clock: Array, constants: Constants
) -> Array:
    """Time of a kernel with one thread per output pixel, which walks through all planes.

    Bilinear upsampling of NCHW images is written so: small images of many channels leave most of
    the device idle.
    """
    rounds = np.ceil(np.maximum(pixels, 1) / threads)
    return np.asarray(planes * constants.starved_step / clock * rounds)
