"""The roofline chart as a plotly figure.

FLOP per byte against FLOP/s, both logarithmic: a diagonal per memory level, a roof per precision
and engine, ridge points where the two meet, an operator's dot sized by its share of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log10, sqrt
from typing import Any

import plotly.graph_objects as go

from costmodel.estimation import Estimate
from costmodel.reports import theme
from costmodel.reports.page import plain
from costmodel.reports.roofline_view import Dot, RooflineView, roofline_view
from costmodel.reports.roofs import Diagonal
from costmodel.reports.text import (
    percent,
    show_bytes,
    show_flops,
    show_flops_rate,
    show_intensity,
    show_macs,
    show_time,
)
from costmodel.units import format_si

PANEL_HEIGHT = 560
TITLE_ROOM = 125
"""Pixels between panels: the axis title of one and the title of the next."""
COLUMN_ROOM = 0.09
"""Share of the width between two columns."""
LABEL = 16
"""Pixels of a line of small text."""
NAMED = 0.45
"""Share of the width that the name of a roof may take."""
NAMES_IN_HOVER = 4

Ranges = tuple[tuple[float, float], tuple[float, float]]
"""FLOP per byte from and to, FLOP/s from and to."""


def roofline_figure(estimates: Sequence[Estimate], columns: int = 2) -> Any:
    """A plotly figure with one panel per estimate, all on the same axes; nothing is shown.

    Args:
        estimates: of any models, devices, batches and precisions.
        columns: how many panels stand side by side.
    """
    return go.Figure(roofline_document(estimates, columns))


def roofline_document(
    estimates: Sequence[Estimate], columns: int = 2, ranges: Ranges | None = None
) -> dict[str, Any]:
    """`roofline_figure` as plain data and layout.

    Many times quicker to make than objects of plotly, for a page that draws while one watches.

    Args:
        estimates: of any models, devices, batches and precisions.
        columns: how many panels stand side by side.
        ranges: of the axes, by default wide enough for these estimates.
    """
    views = [roofline_view(estimate) for estimate in estimates]
    width = min(columns, len(views))
    height = ceil(len(views) / width)
    x_range, y_range = ranges or shared_ranges(views)
    data: list[dict[str, Any]] = []
    texts: list[dict[str, Any]] = []
    axes: dict[str, Any] = {}
    named: set[str] = set()
    for index, view in enumerate(views):
        number = str(index + 1) if index else ""
        place = {"xaxis": f"x{number}", "yaxis": f"y{number}"}
        kinds = list(dict.fromkeys(dot.kind for dot in view.drawn))
        dots = [_dots(view, kind, legend=kind not in named) for kind in kinds]
        named.update(kinds)
        data += [{**trace, **place} for trace in (*_lines(view, x_range), *dots)]
        across, up = _domains(index, width, height)
        references = {"xref": place["xaxis"], "yref": place["yaxis"]}
        texts.append(_title(view, across, up))
        texts += [{**text, **references} for text in _labels(view, x_range, y_range)]
        axes[f"xaxis{number}"] = {
            "type": "log", "dtick": 1, "exponentformat": "SI",
            "range": [log10(x) for x in x_range], "domain": across, "anchor": place["yaxis"],
            "title": {"text": "arithmetic intensity (FLOP/byte)"},
        }  # fmt: skip
        axes[f"yaxis{number}"] = {
            "type": "log", "dtick": 1, "exponentformat": "SI",
            "range": [log10(y) for y in y_range], "domain": up, "anchor": place["xaxis"],
            "title": {"text": "performance (FLOP/s)"}, **_peta_ticks(y_range),
        }  # fmt: skip
    layout = {
        **axes,
        "annotations": texts,
        "template": theme.template("light"),
        "height": PANEL_HEIGHT * height + 160,
        "margin": {"l": 70, "r": 20, "t": 100, "b": 60},
        "legend": {
            "title": {"text": "operator kind"},
            "itemsizing": "constant",
            "orientation": "h",
            "yref": "container",
            "y": 1,
            "yanchor": "top",
            "x": 0,
        },
        "hovermode": "closest",
    }
    return {"data": data, "layout": theme.with_narrow(layout, len(named), kept=_on_narrow)}


def _on_narrow(text: dict[str, Any]) -> bool:
    """Whether an annotation is drawn on a narrow screen: titles and what is in use."""
    return text["font"]["size"] != 10.5 and "yshift" not in text


def shared_ranges(views: Sequence[RooflineView]) -> Ranges:
    """Axes wide enough for several charts, so that they can be compared by eye."""
    return _union([v.x_range() for v in views]), _union([v.y_range() for v in views])


def _domains(index: int, width: int, height: int) -> tuple[list[float], list[float]]:
    """Where a panel stands, as shares of the figure from the left and from the bottom."""
    row, column = divmod(index, width)
    across = (1 - COLUMN_ROOM * (width - 1)) / width
    room = 0.0 if height == 1 else TITLE_ROOM / (PANEL_HEIGHT * height)
    up = (1 - room * (height - 1)) / height
    left, top = column * (across + COLUMN_ROOM), 1 - row * (up + room)
    return [left, left + across], [max(top - up, 0.0), top]


def _title(view: RooflineView, across: list[float], up: list[float]) -> dict[str, Any]:
    return {
        "text": panel_title(view), "showarrow": False, "font": {"size": 16},
        "x": sum(across) / 2, "y": up[1], "xref": "paper", "yref": "paper",
        "xanchor": "center", "yanchor": "bottom",
    }  # fmt: skip


def panel_title(view: RooflineView) -> str:
    """What a panel shows, as plotly text."""
    e = view.estimate
    return (
        f"<b>{plain(e.graph.name)}</b> on <b>{plain(e.device)}</b><br>"
        f"batch {e.batch}, {e.precision.name}: {show_time(e.latency)}"
    )


def _peta_ticks(y_range: tuple[float, float]) -> dict[str, Any]:
    """Ticks written out where plotly's SI prefixes, which end at tera, do not reach."""
    if y_range[1] < 1e15:
        return {}
    decades = range(ceil(log10(y_range[0])), ceil(log10(y_range[1])))
    texts = [format_si(10.0**decade, "").replace(" ", "") for decade in decades]
    return {"tickvals": [10.0**decade for decade in decades], "ticktext": texts}


