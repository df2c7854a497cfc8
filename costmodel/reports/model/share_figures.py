"""Shares as stacked bars: of FLOPs, bytes and time by kind of operator, and of time by bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from costmodel.estimation import Estimate
from costmodel.reports import theme
from costmodel.reports.page import plain
from costmodel.reports.runs import run_labels
from costmodel.reports.text import percent, show_bytes, show_flops, show_time
from costmodel.roofline.engine import BOUNDS

BAR = 44
"""Pixels of a bar with the gap to the next."""


def kind_figure(estimates: Sequence[Estimate]) -> Any:
    """A bar for FLOPs, one for bytes and one for the time of each run, split by kind of operator.

    Args:
        estimates: runs of one graph; FLOPs and bytes are those of the first.
    """
    first = estimates[0]
    cost, workload = first.row_cost, first.workload
    kinds = list(dict.fromkeys(kind for e in estimates for kind in e.time_by_kind))
    masks = {kind: workload.is_kind(kind) * workload.counts for kind in kinds}
    bars: dict[str, dict[str, float]] = {
        "FLOPs": {kind: float(np.dot(cost.flops, mask)) for kind, mask in masks.items()},
        "bytes moved": {kind: float(np.dot(cost.bytes, mask)) for kind, mask in masks.items()},
    }
    for label, estimate in zip(run_labels(estimates), estimates, strict=True):
        bars[f"time, {label}"] = estimate.time_by_kind
    shows = {"FLOPs": show_flops, "bytes moved": show_bytes}
    styles = {kind: theme.bar_style(kind) for kind in kinds}
    return _stacked(bars, kinds, styles, shows)


def bound_figure(estimates: Sequence[Estimate]) -> Any:
    """A bar for each run, split by what limits its operators."""
    bars = {
        label: estimate.time_by_bound
        for label, estimate in zip(run_labels(estimates), estimates, strict=True)
    }
    used = [bound for bound in BOUNDS if any(bar[bound] for bar in bars.values())]
    styles = {bound: {"color": theme.BOUNDS[bound]} for bound in used}
    return _stacked(bars, used, styles, {})


def _stacked(
    bars: Mapping[str, Mapping[str, float]],
    parts: Sequence[str],
    styles: Mapping[str, Mapping[str, Any]],
    shows: Mapping[str, Any],
) -> Any:
    """Horizontal bars of shares that add up to one, the first on top."""
    figure = go.Figure()
    names = list(bars)
    totals = {name: sum(bar.values()) or 1.0 for name, bar in bars.items()}
    for part in parts:
        values = [bars[name].get(part, 0.0) for name in names]
        shares = [value / totals[name] for value, name in zip(values, names, strict=True)]
        hovers = [
            f"<b>{plain(part)}</b><br>{plain(name)}: {percent(share)}, "
            f"{shows.get(name, show_time)(value)}"
            for name, value, share in zip(names, values, shares, strict=True)
        ]
        figure.add_trace(
            go.Bar(
                y=[plain(name) for name in names], x=shares, orientation="h", name=plain(part),
                marker={**styles[part], "line": {"width": 1, "color": theme.ROOF}},
                text=[percent(share) if share >= 0.07 else "" for share in shares],
                textposition="inside", insidetextanchor="middle", textangle=0,
                hovertext=hovers, hovertemplate="%{hovertext}<extra></extra>",
            )
        )  # fmt: skip
    figure.update_xaxes(range=[0, 1], tickformat=".0%", title="share")
    figure.update_yaxes(autorange="reversed", showline=False, ticks="")
    height = BAR * len(names) + 110
    figure.update_layout(
        template=theme.template("light"),
        barmode="stack",
        showlegend=True,
        bargap=0.3,
        height=height,
        margin={"l": 20, "r": 20, "t": 40, "b": 50},
        legend={
            "orientation": "h", "traceorder": "normal",
            "yref": "container", "y": 1, "yanchor": "top", "x": 0, "xref": "container",
        },
    )  # fmt: skip
    return theme.fit_narrow(figure, len(parts))
