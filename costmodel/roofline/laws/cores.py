"""The cores of CPUs, as all operators meet them: worked out once for each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from costmodel.roofline.device_columns import DeviceColumns
from costmodel.roofline.once import once

Array = np.ndarray

UNKNOWN_CLOCK = 2e9
"""Hz, where a profile states no clock at all."""


@once
def core_clock(devices: DeviceColumns) -> Array:
    """(devices,) clock of the cores in use over the base clock, which their peaks are quoted at.

    The boost clock for one core of many, the sustained clock for all of them, geometrically
    between; the base clock, which the vendor guarantees, where no sustained clock is known.
    """
    boost = np.nan_to_num(devices.clock / devices.base_clock, nan=1.0)
    together = np.nan_to_num(devices.sustained_clock / devices.base_clock, nan=1.0)
    return np.asarray(boost ** (1 - devices.core_share) * together**devices.core_share)


class Cores(NamedTuple):
    """What all operators share; (devices, 1, 1) arrays."""

    in_use: Array
    """Cores."""
    faster: Array
    """Their clock over the base clock."""
    rated: Array
    """Base clock, Hz."""
    vector_bytes: Array
    """Of a register."""
    cache: Array
    """Bytes of all caches behind the first."""


@once
def cores_of(devices: DeviceColumns) -> Cores:
    """Their numbers; what a profile does not state is the least there can be."""

    def column(values: Array, unknown: float = 0.0) -> Array:
        return np.where(np.isnan(values), unknown, values)[:, None, None]

    rated = np.where(np.isnan(devices.base_clock), devices.clock, devices.base_clock)
    return Cores(
        in_use=column(devices.units, 1.0),
        faster=core_clock(devices)[:, None, None],
        rated=column(rated, UNKNOWN_CLOCK),
        vector_bytes=column(devices.vector_bits, 128.0) / 8,
        cache=column(devices.l2_capacity) + column(devices.core_cache),
    )
