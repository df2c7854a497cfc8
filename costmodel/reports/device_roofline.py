"""The roofline of a device alone, in a terminal: its peaks, its bandwidths, where they meet."""

from __future__ import annotations

import math

from costmodel.hardware import DeviceProfile
from costmodel.hardware.display import peak_name
from costmodel.hardware.dtypes import is_integer
from costmodel.reports.roofline_terminal import draw_axes, draw_ceilings, new_figure, text_of
from costmodel.reports.roofline_view import Diagonal, Roof

SAME = 1.03
"""Peaks closer than this share a line."""


def device_chart(profile: DeviceProfile, colour: bool, width: int | None = None) -> str:
    """A chart of plain characters; empty if no peak or no bandwidth is known.

    Integer peaks are drawn only where the device has no others.
    """
    roofs, diagonals = peak_roofs(profile), level_diagonals(profile)
    if not roofs or not diagonals:
        return ""
    ridges = [roof.peak / diagonal.bandwidth for roof in roofs for diagonal in diagonals]
    x_range = 10 ** math.floor(math.log10(min(ridges) / 3)), max(ridges) * 15
    slowest = min(diagonal.bandwidth for diagonal in diagonals)
    y_range = slowest * x_range[0], roofs[-1].peak * 8
    figure = new_figure(width)
    draw_ceilings(figure, roofs, diagonals, x_range, y_range)
    draw_axes(figure, x_range, y_range)
    levels = ", ".join(diagonal.level for diagonal in diagonals)
    figure.title(f"{profile.name}: dense peaks over {levels}")
    unit = "OP" if all(is_integer(row.dtype) for row in profile.peaks) else "FLOP"
    figure.label(f"{unit}/byte", "x")
    figure.label(f"{unit}/s", "y")
    return text_of(figure, colour)


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
