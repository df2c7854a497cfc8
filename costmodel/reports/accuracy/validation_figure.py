"""The scatter page of a validation: predicted against measured, and where the errors are."""

from __future__ import annotations

from math import isnan
from typing import Any

import numpy as np
import plotly.graph_objects as go

from costmodel.measurement.validation.validation import Validation
from costmodel.reports import theme
from costmodel.reports.accuracy.validation import (
    LISTED,
    factor_table,
    group_table,
    kind_table,
    notes_of,
    row_table,
)
from costmodel.reports.page import Card, Section, html_page, plain
from costmodel.reports.text import percent, show_time

NAMED_GROUPS = 7
"""Families with a colour of their own, the most frequent ones."""


def scatter(found: Validation) -> go.Figure:
    """Predicted against measured on logarithmic axes, with the lines of equality and of 20%."""
    figure = go.Figure()
    low = float(min(found.measured.min(), found.predicted.min())) / 1.3
    high = float(max(found.measured.max(), found.predicted.max())) * 1.3
    lines = ((1.0, "equal", "solid"), (1.2, "20 % off", "dot"), (1 / 1.2, "", "dot"))
    for factor, name, dash in lines:
        figure.add_trace(
            go.Scatter(
                x=[low, high], y=[low * factor, high * factor], mode="lines", name=name,
                showlegend=bool(name), hoverinfo="skip",
                line={"color": theme.ROOF, "dash": dash, "width": 1.5},
            )
        )  # fmt: skip
    for number, (group, indices) in enumerate(_groups(found)):
        figure.add_trace(
            go.Scatter(
                x=found.measured[indices], y=found.predicted[indices],
                mode="markers", name=plain(group),
                marker={
                    "size": 8, "opacity": 0.8,
                    "color": theme.SERIES[number % len(theme.SERIES)],
                    "symbol": theme.MARKS[number % len(theme.MARKS)],
                },
                text=[_hover(found, i) for i in indices],
                hovertemplate="%{text}<extra></extra>",
            )
        )  # fmt: skip
    ticks = [10.0**e for e in range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)]
    axis: dict[str, Any] = {
        "type": "log",
        "range": [float(np.log10(low)), float(np.log10(high))],
        "tickvals": ticks,
        "ticktext": [show_time(tick) for tick in ticks],
    }
    figure.update_xaxes(title="measured", **axis)
    figure.update_yaxes(title="predicted", **axis)
    figure.update_layout(
        template=theme.template("light"),
        height=760,
        margin={"l": 80, "r": 20, "t": 20, "b": 60},
        legend={"title": found.group_word},
        hovermode="closest",
    )
    return figure


def _groups(found: Validation) -> list[tuple[str, list[int]]]:
    members: dict[str, list[int]] = {}
    for index, group in enumerate(found.groups):
        members.setdefault(group, []).append(index)
    ranked = sorted(members.items(), key=lambda entry: (-len(entry[1]), entry[0]))
    rest = [index for _, indices in ranked[NAMED_GROUPS:] for index in indices]
    return ranked[:NAMED_GROUPS] + ([("others", rest)] if rest else [])


def _hover(found: Validation, index: int) -> str:
    measured, predicted = float(found.measured[index]), float(found.predicted[index])
    lines = [
        f"<b>{plain(found.names[index])}</b>",
        f"measured {show_time(measured)}",
        f"predicted {show_time(predicted)}, {predicted / measured - 1:+.1%}",
    ]
    if found.low is not None and found.high is not None:
        low, high = float(found.low[index]), float(found.high[index])
        lines.append(f"90 % interval {show_time(low)} to {show_time(high)}")
    return "<br>".join(lines)


def validation_page(found: Validation) -> str:
    """The scatter and the tables of a validation as one offline HTML page."""
    score = found.score
    cards = [
        Card("median APE", percent(score.median_ape), f"{score.n:,} compared"),
        Card("MAPE", percent(score.mape), f"{len(found.skipped):,} skipped"),
        Card("within 10 %", percent(score.within_10), f"{percent(score.within_20)} within 20 %"),
        Card("bias", f"{score.bias:.3f}", "median of predicted / measured"),
    ]
    if not isnan(score.spearman):
        cards.append(Card("rank correlation", f"{score.spearman:.4f}", "Spearman's rho"))
    if score.coverage_90 is not None:
        cards.append(Card("in the 90 % interval", percent(score.coverage_90), "of measurements"))
    tables = [group_table(found, 2 * LISTED)]
    if found.kinds:
        tables.append(kind_table(found))
    tables.append(row_table(found, 2 * LISTED))
    if found.refinement is not None:
        tables.append(factor_table(found))
    sections = [
        Section("Predicted against measured", figure=scatter(found)),
        Section("Where the errors are", tables=tuple(tables)),
        Section("Assumptions, and what was skipped", items=notes_of(found)),
    ]
    return html_page(
        f"{found.device} against {found.against}",
        f"{found.conditions}: predicted from shapes and the device's profile, beside what was "
        "measured.",
        sections,
        cards,
    )
