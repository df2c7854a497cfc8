"""The roofline chart as a plotly figure, and the offline page around it.

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
from costmodel.reports.page import Card, Section, html_page, plain
from costmodel.reports.prediction import notes_of
from costmodel.reports.roofline_view import Diagonal, Dot, RooflineView, roofline_view
from costmodel.reports.table import Column, Table
from costmodel.reports.text import (
    count,
    percent,
    show_bytes,
    show_flops,
    show_flops_rate,
    show_intensity,
    show_macs,
    show_rate,
    show_time,
)
from costmodel.units import format_si

PANEL_HEIGHT = 560
TITLE_ROOM = 125
"""Pixels between panels: the axis title of one and the title of the next."""
COLUMN_ROOM = 0.09
"""Share of the width between two columns."""
NAMES_IN_HOVER = 4


def roofline_figure(estimates: Sequence[Estimate], columns: int = 2) -> Any:
    """A plotly figure with one panel per estimate, all on the same axes; nothing is shown.

    Args:
        estimates: of any models, devices, batches and precisions.
        columns: how many panels stand side by side.
    """
    return go.Figure(roofline_document(estimates, columns))


def roofline_document(estimates: Sequence[Estimate], columns: int = 2) -> dict[str, Any]:
    """`roofline_figure` as plain data and layout.

    Many times quicker to make than objects of plotly, for a page that draws while one watches.
    """
    views = [roofline_view(estimate) for estimate in estimates]
    width = min(columns, len(views))
    height = ceil(len(views) / width)
    x_range = _union([view.x_range() for view in views])
    y_range = _union([view.y_range() for view in views])
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
        texts += [{**text, **references} for text in _labels(view, x_range)]
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
    return {"data": data, "layout": layout}


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
    highest = view.roofs[-1].peak
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
    start = min(diagonal.bandwidth for diagonal in view.diagonals[:1])
    for number, roof in enumerate(reversed(view.roofs)):
        fastest = max(start, *(diagonal.bandwidth for diagonal in view.diagonals))
        traces.append(
            _scatter(
                x=[roof.peak / fastest, x_range[1]], y=[roof.peak] * 2, mode="lines",
                line={"color": theme.ROOF, "width": 2.5, "dash": theme.DASHES[number % 6]},
                hovertemplate=f"{plain(roof.label)}: {show_flops_rate(roof.peak)}<extra></extra>",
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


def _labels(view: RooflineView, x_range: tuple[float, float]) -> list[dict[str, Any]]:
    common = {"showarrow": False, "font": {"size": 12}}
    # The highest of several roofs is named above its line, the others below, so that two
    # close roofs do not write over each other.
    above = view.roofs[-1] if len(view.roofs) > 1 else None
    roofs = [
        {
            **common, "x": log10(x_range[1]), "y": log10(roof.peak), "xanchor": "right",
            "yanchor": "bottom" if roof is above else "top", "align": "right", "xshift": -2,
            "text": f"{plain(roof.label)}<br>{show_flops_rate(roof.peak)}",
        }
        for roof in view.roofs
    ]  # fmt: skip
    # A diagonal is named above its upper end, higher where the next one ends close by.
    top = view.roofs[-1].peak
    decades = log10(x_range[1] / x_range[0])
    diagonals: list[dict[str, Any]] = []
    ends: list[float] = []
    for diagonal in sorted(view.diagonals, key=lambda d: -d.bandwidth):
        end = log10(top / diagonal.bandwidth)
        level = next(i for i in range(99) if i >= len(ends) or end - ends[i] > 0.22 * decades)
        ends[level : level + 1] = [end]
        diagonals.append(
            {
                **common, "x": end, "y": log10(top), "xanchor": "center", "yanchor": "bottom",
                "yshift": 8 + 16 * level, "text": _diagonal_name(diagonal),
            }
        )  # fmt: skip
    return roofs + diagonals


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


def roofline_page(estimates: Sequence[Estimate]) -> str:
    """The chart and what does not fit on it, as one offline HTML page."""
    views = [roofline_view(estimate) for estimate in estimates]
    models = ", ".join(dict.fromkeys(estimate.graph.name for estimate in estimates))
    sections = [
        Section(
            "Roofline",
            "A dot is an operator (equal ones share it), its area the share of the time. Near a "
            "diagonal, moving data limits it; near a roof, arithmetic does. The thick diagonal is "
            "main memory; what lies above it is helped by a cache, what lies far below loses time "
            "to launching, padding or narrow shapes.",
            roofline_figure(estimates, columns=_columns(estimates)),
        )
    ]
    left_out = [view for view in views if view.left_out]
    if left_out:
        sections.append(
            Section(
                "Without arithmetic",
                "These operators only move data: their intensity is 0 FLOP/byte, which "
                "logarithmic axes cannot show.",
                tables=tuple(_left_out(view) for view in left_out),
            )
        )
    notes = notes_of(estimates)
    if notes:
        sections.append(Section("Notes", items=notes))
    sections.append(Section("Where the ceilings come from", items=_sources(views)))
    return html_page(
        f"Roofline of {models}",
        "Predicted from operator shapes and device peaks; nothing was measured.",
        sections,
        [_card(estimate) for estimate in estimates],
    )


def _columns(estimates: Sequence[Estimate]) -> int:
    """Panels side by side: one per device if they are few, so that a row is a model."""
    devices = len({estimate.device for estimate in estimates})
    return devices if devices in (2, 3) else 2


def _card(estimate: Estimate) -> Card:
    share = estimate.time_by_bound[estimate.bound] / estimate.latency
    return Card(
        f"{estimate.graph.name} on {estimate.device}, batch {estimate.batch}, "
        f"{estimate.precision.name}",
        show_time(estimate.latency),
        f"{show_rate(estimate.throughput)} samples/s; {percent(share)} {estimate.bound} bound; "
        f"{show_flops_rate(estimate.achieved_flops)}",
    )


def _left_out(view: RooflineView) -> Table:
    columns = (
        Column("operator", "operator", right=False),
        Column("op", "op", right=False),
        Column("count", "count"),
        Column("bytes", "bytes moved, each", show_bytes),
        Column("time_s", "time, each", show_time),
        Column("time_share", "share together", percent),
    )
    rows = tuple(
        (dot.names[0], dot.op, len(dot.names), dot.bytes, dot.time, dot.share)
        for dot in view.left_out
    )
    e = view.estimate
    total = percent(sum(dot.share for dot in view.left_out))
    title = f"{e.graph.name} on {e.device}, batch {e.batch}, {e.precision.name}: "
    what = count(sum(len(dot.names) for dot in view.left_out), "operator")
    return Table(f"{title}{what}, {total} of the time", columns, rows)


def _sources(views: Sequence[RooflineView]) -> tuple[str, ...]:
    lines: dict[str, None] = {}
    for view in views:
        profile = view.estimate.target.profile
        for source in profile.sources.values():
            text = f"{profile.name}: {source.publisher}, {source.title}, {source.section}"
            lines[f"{text} ({source.date})"] = None
    return tuple(lines)
