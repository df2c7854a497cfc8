"""A comparison of models as a page: the tables, latencies as bars, accuracy against latency."""

from __future__ import annotations

from math import log10
from typing import Any

import plotly.graph_objects as go

from costmodel.estimation import Estimate
from costmodel.reports import theme
from costmodel.reports.model.comparison import (
    Compared,
    Comparison,
    accuracy_sources,
    case_table,
    notes,
)
from costmodel.reports.page import Section, html_page, plain
from costmodel.reports.text import count, show_bytes, show_macs, show_rate, show_time
from costmodel.roofline.interval import Interval

BAR = 34
"""Pixels of a bar with the gap to the next."""


def pareto_front(points: list[tuple[float, float]]) -> list[int]:
    """Indices of the points that no other beats in both, from left to right.

    Args:
        points: (what should be small, what should be large).
    """
    front: list[int] = []
    for index in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if not front or points[index][1] > points[front[-1]][1]:
            front.append(index)
    return front


def accuracy_figure(comparison: Comparison, case: int) -> Any:
    """Published top-1 accuracy against predicted latency, with the models that none dominates.

    Bars are 90% intervals of the latency. Models without a published accuracy are left out.
    """
    known = [model for model in comparison.models if model.accuracy is not None]
    points = [(m.estimates[case].latency, m.accuracy.percent) for m in known if m.accuracy]
    front = pareto_front(points)
    figure = go.Figure()
    figure.add_trace(
        go.Scatter(
            x=[points[i][0] for i in front], y=[points[i][1] for i in front],
            mode="lines", line={"shape": "hv", "color": theme.ROOF, "width": 1.5},
            name="no other is both faster and more accurate", hoverinfo="skip",
        )
    )  # fmt: skip
    for name, members, symbol in (
        ("on the front", front, "circle"),
        ("behind it", [i for i in range(len(known)) if i not in front], "circle-open"),
    ):
        chosen = [known[i] for i in members]
        spans = [_span(model.estimates[case]) for model in chosen]
        figure.add_trace(
            go.Scatter(
                x=[points[i][0] for i in members], y=[points[i][1] for i in members],
                mode="markers+text", name=name, text=[plain(model.name) for model in chosen],
                textposition="top center", cliponaxis=False,
                marker={"symbol": symbol, "size": 11, "color": theme.BLUE, "line": {"width": 2}},
                error_x={
                    "type": "data", "symmetric": False, "thickness": 1, "color": theme.ROOF,
                    "array": [span.high - time for span, time in spans],
                    "arrayminus": [time - span.low for span, time in spans],
                },
                hovertext=[_hover(model, case) for model in chosen],
                hovertemplate="%{hovertext}<extra></extra>",
            )
        )  # fmt: skip
    ends = [p[0] for p in points]
    figure.update_xaxes(
        type="log", title="predicted latency", **_time_ticks(min(ends) / 1.6, max(ends) * 1.6)
    )
    figure.update_yaxes(title="published top-1 accuracy (%)")
    figure.update_layout(
        template=theme.template("light"),
        title={"text": plain(comparison.cases[case]), "font": {"size": 15}},
        height=520,
        margin={"l": 70, "r": 30, "t": 80, "b": 60},
        hovermode="closest",
        legend={"orientation": "h", "yref": "container", "y": 1, "yanchor": "top", "x": 0},
    )
    return theme.fit_narrow(figure, 3)


def _span(estimate: Estimate) -> tuple[Interval, float]:
    """The interval and the latency; an interval of no width where there is none."""
    time = estimate.latency
    return estimate.interval or Interval(time, time, ""), time


def _time_ticks(low: float, high: float) -> dict[str, Any]:
    decades = range(-9, 4)
    steps = (1, 2, 5) if high / low < 100 else (1,)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    shown = [tick for tick in ticks if low <= tick <= high]
    texts = [show_time(tick) for tick in shown]
    return {"tickvals": shown, "ticktext": texts, "range": [log10(low), log10(high)]}


