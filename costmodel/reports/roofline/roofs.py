"""Roofs and diagonals of a device: the dense peaks and the memory bandwidths of its profile."""

from __future__ import annotations

from typing import NamedTuple

from costmodel.hardware import DeviceProfile
from costmodel.hardware.display import peak_name
from costmodel.hardware.dtypes import is_integer

SAME = 1.03
"""Peaks closer than this share a line."""


class Roof(NamedTuple):
    """The peak of one dtype on one engine."""

    label: str
    peak: float
    """FLOP/s."""


class Diagonal(NamedTuple):
    """The bandwidth of one memory level."""

    level: str
    bandwidth: float
    """B/s."""
    main: bool
    """Whether it is the memory that the estimate reads from and writes to."""


def peak_roofs(profile: DeviceProfile) -> tuple[Roof, ...]:
    """The dense peaks, slowest first; equal ones are one roof with the names of all."""
    rows = [row for row in profile.peaks if row.si is not None and not is_integer(row.dtype)]
    rows = rows or [row for row in profile.peaks if row.si is not None]
    roofs: list[Roof] = []
    for row in sorted(rows, key=lambda row: row.si or 0.0):
        name, peak = peak_name(row).partition(",")[0], row.si or 0.0
        if roofs and peak <= roofs[-1].peak * SAME:
            if name not in roofs[-1].label.split(", "):
                roofs[-1] = Roof(f"{roofs[-1].label}, {name}", roofs[-1].peak)
        else:
            roofs.append(Roof(name, peak))
    return tuple(roofs)


def level_diagonals(profile: DeviceProfile) -> tuple[Diagonal, ...]:
    """The memory levels whose bandwidth is known, innermost first."""
    rates = ((level.name, profile.bandwidth(level.name)) for level in profile.memory)
    main = profile.main_memory
    return tuple(Diagonal(name, rate, name == main) for name, rate in rates if rate is not None)
