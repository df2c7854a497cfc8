"""View models as figures: plain data and layout, as plotly takes them.

The roofline chart is the one of the reports; the others are drawn here, in the same colours.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, floor, log10
from typing import Any

import numpy as np

from costmodel.reports import theme
from costmodel.reports.page import plain
from costmodel.reports.roofline.figure import roofline_document
from costmodel.reports.text import percent, show_bytes, show_macs, show_time
from costmodel.units import format_si
from costmodel.workbench.advice import Advice, Option
from costmodel.workbench.blocks import block_times
from costmodel.workbench.design import DesignView
from costmodel.workbench.screen import Screen
from costmodel.workbench.tasks import TASKS

Figure = dict[str, Any]

CLEAR = "rgba(0,0,0,0)"
BUDGET = {"color": theme.WARNING, "width": 1.5, "dash": "dash"}


def styled(data: list[dict[str, Any]], layout: dict[str, Any], screen: Screen) -> Figure:
    """A figure in the page's colours; its width is the page's."""
    margin = {"l": 56, "r": 12, "t": 12, "b": 48}
    figure = {
        "template": theme.template(screen.mode),
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "autosize": True,
        "margin": margin,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "hovermode": "closest",
        "uirevision": "same",
        "font": {"family": theme.FONT, "size": 11 if screen.narrow else 13},
        **layout,
    }
    return {"data": data, "layout": figure}


def roofline(view: DesignView, screen: Screen) -> Figure:
    """The operators of the design under the ceilings of the device."""
    document = roofline_document([view.estimate])
    layout = document["layout"]
    narrow = (layout.pop("meta", None) or {}).get("narrow", {}) if screen.narrow else {}
    kept = {
        **layout, **narrow, "template": theme.template(screen.mode), "height": 560,
        "paper_bgcolor": CLEAR, "plot_bgcolor": CLEAR, "autosize": True,
    }  # fmt: skip
    kept.pop("meta", None)
    return {"data": document["data"], "layout": kept}


def blocks(view: DesignView, screen: Screen) -> Figure:
    """A bar per block, in the order they run, split by kind of operator."""
    found = block_times(view.estimate)
    kinds = [kind for kind in view.estimate.time_by_kind if view.estimate.time_by_kind[kind] > 0]
    names = [plain(block.path) for block in found]
    data = []
    for kind in kinds:
        seconds = [block.seconds.get(kind, 0.0) for block in found]
        hovers = [
            f"<b>{plain(block.path)}</b> {plain(block.what)}<br>{plain(kind)}: {show_time(part)}"
            f"<br>block: {show_time(block.total)}, "
            f"{percent(block.total / view.estimate.latency)} of the time"
            for block, part in zip(found, seconds, strict=True)
        ]
        data.append(
            {
                "type": "bar", "name": plain(kind), "x": names, "y": [s * 1e3 for s in seconds],
                "marker": theme.bar_style(kind), "hovertext": hovers,
                "hovertemplate": "%{hovertext}<extra></extra>",
            }
        )  # fmt: skip
    layout = {
        "barmode": "stack", "bargap": 0.15, "height": 360,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0,
                   "traceorder": "normal"},
        "xaxis": {"type": "category", "tickangle": -60, "tickfont": {"size": 10}, "ticks": ""},
        "yaxis": {"title": {"text": "ms"}, "rangemode": "tozero", "exponentformat": "none"},
    }  # fmt: skip
    return styled(data, layout, screen)


def pareto(advice: Advice, screen: Screen) -> Figure:
    """Capacity against latency: the best designs of each block, and where the present one is."""
    columns = advice.choices.columns
    latency, capacity = columns.latency[0], columns.capacity
    shown = np.ones(len(columns), dtype=bool)
    for budget in advice.budgets:
        if budget.name != "latency":
            shown &= budget.use(columns) <= 1
    kinds, sample = np.array(advice.kinds), TASKS[advice.state.task].sample
    data: list[dict[str, Any]] = []
    for number, kind in enumerate(dict.fromkeys(advice.kinds)):
        rows = np.flatnonzero(shown & (kinds == kind))
        front = _front(latency, capacity, rows)
        data.append(
            {
                "type": "scatter", "mode": "lines+markers", "name": plain(advice.kind_label(kind)),
                "x": (latency[front] * 1e3).tolist(), "y": capacity[front].tolist(),
                "text": [_option_hover(advice.option(int(row)), sample) for row in front],
                "hovertemplate": "%{text}<extra></extra>",
                "line": {"color": theme.SERIES[number], "width": 1.5},
                "marker": {"symbol": theme.MARKS[number], "size": 7},
            }
        )  # fmt: skip
    here = advice.view.estimate
    you = (
        f"<b>you are here</b><br>{show_time(here.latency)}, capacity "
        f"{format_si(advice.view.capacity, '')}"
    )
    spots = [_spot("you are here", here.latency, advice.view.capacity, you, screen, "star")]
    if (best := advice.recommended) is not None:
        hover = _option_hover(best, sample)
        spots.append(_spot("recommended", best.latency, best.capacity, hover, screen, "square"))
    data += spots
    limit = advice.view.budgets.latency
    limits = [] if limit is None else [limit * 1e3]
    layout: dict[str, Any] = {
        "height": 420,
        "xaxis": log_axis("latency (ms)", [x for d in data for x in d["x"]] + limits, tick_text),
        "yaxis": log_axis(
            "capacity proxy",
            [y for d in data for y in d["y"]],
            lambda value: format_si(value, "").replace(" ", ""),
        ),
    }
    _place_text(spots, layout["xaxis"])
    if limit is not None:
        layout["shapes"] = [
            {"type": "line", "x0": limit * 1e3, "x1": limit * 1e3, "xref": "x", "yref": "paper",
             "y0": 0, "y1": 1, "line": BUDGET}
        ]  # fmt: skip
    return styled(data, layout, screen)


def _front(latency: np.ndarray, capacity: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Those of some rows that no other beats in latency and capacity, fastest first."""
    order = rows[np.lexsort((-capacity[rows], latency[rows]))]
    best = np.maximum.accumulate(capacity[order])
    kept = np.concatenate([[True], best[1:] > best[:-1]]) if len(order) else np.zeros(0, bool)
    return np.asarray(order[kept])


