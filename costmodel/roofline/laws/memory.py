"""Cache residency: data touched recently is read from the shared cache, not from DRAM."""

from __future__ import annotations

import numpy as np

from costmodel.roofline.laws.bandwidth import NO_CACHE

Array = np.ndarray


def hit_rate(distance: Array, capacity: Array) -> Array:
    """Chance that data is still cached after `distance` bytes of other traffic.

    1 / (1 + (distance / capacity)²): near 1 while the traffic fits, falling smoothly as it
    exceeds the capacity. A capacity of 0 (no shared cache) never hits: it is taken for one that a
    single byte overflows.
    """
    ratio = distance / np.fmax(capacity, NO_CACHE)
    return np.asarray(1 / (1 + ratio**2))


def seconds_per_byte(hit: Array, dram_bandwidth: Array, cache_bandwidth: Array) -> Array:
    """Time per byte when a share `hit` comes from the cache and the rest from DRAM."""
    far = 1 / dram_bandwidth
    return np.asarray(far - hit * (far - 1 / np.maximum(cache_bandwidth, dram_bandwidth)))
