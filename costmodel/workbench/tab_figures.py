"""The figures of the tabs beside the design: calculator, compound scaling, device comparison."""

from __future__ import annotations

from typing import Any

from costmodel.estimation import Estimate
from costmodel.reports import theme
from costmodel.reports.page import plain
from costmodel.reports.text import percent, show_macs, show_time
from costmodel.workbench.calculator import CalculatorView
from costmodel.workbench.comparison import ComparisonView
from costmodel.workbench.figures import BUDGET, Figure, log_axis, styled, tick_text
from costmodel.workbench.scaling import ScalingView
from costmodel.workbench.screen import Screen


def calculator(view: CalculatorView, screen: Screen) -> Figure:
    """MACs and time of every form, relative to the standard convolution."""
    names = [plain(layer.name) for layer in view.layers]
    standard = view.standard
    series = {
        "MACs": ([layer.macs / standard.macs for layer in view.layers],
                 [show_macs(layer.macs) for layer in view.layers], theme.BLUE),
        f"time on {view.state.device}": ([layer.time / standard.time for layer in view.layers],
                                         [show_time(layer.time) for layer in view.layers],
                                         theme.ORANGE),
    }  # fmt: skip
    data = [
        {
            "type": "bar", "orientation": "h", "name": plain(name), "y": names, "x": shares,
            "text": [percent(share) for share in shares], "textposition": "auto",
            "hovertext": texts,
            "hovertemplate": "%{y}: %{hovertext}<extra>%{fullData.name}</extra>",
            "marker": {"color": colour}, "cliponaxis": False,
        }
        for name, (shares, texts, colour) in series.items()
    ]  # fmt: skip
    layout = {
        "height": 90 + 62 * len(names), "barmode": "group", "bargap": 0.3,
        "xaxis": {"tickformat": ".0%", "title": {"text": "of the standard convolution"},
                  "rangemode": "tozero"},
        "yaxis": {"autorange": "reversed", "ticks": "", "showline": False, "automargin": True},
    }  # fmt: skip
    return styled(data, layout, screen)


def scaling(view: ScalingView, screen: Screen) -> Figure:
    """Growth of MACs and of latency with phi."""
    first, steps = view.steps[0], view.steps
    phi = [step.phi for step in steps]
    lines = {
        "MACs by the rule": ([float(view.rule.macs(step.phi)) for step in steps], "dash"),
        "MACs as built": ([step.macs / first.macs for step in steps], "solid"),
        f"latency on {view.state.device}": ([s.latency / first.latency for s in steps], "solid"),
    }
    data: list[dict[str, Any]] = [
        {
            "type": "scatter", "mode": "lines+markers", "name": plain(name), "x": phi, "y": values,
            "line": {"color": theme.SERIES[number], "dash": dash, "width": 2.5},
            "marker": {"symbol": theme.MARKS[number], "size": 8},
            "hovertemplate": "φ = %{x}: %{y:.3g}x<extra>%{fullData.name}</extra>",
        }
        for number, (name, (values, dash)) in enumerate(lines.items())
    ]  # fmt: skip
    chosen = view.chosen
    data.append(
        {
            "type": "scatter", "mode": "markers", "name": "chosen φ", "x": [chosen.phi],
            "y": [chosen.latency / first.latency], "hoverinfo": "skip",
            "marker": {"symbol": "star", "size": 16, "color": theme.PALETTE[screen.mode]["text"]},
        }
    )  # fmt: skip
    layout = {
        "height": 400,
        "xaxis": {"title": {"text": "φ"}, "dtick": 1},
        "yaxis": log_axis("times φ = 0", [y for d in data for y in d["y"]], tick_text),
    }
    return styled(data, layout, screen)


def comparison(view: ComparisonView, screen: Screen) -> Figure:
    """Latency by device with its 90 % interval, coloured by what limits it."""
    data = [
        _dots([e for e in view.estimates if e.bound == bound], bound, screen)
        for bound in dict.fromkeys(e.bound for e in view.estimates)
    ]
    limits = [] if view.budgets.latency is None else [view.budgets.latency]
    ends = [end for e in view.estimates for end in _interval(e)]
    layout: dict[str, Any] = {
        "height": 130 + 44 * len(view.estimates),
        "xaxis": log_axis(
            "latency (ms), 90 % interval", [t * 1e3 for t in (*ends, *limits)], tick_text
        ),
        "yaxis": {
            "autorange": "reversed", "ticks": "", "showline": False, "automargin": True,
            "categoryorder": "array", "categoryarray": [plain(e.device) for e in view.estimates],
        },
        "showlegend": True,
    }  # fmt: skip
    if limits:
        at = limits[0] * 1e3
        layout["shapes"] = [
            {"type": "line", "x0": at, "x1": at, "xref": "x", "yref": "paper", "y0": 0, "y1": 1,
             "line": BUDGET}
        ]  # fmt: skip
    return styled(data, layout, screen)


def _dots(found: list[Estimate], bound: str, screen: Screen) -> dict[str, Any]:
    ends = [_interval(e) for e in found]
    above = [(high - e.latency) * 1e3 for (_, high), e in zip(ends, found, strict=True)]
    below = [(e.latency - low) * 1e3 for (low, _), e in zip(ends, found, strict=True)]
    return {
        "type": "scatter", "mode": "markers", "name": f"{bound} bound",
        "y": [plain(e.device) for e in found], "x": [e.latency * 1e3 for e in found],
        "error_x": {
            "type": "data", "symmetric": False, "color": theme.ROOF, "thickness": 2, "width": 6,
            "array": above, "arrayminus": below,
        },
        "marker": {
            "size": 13, "color": theme.BOUNDS.get(bound, theme.GREY),
            "line": {"width": 1, "color": theme.PALETTE[screen.mode]["text"]},
        },
        "text": [show_time(e.latency) for e in found],
        "hovertemplate": "<b>%{y}</b><br>%{text}<extra>%{fullData.name}</extra>",
    }  # fmt: skip


def _interval(found: Estimate) -> tuple[float, float]:
    """From and to, in seconds; the latency itself where there is no interval."""
    if found.interval is None:
        return found.latency, found.latency
    return found.interval.low, found.interval.high