def _option_hover(option: Option, sample: str) -> str:
    return (
        f"<b>{plain(option.text)}</b><br>{show_time(option.latency)}, "
        f"{show_bytes(option.memory)} at most<br>capacity {format_si(option.capacity, '')}, "
        f"{format_si(option.parameters, '')} parameters, {show_macs(option.macs)} per {sample}"
    )


def _spot(
    name: str, latency: float, capacity: float, text: str, screen: Screen, symbol: str
) -> dict[str, Any]:
    colours = theme.PALETTE[screen.mode]
    return {
        "type": "scatter", "mode": "markers+text", "name": name, "x": [latency * 1e3],
        "y": [capacity], "text": [f"<b>{name}</b>"], "hovertext": [text], "showlegend": False,
        "hovertemplate": "%{hovertext}<extra></extra>", "cliponaxis": False,
        "marker": {
            "symbol": symbol if symbol == "star" else f"{symbol}-open", "size": 17,
            "color": colours["text"], "line": {"width": 2, "color": colours["text"]},
        },
    }  # fmt: skip


def _place_text(spots: list[dict[str, Any]], axis: dict[str, Any]) -> None:
    """Put the names of one or two marks where they cover neither each other nor the edge."""
    low, high = axis["range"]
    middle = sum(spot["x"][0] for spot in spots) / len(spots)
    for spot, side in zip(spots, ("bottom", "top"), strict=False):
        share = (log10(spot["x"][0]) - low) / (high - low)
        outwards = "left" if spot["x"][0] < middle else "right"
        across = "right" if share < 0.2 else "left" if share > 0.8 else outwards
        spot["textposition"] = f"{side} {across}"


def log_axis(title: str, values: list[float], show: Callable[[float], str]) -> dict[str, Any]:
    """A logarithmic axis around some values, with a written-out tick at every 1, 2 and 5."""
    low, high = log10(min(values) / 1.25), log10(max(values) * 1.25)
    steps = (1, 2, 5) if high - low < 2.5 else (1, 3) if high - low < 4 else (1,)
    ticks = [step * 10.0**decade for decade in range(floor(low), ceil(high)) for step in steps]
    shown = [tick for tick in ticks if low <= log10(tick) <= high]
    return {
        "type": "log", "title": {"text": title}, "range": [low, high], "tickvals": shown,
        "ticktext": [show(tick) for tick in shown],
    }  # fmt: skip


def tick_text(value: float) -> str:
    """A tick without an exponent."""
    return f"{value:g}"
