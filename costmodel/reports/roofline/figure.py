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
from costmodel.reports.roofline.ceilings import (
    PANEL_HEIGHT,
    ceiling_labels,
    ceiling_lines,
    on_narrow,
    scatter,
)
from costmodel.reports.roofline.view import Dot, RooflineView, roofline_view
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

TITLE_ROOM = 125
"""Pixels between panels: the axis title of one and the title of the next."""
COLUMN_ROOM = 0.09
"""Share of the width between two columns."""
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
        data += [{**trace, **place} for trace in (*ceiling_lines(view, x_range), *dots)]
        across, up = _domains(index, width, height)
        references = {"xref": place["xaxis"], "yref": place["yaxis"]}
        texts.append(_title(view, across, up))
        texts += [{**text, **references} for text in ceiling_labels(view, x_range, y_range)]
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
    return {"data": data, "layout": theme.with_narrow(layout, len(named), kept=on_narrow)}


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


def _dots(view: RooflineView, kind: str, legend: bool) -> dict[str, Any]:
    dots = [dot for dot in view.drawn if dot.kind == kind]
    mark = theme.mark_of(kind)
    return scatter(
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
