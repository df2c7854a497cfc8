"""A comparison of operators as plotly figures: quantities over channels, FLOPs against latency."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from math import ceil, floor, log10
from typing import Any, NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from costmodel.reports import theme
from costmodel.reports.operators.comparison import OperatorComparison, Point
from costmodel.reports.operators.report import VERDICT
from costmodel.reports.page import plain
from costmodel.reports.text import (
    show_bytes,
    show_flops,
    show_flops_rate,
    show_intensity,
    show_macs,
    show_time,
)

COLUMNS = 2
SHADE = 0.12
"""Opacity of a shaded range; those of several operators add up."""


class Panel(NamedTuple):
    """One quantity of an operator."""

    title: str
    value: Callable[[Point], float]
    show: Callable[[float], str]
    """Text of a tick, with its unit."""
    shaded: bool = False
    """Whether the range is shaded where fewer FLOPs are not faster."""


LATENCY = Panel("Latency", lambda point: point.time, show_time, shaded=True)
FLOPS = Panel("FLOPs", lambda point: point.flops, show_flops, shaded=True)
PANELS = (
    LATENCY,
    FLOPS,
    Panel("Achieved FLOPS", lambda point: point.achieved_flops, show_flops_rate),
    Panel("Bytes moved", lambda point: point.bytes, show_bytes),
    Panel("Arithmetic intensity", lambda point: point.intensity, show_intensity),
)
"""Over channels; FLOPs against latency is drawn beside them."""


def operator_figure(comparison: OperatorComparison) -> Any:
    """Five quantities over channels, and latency over FLOPs; nothing is shown.

    Where an operator has fewer FLOPs than another and is not faster, its latency wears a ring,
    and the range of channels is shaded: the darker, the more operators.
    """
    titles = [panel.title for panel in PANELS] + ["Latency against FLOPs"]
    figure = make_subplots(
        rows=len(titles) // COLUMNS, cols=COLUMNS, subplot_titles=titles,
        horizontal_spacing=0.1, vertical_spacing=0.1,
    )  # fmt: skip
    for index, panel in enumerate(PANELS):
        place = _place(index)
        _draw(figure, comparison, lambda point: point.channels, panel.value, place)
        figure.update_xaxes(type="log", title="channels", exponentformat="none", **place)
        figure.update_xaxes(tickvals=_ticks(comparison.channels), **place)
        values = [panel.value(point) for point in comparison.points]
        figure.update_yaxes(**_log_axis(values, panel.show), **place)
        if panel.shaded:
            for operator in comparison.operators:
                for low, high in beaten_ranges(comparison, operator):
                    figure.add_vrect(
                        x0=low, x1=high, fillcolor=theme.WARNING, opacity=SHADE, line_width=0,
                        layer="below", **place,
                    )  # fmt: skip
    last = _place(len(PANELS))
    _draw(figure, comparison, FLOPS.value, LATENCY.value, last)
    figure.update_xaxes(**_log_axis([p.flops for p in comparison.points], show_flops), **last)
    figure.update_yaxes(**_log_axis([p.time for p in comparison.points], show_time), **last)
    _mark_beaten(figure, comparison)
    figure.update_layout(
        template=theme.template("light"),
        height=1250,
        margin={"l": 70, "r": 20, "t": 40, "b": 60},
        legend={"title": "operator"},
        hovermode="closest",
    )
    return figure


def _place(index: int) -> dict[str, int]:
    return {"row": index // COLUMNS + 1, "col": index % COLUMNS + 1}


def _draw(
    figure: Any,
    comparison: OperatorComparison,
    x: Callable[[Point], float],
    y: Callable[[Point], float],
    place: dict[str, int],
) -> None:
    """A line per operator in one panel; the first panel has the legend."""
    dense = len(comparison.channels) > 24
    for number, operator in enumerate(comparison.operators):
        points = comparison.of(operator)
        figure.add_trace(
            go.Scatter(
                x=[x(point) for point in points],
                y=[y(point) for point in points],
                mode="lines" if dense else "lines+markers",
                name=plain(operator),
                legendgroup=operator,
                showlegend=place == _place(0),
                line={
                    "color": theme.SERIES[number % len(theme.SERIES)],
                    "dash": theme.DASHES[number % len(theme.DASHES)],
                    "width": 2.5,
                },
                marker={"symbol": theme.MARKS[number % len(theme.MARKS)], "size": 8},
                text=[_hover(point) for point in points],
                hovertemplate="%{text}<extra></extra>",
            ),
            **place,
        )


def _mark_beaten(figure: Any, comparison: OperatorComparison) -> None:
    beaten = [point for point in comparison.points if point.beaten_by]
    for index, x in ((0, "channels"), (len(PANELS), "flops")):
        figure.add_trace(
            go.Scatter(
                x=[getattr(point, x) for point in beaten],
                y=[point.time for point in beaten],
                mode="markers",
                name="fewer FLOPs, not faster",
                legendgroup="beaten",
                showlegend=bool(beaten) and index == 0,
                marker={
                    "symbol": "circle-open", "size": 12, "color": theme.WARNING,
                    "line": {"width": 2},
                },
                hoverinfo="skip",
            ),
            **_place(index),
        )  # fmt: skip


def _log_axis(values: Sequence[float], show: Callable[[float], str]) -> dict[str, Any]:
    """A logarithmic axis of a decade at least, with ticks at 1, 2 and 5 where there are few."""
    low, high = log10(min(values) / 1.5), log10(max(values) * 1.5)
    if high - low < 1:
        low, high = (low + high - 1) / 2, (low + high + 1) / 2
    steps = (1, 2, 5) if high - low < 2 else (1,)
    ticks = [
        step * 10.0 ** (decade % 3) * (1024 if show is show_bytes else 1000.0) ** (decade // 3)
        for decade in range(floor(low) - 1, ceil(high))
        for step in steps
    ]
    return {
        "type": "log",
        "range": [low, high],
        "exponentformat": "SI",
        "tickvals": ticks,
        "ticktext": [show(tick) for tick in ticks],
    }


def beaten_ranges(comparison: OperatorComparison, operator: str) -> Iterator[tuple[float, float]]:
    """Ranges of channels in which an operator has fewer FLOPs than another and is not faster.

    A range ends half-way (by ratio) to the next number of channels looked at.
    """
    counts = comparison.channels
    marked = {point.channels for point in comparison.of(operator) if point.beaten_by}
    position = 0
    for is_marked, group in groupby(counts, key=lambda count: count in marked):
        run = list(group)
        before = counts[position - 1] if position else run[0]
        position += len(run)
        after = counts[position] if position < len(counts) else run[-1]
        if is_marked:
            yield (before * run[0]) ** 0.5, (after * run[-1]) ** 0.5


def _ticks(channels: Sequence[int]) -> list[int]:
    """Doublings from the first number of channels on; all of them if they are few."""
    if len(channels) <= 8:
        return list(channels)
    return [channels[0] << i for i in range((channels[-1] // channels[0]).bit_length())]


def _hover(point: Point) -> str:
    lines = [
        f"<b>{plain(point.operator)}</b>, {point.channels} channels",
        f"{show_macs(point.macs)}, {show_flops(point.flops)}",
        f"{show_bytes(point.bytes)} moved, {show_intensity(point.intensity)}",
        f"{show_time(point.time)}, {point.bound} bound",
        f"{show_flops_rate(point.achieved_flops)} achieved",
    ]
    if point.beaten_by:
        lines.append(f"{VERDICT} {plain(', '.join(point.beaten_by))}")
    return "<br>".join(lines)
