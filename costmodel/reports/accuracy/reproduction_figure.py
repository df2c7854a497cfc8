"""Published figures against ours as scatter plots, and the offline page around them."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from costmodel.measurement.reproduction import (
    ConditionScore,
    Record,
    Reproduction,
    score_columns,
)
from costmodel.published import Table as PublishedTable
from costmodel.reports import theme
from costmodel.reports.accuracy.reproduction import CLAIMS, claim_notes, nearest_notes, notes_of
from costmodel.reports.accuracy.reproduction_tables import (
    claims_table,
    conditions_table,
    heading,
    misses_table,
    reasons_table,
    scores_table,
    side_by_side,
)
from costmodel.reports.page import Card, Section, html_page, plain
from costmodel.reports.text import percent

GROUPS = (
    ("FasterNet", theme.Mark(theme.BLUE, "circle")),
    ("PartialNet", theme.Mark(theme.VERMILLION, "diamond")),
    ("others", theme.Mark(theme.GREY, "square")),
)
"""What the documents propose, and what they compare it with; names of rows begin so."""

FEWEST = 10
"""A table with fewer rows gets no scatter plot."""

PER_LINE = 3
NEAR = 1.10
"""The dotted lines: 10% off."""


def reproduction_figure(reproduction: Reproduction, published: PublishedTable) -> Any:
    """A panel for each predicted column: published across, ours upwards; nothing is shown."""
    panels = [
        (column, found)
        for column in published.columns
        if (
            found := [
                r for r in reproduction.of(published.id, column.name) if r.predicted is not None
            ]
        )
    ]
    lines = -(-len(panels) // PER_LINE)
    figure = make_subplots(
        rows=lines,
        cols=min(PER_LINE, len(panels)),
        subplot_titles=[heading(column.name) for column, _ in panels],
        horizontal_spacing=0.07,
        vertical_spacing=0.14,
    )
    for index, (column, records) in enumerate(panels):
        place = {"row": index // PER_LINE + 1, "col": index % PER_LINE + 1}
        for group, mark in GROUPS:
            members = [r for r in records if _group(r) == group]
            figure.add_trace(_dots(members, group, mark, show=index == 0), **place)
        low, high = _limits(records)
        for factor, dash in ((1.0, "solid"), (NEAR, "dot"), (1 / NEAR, "dot")):
            figure.add_trace(_diagonal(low, high, factor, dash), **place)
        span = [log10(low), log10(high)]
        unit = "" if column.unit == "1" else f" [{column.unit}]"
        ticks = _ticks(low, high)
        axis = {"type": "log", "range": span, "tickvals": ticks, "ticktext": [*map(_tick, ticks)]}
        figure.update_xaxes(title=f"published{unit}", **axis, **place)
        figure.update_yaxes(title=f"ours{unit}", **axis, **place)
    figure.update_layout(
        template=theme.template("light"),
        height=40 + 430 * lines,
        margin={"l": 70, "r": 20, "t": 40, "b": 60},
        legend={"title": "hollow: flagged"},
        hovermode="closest",
    )
    return figure


def _group(record: Record) -> str:
    return next((name for name, _ in GROUPS if record.cell.row.startswith(name)), "others")


def _dots(records: Sequence[Record], group: str, mark: theme.Mark, show: bool) -> Any:
    return go.Scatter(
        x=[record.cell.value for record in records],
        y=[record.predicted for record in records],
        mode="markers",
        name=group,
        legendgroup=group,
        showlegend=show,
        marker={
            "color": mark.colour,
            "symbol": [f"{mark.symbol}-open" if r.cell.flagged else mark.symbol for r in records],
            "size": 9,
        },
        text=[_hover(record) for record in records],
        hovertemplate="%{text}<extra></extra>",
    )


def _hover(record: Record) -> str:
    cell = record.cell
    unit = "" if cell.unit == "1" else f" {cell.unit}"
    lines = [
        f"<b>{plain(cell.row)}</b>",
        f"published {cell.printed}{unit}",
        f"ours {record.predicted:.4g}{unit}, {record.ratio:.2f} of it",
    ]
    if cell.flagged:
        lines.append("flagged: not to be taken at face value")
    return "<br>".join(lines)


def _limits(records: Sequence[Record]) -> tuple[float, float]:
    values = [v for r in records for v in (r.cell.value, r.predicted) if v is not None]
    return min(values) / 1.2, max(values) * 1.2


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 of every decade within the limits; 1 and 3 where they span more than two."""
    steps = (1, 2, 5) if high / low < 100 else (1, 3)
    decades = range(floor(log10(low)), ceil(log10(high)))
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    return [tick for tick in ticks if low <= tick <= high]


def _tick(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _diagonal(low: float, high: float, factor: float, dash: str) -> Any:
    return go.Scatter(
        x=[low, high],
        y=[low * factor, high * factor],
        mode="lines",
        line={"color": theme.ROOF, "width": 1, "dash": dash},
        hoverinfo="skip",
        showlegend=False,
    )


def reproduction_page(reproduction: Reproduction, conditions: Sequence[ConditionScore] = ()) -> str:
    """Cards, claims, scatter plots, conditions and every table, as one offline HTML page."""
    scores = score_columns(reproduction)
    sections = []
    claims = reproduction.of(CLAIMS)
    if claims:
        sections.append(
            Section(
                "Headline claims",
                "First over second, as stated and as predicted here.",
                tables=(claims_table(claims),),
                items=claim_notes(claims),
            )
        )
    sections.append(Section("Assumptions", items=notes_of(reproduction)))
    if conditions:
        sections.append(
            Section(
                "Which run conditions fit",
                "Each way of running, scored on the same cells.",
                tables=(conditions_table(conditions),),
                items=nearest_notes(conditions),
            )
        )
    for one in reproduction.tables:
        if one.id != CLAIMS:
            sections.append(_table_section(reproduction, one))
    if scores:
        sections.append(Section("Scores", tables=(scores_table(scores),)))
    if reproduction.misses:
        text = "Parameters beyond 0.5 % and multiply-accumulates beyond 1 %, each with its reason."
        sections.append(
            Section("Counts that miss", text, tables=(misses_table(reproduction.misses),))
        )
    reasons = reasons_table(reproduction)
    if reasons.rows:
        sections.append(Section("What is not predicted", tables=(reasons,)))
    cards = [
        Card(
            f"{heading(s.column)}, {s.score.n} networks",
            f"{percent(s.score.median_ape)} median error",
            f"ranks: {s.score.spearman:.3f} Spearman; median ours / published {s.score.bias:.2f}",
        )
        for s in scores
        if s.table == "imagenet"
    ]
    return html_page(
        "Published tables, reproduced",
        "Every published figure beside ours: counted from the traced networks, and times predicted "
        "from shapes and device peaks. Nothing was measured here.",
        sections,
        cards,
    )


def _table_section(reproduction: Reproduction, published: PublishedTable) -> Section:
    scattered = len(published.rows) >= FEWEST and published.id != "split-ratios"
    return Section(
        published.title,
        f"{published.conditions} Printed in: {'; '.join(published.documents)}.",
        figure=reproduction_figure(reproduction, published) if scattered else None,
        tables=(side_by_side(reproduction, published),),
    )