def _hover(model: Compared, case: int) -> str:
    one, accuracy = model.estimates[case], model.accuracy
    lines = [
        f"<b>{plain(model.name)}</b>",
        f"{show_time(one.latency)}, {show_rate(one.throughput)} samples/s",
        f"{show_macs(one.total.macs)}, peak memory {show_bytes(one.peak_memory)}",
    ]
    if one.interval:
        span = f"{show_time(one.interval.low, 2)} to {show_time(one.interval.high, 2)}"
        lines.append(f"90 % interval {span}")
    if accuracy:
        lines.append(f"{accuracy.percent:g} % top-1<br>{plain(accuracy.document)}")
    return "<br>".join(lines)


def relative_figure(comparison: Comparison) -> Any:
    """Latency of every model relative to the baseline, a group of bars per model."""
    base = comparison.baseline
    figure = go.Figure()
    for case, label in enumerate(comparison.cases):
        ratios = [
            m.estimates[case].latency / base.estimates[case].latency for m in comparison.models
        ]
        figure.add_trace(
            go.Bar(
                y=[plain(model.name) for model in comparison.models], x=ratios, orientation="h",
                name=plain(label),
                marker={
                    "color": theme.SERIES[case % len(theme.SERIES)],
                    "line": {"width": 1, "color": theme.ROOF},
                },
                text=[f"{ratio:.3g}x" for ratio in ratios], textposition="auto", textangle=0,
                hovertext=[_hover(model, case) for model in comparison.models],
                hovertemplate="%{hovertext}<extra></extra>",
            )
        )  # fmt: skip
    figure.add_vline(x=1, line={"color": theme.ROOF, "width": 1.5})
    figure.update_xaxes(title=f"latency relative to {plain(base.name)}", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", showline=False, ticks="")
    bars = len(comparison.models) * (len(comparison.cases) + 0.6)
    figure.update_layout(
        template=theme.template("light"),
        barmode="group",
        height=int(BAR * bars) + 130,
        margin={"l": 20, "r": 20, "t": 50, "b": 60},
        legend={"orientation": "h", "traceorder": "normal", "yref": "container", "y": 1,
                "yanchor": "top", "x": 0, "xref": "container"},
    )  # fmt: skip
    return theme.fit_narrow(figure, len(comparison.cases))


def comparison_page(comparison: Comparison) -> str:
    """The page."""
    cases = range(len(comparison.cases))
    base = comparison.baseline.name
    sections = [
        Section(
            "Latency, throughput and memory",
            f"Relative to {base}; a shorter bar is faster.",
            relative_figure(comparison),
            tables=tuple(case_table(comparison, case) for case in cases),
        )
    ]
    known = [model for model in comparison.models if model.accuracy is not None]
    if len(known) > 1:
        sections.append(
            Section(
                "Accuracy against latency",
                "Accuracies as published, latencies as predicted; bars are 90 % intervals. No "
                "model on the line is beaten in both.",
                figures=tuple(
                    (accuracy_figure(comparison, case), _front_in_words(comparison, case, known))
                    for case in cases
                ),
                items=tuple(accuracy_sources(comparison)),
            )
        )
    else:
        sections.append(
            Section("Accuracy against latency", "Too few of the models have a published accuracy.",
                    items=tuple(accuracy_sources(comparison)))
        )  # fmt: skip
    sections.append(Section("Assumptions", items=notes(comparison)))
    names = [model.name for model in comparison.models]
    title = f"{', '.join(names[:4])}{f' and {len(names) - 4} more' if len(names) > 4 else ''}"
    return html_page(
        title,
        f"{count(len(names), 'model')} in {count(len(cases), 'case')}. Predicted from operator "
        "shapes and device peaks; nothing was measured.",
        sections,
    )


def _front_in_words(comparison: Comparison, case: int, known: list[Compared]) -> str:
    points = [(m.estimates[case].latency, m.accuracy.percent) for m in known if m.accuracy]
    parts = [
        f"{known[i].name} with {points[i][1]:g} % in {show_time(points[i][0])}"
        for i in pareto_front(points)
    ]
    return f"{comparison.cases[case]}: on the front are {', '.join(parts)}."
