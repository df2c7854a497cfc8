"""The ceilings of a roofline chart as plotly draws them: diagonals, roofs, ridge points, names."""

from __future__ import annotations

from math import log10
from typing import Any

from costmodel.reports import theme
from costmodel.reports.page import plain
from costmodel.reports.roofline.roofs import Diagonal
from costmodel.reports.roofline.view import RooflineView
from costmodel.reports.text import show_flops_rate, show_intensity
from costmodel.units import format_si

PANEL_HEIGHT = 560
"""Pixels of a panel without title and axes."""
LABEL = 16
"""Pixels of a line of small text."""
SMALL = 10.5
"""Size of the names of what is not used."""
NAMED = 0.45
"""Share of the width that the name of a roof may take."""


def ceiling_lines(view: RooflineView, x_range: tuple[float, float]) -> list[dict[str, Any]]:
    """Diagonals, roofs and ridge points as traces; what is not used is thin."""
    highest = view.highest
    traces = []
    for diagonal in view.diagonals:
        x = [x_range[0], highest / diagonal.bandwidth]
        traces.append(
            scatter(
                x=x, y=[value * diagonal.bandwidth for value in x], mode="lines",
                line={
                    "color": theme.ROOF, "width": 2.5 if diagonal.main else 1.2,
                    "dash": "solid" if diagonal.main else "dot",
                },
                hovertemplate=f"{_diagonal_name(diagonal)}<extra></extra>", showlegend=False,
            )
        )  # fmt: skip
    fastest = max(diagonal.bandwidth for diagonal in view.diagonals)
    for number, roof in enumerate(reversed(view.roofs)):
        traces.append(
            scatter(
                x=[roof.peak / fastest, x_range[1]], y=[roof.peak] * 2, mode="lines",
                line={"color": theme.ROOF, "width": 2.5, "dash": theme.DASHES[number % 6]},
                hovertemplate=f"{plain(roof.label)}: {show_flops_rate(roof.peak)}<extra></extra>",
                showlegend=False,
            )
        )  # fmt: skip
    for roof in view.others:
        traces.append(
            scatter(
                x=[roof.peak / fastest, x_range[1]], y=[roof.peak] * 2, mode="lines",
                line={"color": theme.ROOF, "width": 1, "dash": "dot"},
                hovertemplate=f"{plain(roof.label)}: {show_flops_rate(roof.peak)}, not used here"
                "<extra></extra>",
                showlegend=False,
            )
        )  # fmt: skip
    ridges = [(roof, diagonal) for roof in view.roofs for diagonal in view.diagonals]
    traces.append(
        scatter(
            x=[roof.peak / diagonal.bandwidth for roof, diagonal in ridges],
            y=[roof.peak for roof, _ in ridges],
            mode="markers",
            marker={
                "symbol": "diamond-open", "color": theme.ROOF, "line": {"width": 2},
                "size": [12 if diagonal.main else 7 for _, diagonal in ridges],
            },
            text=[
                f"<b>ridge point</b> {show_intensity(roof.peak / diagonal.bandwidth)}<br>"
                f"{plain(roof.label)} meets {plain(diagonal.level)}"
                for roof, diagonal in ridges
            ],
            hovertemplate="%{text}<extra></extra>", showlegend=False,
        )
    )  # fmt: skip
    return traces


def scatter(**fields: Any) -> dict[str, Any]:
    """A plotly scatter trace as plain data."""
    return {"type": "scatter", **fields}


def _diagonal_name(diagonal: Diagonal) -> str:
    return f"{plain(diagonal.level)} {format_si(diagonal.bandwidth, 'B/s')}"


def ceiling_labels(
    view: RooflineView, x_range: tuple[float, float], y_range: tuple[float, float]
) -> list[dict[str, Any]]:
    """Names of roofs and diagonals as annotations."""
    return [*_roof_labels(view, x_range, y_range), *_diagonal_labels(view, x_range)]


def _roof_labels(
    view: RooflineView, x_range: tuple[float, float], y_range: tuple[float, float]
) -> list[dict[str, Any]]:
    """Names at the right end of the roofs; those in use come first, others where there is room."""
    per_decade = PANEL_HEIGHT / log10(y_range[1] / y_range[0])
    lines = [log10(roof.peak) * per_decade for roof in (*view.roofs, *view.others)]
    taken: list[float] = []
    labels = []
    for roof in (*view.roofs, *view.others):
        used, line = roof in view.roofs, log10(roof.peak) * per_decade
        above = not any(line < other < line + LABEL for other in lines)
        middle = line + (LABEL / 2 if above else -LABEL / 2)
        if any(abs(middle - other) < LABEL for other in taken):
            if not used:
                continue
            above, middle = not above, 2 * line - middle
        taken.append(middle)
        labels.append(
            {
                "showarrow": False, "font": {"size": 12 if used else SMALL}, "xanchor": "right",
                "x": log10(x_range[1]), "y": log10(roof.peak), "xshift": -2,
                "yanchor": "bottom" if above else "top", "opacity": 1 if used else 0.8,
                "text": f"{plain(roof.label)} {show_flops_rate(roof.peak)}",
            }
        )  # fmt: skip
    return labels


def _diagonal_labels(view: RooflineView, x_range: tuple[float, float]) -> list[dict[str, Any]]:
    """A diagonal is named above its upper end, higher where the next one ends close by."""
    top = view.highest
    decades = log10(x_range[1] / x_range[0])
    labels: list[dict[str, Any]] = []
    ends: list[float] = []
    for diagonal in sorted(view.diagonals, key=lambda d: -d.bandwidth):
        end = log10(top / diagonal.bandwidth)
        level = next(i for i in range(99) if i >= len(ends) or end - ends[i] > 0.22 * decades)
        ends[level : level + 1] = [end]
        over_names = end > log10(x_range[1]) - NAMED * decades  # of roofs, at their right end
        labels.append(
            {
                "showarrow": False, "font": {"size": 12}, "x": end, "y": log10(top),
                "xanchor": "center", "yanchor": "bottom",
                "yshift": 8 + LABEL * (level + over_names),
                "text": _diagonal_name(diagonal),
            }
        )  # fmt: skip
    return labels


def on_narrow(text: dict[str, Any]) -> bool:
    """Whether an annotation is drawn on a narrow screen: titles and what is in use."""
    return text["font"]["size"] != SMALL and "yshift" not in text
