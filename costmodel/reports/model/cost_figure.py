"""FLOPs against bytes: what each operator computes and moves, and what that means on a device."""

from __future__ import annotations

from math import log10, sqrt
from typing import Any

import plotly.graph_objects as go

from costmodel.estimation import Estimate
from costmodel.reports import theme
from costmodel.reports.page import plain
from costmodel.reports.roofline.view import roofline_view
from costmodel.reports.text import (
    count,
    percent,
    show_bytes,
    show_flops,
    show_intensity,
    show_time,
)


def cost_figure(estimate: Estimate) -> Any:
    """A plotly figure: a dot per distinct operator, as large as its share of the time.

    The line is the ridge point: the ratio at which the device's main memory and its highest peak
    in use take equally long.
    """
    view = roofline_view(estimate)
    figure = go.Figure()
    drawn = view.drawn
    x = [dot.bytes for dot in drawn] or [1.0]
    ridge = view.roofs[-1].peak / view.main.bandwidth
    ends = [min(x) / 2, max(x) * 2]
    figure.add_trace(
        go.Scatter(
            x=ends, y=[end * ridge for end in ends], mode="lines",
            line={"color": theme.ROOF, "width": 2}, name=f"ridge point, {show_intensity(ridge)}",
            hovertemplate=f"ridge point of {plain(estimate.device)}: {show_intensity(ridge)}"
            "<extra></extra>",
        )
    )  # fmt: skip
    for kind in dict.fromkeys(dot.kind for dot in drawn):
        dots = [dot for dot in drawn if dot.kind == kind]
        mark = theme.mark_of(kind)
        figure.add_trace(
            go.Scatter(
                x=[dot.bytes for dot in dots],
                y=[dot.flops for dot in dots],
                mode="markers",
                name=plain(kind),
                marker={
                    "color": mark.colour, "symbol": mark.symbol, "opacity": 0.8,
                    "size": [max(7.0, 60 * sqrt(dot.share)) for dot in dots],
                    "line": {"width": 1, "color": theme.ROOF},
                },
                text=[
                    f"<b>{plain(dot.names[0])}</b>{_others(len(dot.names) - 1)}<br>"
                    f"{show_flops(dot.flops)}, {show_bytes(dot.bytes)} moved, "
                    f"{show_intensity(dot.intensity)}<br>"
                    f"{show_time(dot.time)} each, {percent(dot.share)} of the time"
                    for dot in dots
                ],
                hovertemplate="%{text}<extra></extra>",
            )
        )  # fmt: skip
    y = [dot.flops for dot in drawn] or [1.0]
    figure.update_xaxes(
        type="log", dtick=1, title="bytes moved by one operator", range=[log10(e) for e in ends]
    )
    figure.update_yaxes(
        type="log", dtick=1, title="FLOPs of one operator",
        range=[log10(min(y) / 3), log10(max(y) * 3)],
    )  # fmt: skip
    figure.update_layout(
        template=theme.template("light"),
        height=560,
        margin={"l": 70, "r": 20, "t": 20, "b": 60},
        legend={"itemsizing": "constant"},
        hovermode="closest",
    )
    return theme.fit_narrow(figure, len(figure.data))


def _others(number: int) -> str:
    return f" and {count(number, 'other')}" if number else ""
