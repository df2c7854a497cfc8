"""Memory over the run: what is alive while each operator runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from costmodel.estimation import Estimate
from costmodel.graph import DTYPE_BYTES
from costmodel.memory import memory_of
from costmodel.reports import theme
from costmodel.reports.page import plain
from costmodel.reports.runs import distinct_sizes, size_label
from costmodel.reports.text import show_bytes

UNITS = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))
NEAR = 3
"""A device's capacity is drawn if it is below so many times the peak."""


def live_bytes(estimate: Estimate) -> tuple[float, np.ndarray]:
    """Bytes that are always there, and (operators,) bytes that come and go, while each one runs.

    Views are operators too. The peak of both together is `estimate.peak_memory`.
    """
    width = DTYPE_BYTES[estimate.precision.storage]
    model = memory_of(estimate.graph)
    parts = (model.gradients, model.activations)
    alive = sum(part.bytes_at(estimate.batch, width) for part in parts)
    return model.always(width).total, np.asarray(alive)


def memory_figure(estimates: Sequence[Estimate]) -> Any:
    """A plotly figure: memory in use over the operators in execution order.

    Args:
        estimates: runs of one graph; those of one batch and precision share a curve.
    """
    sizes = distinct_sizes(estimates)
    peak = max(estimate.peak_memory for estimate in estimates)
    factor, unit = next((u for u in UNITS if peak >= u[0]), (1.0, "B"))
    figure = go.Figure()
    for number, estimate in enumerate(sizes):
        always, alive = live_bytes(estimate)
        total = always + alive
        names = [plain(name) for name in estimate.graph.op_names]
        label = size_label(estimate) if len(sizes) > 1 else "in use"
        colour = theme.SERIES[number % len(theme.SERIES)]
        at = int(total.argmax()) if total.size else 0
        order = list(range(1, len(names) + 1))
        figure.add_trace(
            go.Scatter(
                x=order, y=_rounded(total / factor), mode="lines", name=label,
                line={"color": colour, "shape": "hv", "width": 2},
                fill="tozeroy" if len(sizes) == 1 else "none",
                text=names,
                hovertemplate=f"<b>%{{text}}</b><br>%{{y:.4g}} {unit} in use<extra></extra>",
            )
        )  # fmt: skip
        figure.add_trace(
            go.Scatter(
                x=[1, len(names)], y=[always / factor] * 2, mode="lines",
                name="always there" + (f", {estimate.precision.name}" if len(sizes) > 1 else ""),
                line={"color": colour, "dash": "dot", "width": 1.5},
                hovertemplate=f"weights, always there: {show_bytes(always)}<extra></extra>",
            )
        )  # fmt: skip
        if total.size:
            figure.add_annotation(
                x=at + 1, y=float(total[at]) / factor, text=f"peak {show_bytes(float(total[at]))}",
                showarrow=True, arrowhead=0, ay=-24, ax=0 if at < 0.8 * len(names) else -60,
            )  # fmt: skip
    for device, capacity in _capacities(estimates).items():
        if capacity < NEAR * peak:
            figure.add_hline(
                y=capacity / factor, line={"color": theme.WARNING, "dash": "dash"},
                annotation_text=f"{plain(device)} has {show_bytes(capacity)}",
            )  # fmt: skip
    figure.update_xaxes(title="operator, in execution order", rangemode="tozero")
    figure.update_yaxes(title=f"memory ({unit})", rangemode="tozero", exponentformat="none")
    figure.update_layout(
        template=theme.template("light"),
        height=420,
        margin={"l": 70, "r": 20, "t": 40, "b": 60},
        hovermode="closest",
        legend={"orientation": "h", "yref": "container", "y": 1, "yanchor": "top", "x": 0},
    )
    return theme.fit_narrow(figure, len(figure.data))


def _rounded(values: np.ndarray) -> list[float]:
    """Six digits are enough for a picture and a third of the text."""
    return [float(f"{value:.6g}") for value in values]


def _capacities(estimates: Sequence[Estimate]) -> dict[str, float]:
    return {e.target.profile.id: e.capacity for e in estimates if e.capacity is not None}
