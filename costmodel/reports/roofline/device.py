"""The roofline of a device alone, in a terminal: its peaks, its bandwidths, where they meet."""

from __future__ import annotations

import math

from costmodel.hardware import DeviceProfile
from costmodel.hardware.dtypes import is_integer
from costmodel.reports.roofline.roofs import level_diagonals, peak_roofs
from costmodel.reports.roofline.terminal import draw_axes, draw_ceilings, new_figure, text_of


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
