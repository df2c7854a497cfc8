"""The tables of a reproduction: published figures beside ours, scores, claims and reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from costmodel.measurement.reproduction import (
    ColumnScore,
    ConditionScore,
    Record,
    Reproduction,
)
from costmodel.published import Table as PublishedTable
from costmodel.reports.table import Column, Table
from costmodel.reports.text import percent

MANY = 6
"""From so many predicted columns on, ours stands beside the published figure only if it differs."""

UNITS = {"1": "", "M": "M", "G": "G"}

_HEADINGS = {
    "params": "params",
    "macs": "MACs",
    "throughput_v100": "V100",
    "throughput_mi250": "MI250",
    "latency_epyc_73f3": "EPYC 73F3",
}


def records_table(documents: Iterable[Mapping[str, Any]]) -> Table:
    """One row for every cell, of its document."""
    columns = (
        Column("table", "table", right=False),
        Column("row", "row", right=False),
        Column("column", "column", right=False),
        Column("published", "published", _number),
        Column("predicted", "ours", _number),
        Column("ratio", "ours / published", _ratio),
        Column("unit", "unit", right=False),
        Column("note", "note", right=False),
    )
    rows = tuple(tuple(document.values()) for document in documents)
    return Table("Published cells", columns, rows)


def side_by_side(reproduction: Reproduction, published: PublishedTable) -> Table:
    """One published table: for every predicted column theirs, ours and the ratio."""
    by_cell = {(r.cell.row, r.cell.column): r for r in reproduction.of(published.id)}
    shown = [
        column
        for column in published.columns
        if any(r.predicted is not None for r in reproduction.of(published.id, column.name))
    ]
    columns = [Column("row", "row", right=False)]
    cells: list[Callable[[Record | None], tuple[Any, ...]]] = []
    for column in shown:
        name, unit = column.name, UNITS.get(column.unit, column.unit)
        title = f"{heading(name)} [{unit}]" if unit else heading(name)
        if len(shown) >= MANY:
            columns.append(Column(name, title))
            cells.append(lambda record: (_beside(record),))
        else:
            columns += [
                Column(f"{name}_published", title),
                Column(f"{name}_predicted", "ours", _number),
                Column(f"{name}_ratio", "ratio", _ratio),
            ]
            cells.append(_apart)
    rows = tuple(
        (
            row,
            *(
                value
                for column, values in zip(shown, cells, strict=True)
                for value in values(by_cell.get((row, column.name)))
            ),
        )
        for row in published.rows
    )
    return Table(f"{published.id}: {published.title}", tuple(columns), rows)


def _apart(record: Record | None) -> tuple[Any, ...]:
    if record is None:
        return "-", None, None
    return _printed(record), record.predicted, record.ratio


def _beside(record: Record | None) -> str:
    if record is None:
        return "-"
    if record.predicted is None:
        return f"{_printed(record)} (?)"
    same = abs((record.ratio or 0) - 1) < 1e-9
    return _printed(record) if same else f"{_printed(record)} ({_number(record.predicted)})"


def _printed(record: Record) -> str:
    return record.cell.printed + ("*" if record.cell.flagged else "")


def claims_table(claims: Iterable[Record]) -> Table:
    """Each claim with its sign and size, theirs and ours."""
    columns = (
        Column("claim", "claim: first / second", right=False),
        Column("published", "stated"),
        Column("predicted", "ours", _number),
        Column("published_change", "stated", _change),
        Column("predicted_change", "ours", _change),
        Column("same_sign", "sign", lambda same: "same" if same else "DIFFERS", right=False),
    )
    rows = tuple(
        (
            r.cell.row,
            _printed(r),
            r.predicted,
            r.cell.value - 1,
            None if r.predicted is None else r.predicted - 1,
            r.same_sign,
        )
        for r in claims
    )
    return Table("Headline claims: sign and size", columns, rows)


def scores_table(scores: Iterable[ColumnScore]) -> Table:
    """How near each column comes: errors, bias and ranks."""
    columns = (
        Column("table", "table", right=False),
        Column("column", "column", heading, right=False),
        Column("n", "cells"),
        *_score_columns(),
        Column("flagged", "flagged"),
    )
    rows = tuple((s.table, s.column, s.score.n, *score_cells(s), s.flagged) for s in scores)
    return Table("Ours against published", columns, rows)


def conditions_table(scores: Iterable[ConditionScore]) -> Table:
    """What each way of running would predict, scored; an arrow marks what is assumed."""
    columns = (
        Column("table", "table", right=False),
        Column("column", "column", heading, right=False),
        Column("condition", "predicted for", right=False),
        Column("assumed", "", lambda assumed: "<- assumed" if assumed else "", right=False),
        Column("n", "cells"),
        *_score_columns(),
    )
    rows = tuple(
        (s.table, s.column, s.condition.label, s.assumed, s.score.n, *score_cells(s))
        for s in scores
    )
    return Table("Run conditions against published figures", columns, rows)


def _score_columns() -> tuple[Column, ...]:
    return (
        Column("median_ape", "median error", percent),
        Column("mape", "mean error", percent),
        Column("median_ratio", "median ratio", _ratio),
        Column("spread", "spread", percent),
        Column("spearman", "Spearman", lambda rho: f"{rho:.3f}"),
    )


def score_cells(one: ColumnScore | ConditionScore) -> tuple[Any, ...]:
    """Median and mean error, median ratio, spread, Spearman's rho; None for a rho of nothing."""
    s = one.score
    return s.median_ape, s.mape, s.bias, one.spread, _or_none(s.spearman)


def misses_table(misses: Iterable[Record]) -> Table:
    """Counted figures beyond their tolerance, each with its reason."""
    columns = (
        Column("table", "table", right=False),
        Column("row", "row", right=False),
        Column("column", "column", heading, right=False),
        Column("published", "published"),
        Column("predicted", "ours", _number),
        Column("ratio", "ratio", lambda ratio: f"{ratio:.3f}"),
        Column("note", "why", right=False),
    )
    rows = tuple(
        (r.cell.table, r.cell.row, r.cell.column, _printed(r), r.predicted, r.ratio, r.note)
        for r in misses
    )
    return Table("Params further off than 0.5 %, MACs further than 1 %", columns, rows)


def reasons_table(reproduction: Reproduction) -> Table:
    """Cells without a prediction, by reason."""
    found: dict[tuple[str, str, str], int] = {}
    for record in reproduction.records:
        if record.predicted is None:
            key = (record.cell.table, record.cell.column, record.note)
            found[key] = found.get(key, 0) + 1
    columns = (
        Column("table", "table", right=False),
        Column("column", "column", heading, right=False),
        Column("cells", "cells"),
        Column("reason", "reason", right=False),
    )
    rows = tuple((table, name, count, why) for (table, name, why), count in found.items())
    return Table("Not predicted", columns, rows)


def heading(column: str) -> str:
    """A column's name as a person reads it."""
    return _HEADINGS.get(column, column.replace("_", " "))


def _number(value: float) -> str:
    if value >= 10_000:
        return f"{value:,.0f}" if value < 1e6 else f"{value:.0f}"
    return f"{value:.0f}" if value >= 1000 else f"{value:.4g}" if value < 100 else f"{value:.1f}"


def _ratio(ratio: float) -> str:
    return f"{ratio:.2f}"


def _change(change: float) -> str:
    return f"{change * 100:+.1f} %"


def _or_none(value: float) -> float | None:
    return value if value == value else None  # NaN, which JSON has not
