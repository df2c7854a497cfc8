"""A comparison of operators as plotly figures, and the offline page around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from math import ceil, floor, log10
from typing import Any, NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from costmodel.reports import theme
from costmodel.reports.operator_comparison import OPERATORS, OperatorComparison, Point
from costmodel.reports.operator_report import VERDICT, heading
from costmodel.reports.page import Section, html_page, plain
from costmodel.reports.text import (
    show_bytes,
    show_flops,
    show_flops_rate,
    show_intensity,
    show_macs,
    show_time,
)


class Panel(NamedTuple):
    """One quantity over channels."""

    title: str
    value: Callable[[Point], float]
    show: Callable[[float], str]
    """Text of a tick, with its unit."""


PANELS = (
    Panel("Latency", lambda point: point.time, show_time),
    Panel("Achieved arithmetic", lambda point: point.achieved_flops, show_flops_rate),
    Panel("Multiply-accumulates", lambda point: point.macs, show_macs),
    Panel("Arithmetic intensity", lambda point: point.intensity, show_intensity),
)


def operator_figure(comparison: OperatorComparison) -> Any:
    """Four panels over channels; nothing is shown.

    Where an operator has fewer FLOPs than another and is not faster, its latency wears a ring,
    and the range of channels is shaded.
    """
    figure = make_subplots(
        rows=2, cols=2, subplot_titles=[panel.title for panel in PANELS],
        horizontal_spacing=0.1, vertical_spacing=0.14,
    )  # fmt: skip
    dense = len(comparison.channels) > 24
    for index, panel in enumerate(PANELS):
        place = {"row": index // 2 + 1, "col": index % 2 + 1}
        for number, operator in enumerate(comparison.operators):
            points = comparison.of(operator)
            figure.add_trace(
                go.Scatter(
                    x=[point.channels for point in points],
                    y=[panel.value(point) for point in points],
                    mode="lines" if dense else "lines+markers",
                    name=plain(operator),
                    legendgroup=operator,
                    showlegend=index == 0,
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
        figure.update_xaxes(type="log", title="channels", exponentformat="none", **place)
        figure.update_xaxes(tickvals=_ticks(comparison.channels), **place)
        values = [panel.value(point) for point in comparison.points]
        figure.update_yaxes(**_log_axis(values, panel.show), **place)
    beaten = [point for point in comparison.points if point.beaten_by]
    if beaten:
        figure.add_trace(
            go.Scatter(
                x=[point.channels for point in beaten],
                y=[point.time for point in beaten],
                mode="markers",
                name="fewer FLOPs, not faster",
                marker={
                    "symbol": "circle-open", "size": 12, "color": theme.WARNING,
                    "line": {"width": 2},
                },
                hoverinfo="skip",
            ),
            row=1, col=1,
        )  # fmt: skip
        for low, high in beaten_ranges(comparison):
            for row, col in ((1, 1), (1, 2)):
                figure.add_vrect(
                    x0=low, x1=high, row=row, col=col,
                    fillcolor=theme.WARNING, opacity=0.1, line_width=0, layer="below",
                )  # fmt: skip
    figure.update_layout(
        template=theme.template("light"),
        height=900,
        margin={"l": 70, "r": 20, "t": 40, "b": 60},
        legend={"title": "operator"},
        hovermode="closest",
    )
    return figure


def _log_axis(values: Sequence[float], show: Callable[[float], str]) -> dict[str, Any]:
    """A logarithmic axis of a decade at least, with ticks at 1, 2 and 5 where there are few."""
    low, high = log10(min(values) / 1.5), log10(max(values) * 1.5)
    if high - low < 1:
        low, high = (low + high - 1) / 2, (low + high + 1) / 2
    steps = (1, 2, 5) if high - low < 2 else (1,)
    ticks = [step * 10.0**decade for decade in range(floor(low), ceil(high)) for step in steps]
    return {
        "type": "log",
        "range": [low, high],
        "exponentformat": "SI",
        "tickvals": ticks,
        "ticktext": [show(tick) for tick in ticks],
    }


def beaten_ranges(comparison: OperatorComparison) -> Iterator[tuple[float, float]]:
    """Ranges of channels in which some operator has fewer FLOPs and is not faster.

    A range ends half-way (by ratio) to the next number of channels looked at.
    """
    counts = comparison.channels
    marked = {point.channels for point in comparison.points if point.beaten_by}
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


def verdicts(comparison: OperatorComparison) -> tuple[str, ...]:
    """Sentences: which operator has fewer FLOPs and is not faster, from where to where."""
    found: dict[tuple[str, str], list[int]] = {}
    for point in comparison.points:
        for other in point.beaten_by:
            found.setdefault((point.operator, other), []).append(point.channels)
    return tuple(
        f"{operator} has fewer FLOPs than {other} and is not faster at "
        f"{_spans(channels, comparison.channels)} channels"
        for (operator, other), channels in found.items()
    ) or ("Here fewer FLOPs are always faster.",)


def _spans(found: Sequence[int], looked_at: Sequence[int]) -> str:
    spans: list[list[int]] = []
    for count in found:
        if spans and looked_at.index(count) == looked_at.index(spans[-1][-1]) + 1:
            spans[-1].append(count)
        else:
            spans.append([count])
    return ", ".join(f"{s[0]} to {s[-1]}" if len(s) > 1 else f"{s[0]}" for s in spans)


def operator_page(comparisons: Sequence[OperatorComparison]) -> str:
    """The figures and what they say, as one offline HTML page."""
    sections = []
    for comparison in comparisons:
        sections.append(
            Section(
                heading(comparison),
                "Shaded: fewer FLOPs, and still not faster than another operator.",
                operator_figure(comparison),
                items=verdicts(comparison),
            )
        )
    notes = dict.fromkeys(note for comparison in comparisons for note in comparison.notes)
    names = {operator.partition(":")[0] for c in comparisons for operator in c.operators}
    meanings = tuple(f"{name}: {OPERATORS[name]}" for name in OPERATORS if name in names)
    sections.append(Section("Operators and assumptions", items=(*meanings, *notes)))
    return html_page(
        "When are fewer FLOPs not faster?",
        "Convolutions compared over channels: predicted from shapes and device peaks, "
        "nothing was measured.",
        sections,
    )
