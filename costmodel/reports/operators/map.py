"""A map of the fastest operator over channels and image size, a panel per kernel size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from costmodel.reports import theme
from costmodel.reports.operators.comparison import OperatorComparison
from costmodel.reports.operators.report import VERDICT
from costmodel.reports.page import plain
from costmodel.reports.text import show_time


def operator_map(comparisons: Sequence[OperatorComparison]) -> Any:
    """The fastest of the operators at each place, crossed where it has more FLOPs than another.

    Args:
        comparisons: the same operators and channels on one device at one batch and precision,
            over image sizes and kernels.
    """
    kernels = sorted({c.kernel for c in comparisons})
    sizes = sorted({c.size for c in comparisons})
    operators, channels = comparisons[0].operators, comparisons[0].channels
    figure = make_subplots(
        rows=1, cols=len(kernels), shared_yaxes=True,
        subplot_titles=[f"kernel {kernel}x{kernel}" for kernel in kernels],
        horizontal_spacing=0.04,
    )  # fmt: skip
    for column, kernel in enumerate(kernels, 1):
        by_size = {c.size: c for c in comparisons if c.kernel == kernel}
        fastest = [[by_size[size].fastest(count) for count in channels] for size in sizes]
        figure.add_trace(
            go.Heatmap(
                x=[str(count) for count in channels],
                y=[str(size) for size in sizes],
                z=[[operators.index(point.operator) for point in row] for row in fastest],
                zmin=-0.5,
                zmax=len(operators) - 0.5,
                xgap=2,
                ygap=2,
                colorscale=_steps(len(operators)),
                showscale=column == len(kernels),
                colorbar={
                    "tickvals": list(range(len(operators))),
                    "ticktext": [plain(operator) for operator in operators],
                    "title": "fastest",
                },
                text=[
                    [_hover(by_size[size], count) for count in channels] for size in sizes
                ],
                hovertemplate="%{text}<extra></extra>",
            ),
            row=1, col=column,
        )  # fmt: skip
        marks = [
            (str(count), str(size))
            for size in sizes
            for count in channels
            if any(p.beaten_by for p in by_size[size].points if p.channels == count)
        ]
        figure.add_trace(
            go.Scatter(
                x=[x for x, _ in marks],
                y=[y for _, y in marks],
                mode="markers",
                name="fewer FLOPs, not faster",
                showlegend=False,
                marker={"symbol": "x-thin", "size": 11, "line": {"width": 2, "color": "#ffffff"}},
                hoverinfo="skip",
            ),
            row=1, col=column,
        )  # fmt: skip
        figure.update_xaxes(title="channels", type="category", row=1, col=column)
        figure.update_yaxes(type="category", row=1, col=column)
    figure.update_yaxes(title="height and width", row=1, col=1)
    figure.update_layout(
        template=theme.template("light"),
        height=120 + 60 * max(4, len(sizes)),
        margin={"l": 70, "r": 20, "t": 40, "b": 60},
    )
    return figure


def _steps(count: int) -> list[tuple[float, str]]:
    """A colour scale of one flat step per operator, in the colours that its lines have."""
    scale = []
    for index in range(count):
        colour = theme.SERIES[index % len(theme.SERIES)]
        scale += [(index / count, colour), ((index + 1) / count, colour)]
    return scale


def _hover(comparison: OperatorComparison, channels: int) -> str:
    points = sorted((p for p in comparison.points if p.channels == channels), key=lambda p: p.time)
    lines = [f"<b>{channels} channels, {comparison.size}x{comparison.size}</b>"]
    for point in points:
        beaten = f", {VERDICT} {plain(', '.join(point.beaten_by))}" if point.beaten_by else ""
        lines.append(f"{plain(point.operator)}: {show_time(point.time)}{beaten}")
    return "<br>".join(lines)