def _union(ranges: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _lines(view: RooflineView, x_range: tuple[float, float]) -> list[dict[str, Any]]:
    highest = view.highest
    traces = []
    for diagonal in view.diagonals:
        x = [x_range[0], highest / diagonal.bandwidth]
        traces.append(
            _scatter(
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
            _scatter(
                x=[roof.peak / fastest, x_range[1]], y=[roof.peak] * 2, mode="lines",
                line={"color": theme.ROOF, "width": 2.5, "dash": theme.DASHES[number % 6]},
                hovertemplate=f"{plain(roof.label)}: {show_flops_rate(roof.peak)}<extra></extra>",
                showlegend=False,
            )
        )  # fmt: skip
    for roof in view.others:
        traces.append(
            _scatter(
                x=[roof.peak / fastest, x_range[1]], y=[roof.peak] * 2, mode="lines",
                line={"color": theme.ROOF, "width": 1, "dash": "dot"},
                hovertemplate=f"{plain(roof.label)}: {show_flops_rate(roof.peak)}, not used here"
                "<extra></extra>",
                showlegend=False,
            )
        )  # fmt: skip
    ridges = [(roof, diagonal) for roof in view.roofs for diagonal in view.diagonals]
    traces.append(
        _scatter(
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


def _scatter(**fields: Any) -> dict[str, Any]:
    return {"type": "scatter", **fields}


def _diagonal_name(diagonal: Diagonal) -> str:
    return f"{plain(diagonal.level)} {format_si(diagonal.bandwidth, 'B/s')}"


def _labels(
    view: RooflineView, x_range: tuple[float, float], y_range: tuple[float, float]
) -> list[dict[str, Any]]:
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
                "showarrow": False, "font": {"size": 12 if used else 10.5}, "xanchor": "right",
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


def _dots(view: RooflineView, kind: str, legend: bool) -> dict[str, Any]:
    dots = [dot for dot in view.drawn if dot.kind == kind]
    mark = theme.mark_of(kind)
    return _scatter(
        x=[dot.intensity for dot in dots],
        y=[dot.achieved for dot in dots],
        mode="markers",
        name=plain(kind),
        legendgroup=kind,
        showlegend=legend,
        marker={
            "color": mark.colour,
            "symbol": mark.symbol,
            "size": [max(7.0, 70 * sqrt(dot.share)) for dot in dots],
            "opacity": 0.8,
            "line": {"width": 1, "color": theme.ROOF},
        },
        text=[hover_text(dot) for dot in dots],
        hovertemplate="%{text}<extra></extra>",
    )


def hover_text(dot: Dot) -> str:
    """What a dot says when pointed at, as plotly text."""
    names = [plain(name) for name in dot.names[:NAMES_IN_HOVER]]
    more = len(dot.names) - len(names)
    if more:
        names.append(f"and {more} more")
    lines = [
        f"<b>{'<br>'.join(names)}</b>",
        f"{plain(dot.op)} ({plain(dot.kind)})",
        plain(dot.shapes),
        f"<i>{plain(dot.formula)}</i>",
        f"{show_macs(dot.macs)}, {show_flops(dot.flops)}, {show_bytes(dot.bytes)} moved",
        f"{show_intensity(dot.intensity)}, {dot.bound} bound",
        f"{show_flops_rate(dot.achieved)} = {percent(dot.achieved / dot.roof.peak)} "
        f"of {plain(dot.roof.label)}",
        f"{show_time(dot.time)} each, {percent(dot.share)} of the time together",
    ]
    return "<br>".join(lines)
