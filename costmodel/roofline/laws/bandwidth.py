"""Bandwidth that kernels reach: DRAM by controller generation and error correction, and L2.

Sources of the effects: NVIDIA states 76% of peak for its Pascal and 95% for its Volta memory
controller (V100 whitepaper, 2017); in-line error correction keeps its check bytes in the same
DRAM and so takes bandwidth from the data.
"""

from __future__ import annotations

import numpy as np

from costmodel.roofline.constants import Constants
from costmodel.roofline.device_columns import DeviceColumns
from costmodel.roofline.laws.raising import raise_to
from costmodel.roofline.once import once

Array = np.ndarray

VOLTA = 7
"""First generation (`DeviceColumns.generation`) with the later memory controller and kernels."""


@once
def is_pascal(device: DeviceColumns) -> Array:
    """Whether a device is of Pascal's generation or an earlier one; unknown counts as later."""
    early: Array = device.generation < VOLTA
    return early


@once
def stream_bandwidth(device: DeviceColumns, constants: Constants) -> Array:
    """B/s of DRAM that long streams reach."""
    share = np.where(is_pascal(device), constants.dram_share_pascal, constants.dram_share)
    share = np.where(device.multilevel_memory, constants.dram_share_multilevel, share)
    share = share * np.where(device.in_line_ecc, constants.ecc_share, 1.0)
    share = np.where(np.isfinite(device.stream_share), device.stream_share, share)
    reached: Array = device.dram_bandwidth * share
    return reached


SEGMENT = 64.0
"""Bytes that a tile takes from a row at a time: two sectors of 32 bytes."""
SEGMENT_PASCAL = 32.0
"""The same of the kernels of Pascal and earlier: 8 elements."""


@once
def strided_bandwidth(device: DeviceColumns, constants: Constants) -> Array:
    """B/s of DRAM for tile loads that take a short segment from each of many rows.

    Each segment opens a row of DRAM, and a channel can open one only so often (tRRD, and a quarter
    of tFAW, in a memory's data sheet). Memories of many slow channels (HBM) suffer less from it
    than those of few fast ones (GDDR). Unknown channels: as a stream.
    """
    segment = np.where(is_pascal(device), SEGMENT_PASCAL, SEGMENT)
    opened = device.memory_channels * segment / constants.row_interval
    reached: Array = np.fmin(stream_bandwidth(device, constants), opened)
    return reached


@once
def l2_bandwidth(device: DeviceColumns, constants: Constants) -> Array:
    """B/s of the L2 cache: the profile's, or units x clock x bytes per clock."""
    derived = device.units * device.clock * constants.l2_bytes_per_clock
    known = np.where(np.isfinite(device.l2_bandwidth), device.l2_bandwidth, derived)
    bandwidth: Array = np.maximum(known, device.dram_bandwidth)
    return bandwidth


NO_CACHE = 1e-100
"""Bytes, in place of a capacity that is 0 or unknown: a single byte overflows it."""


def hit_share(size: Array, capacity: Array, steepness: float) -> Array:
    """Share of accesses to `size` bytes that find them in a cache of `capacity` bytes.

    1 / (1 + (size / capacity)^steepness): one half where both are equal. An unknown capacity
    holds nothing.
    """
    share: Array = np.asarray(size / np.fmax(capacity, NO_CACHE))
    raise_to(share, steepness)
    share += 1.0
    np.reciprocal(share, out=share)
    return share


def memory_time(traffic: Array, footprint: Array, device: DeviceColumns, c: Constants) -> Array:
    """Seconds to move `traffic` bytes when `footprint` bytes are used again and again.

    What the last use left in L2 comes from there. Never below traffic / L2 bandwidth.
    """
    capacity = c.residency_share * device.l2_capacity
    hits = hit_share(footprint, capacity, c.residency_steepness)
    time: Array = traffic * (
        (1 - hits) / stream_bandwidth(device, c) + hits / l2_bandwidth(device, c)
    )
    return time
