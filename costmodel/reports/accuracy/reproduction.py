"""Published tables against ours as a report: side by side, with scores, claims and reasons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from costmodel.measurement.reproduction import (
    ColumnScore,
    ConditionScore,
    Record,
    Reproduction,
    score_columns,
)
from costmodel.measurement.reproduction.conditions import ASSUMPTIONS
from costmodel.reports.accuracy.reproduction_tables import (
    claims_table,
    conditions_table,
    heading,
    misses_table,
    reasons_table,
    records_table,
    score_cells,
    scores_table,
    side_by_side,
)
from costmodel.reports.report import Report
from costmodel.reports.text import percent

CLAIMS = "headline-ratios"
"""The published table of claims, which has a form of its own."""

SCORES = (
    "Ratios are ours over published. Spread: the median error that is left after the median ratio "
    "is divided out, the shape without the scale."
)


def reproduction_report(reproduction: Reproduction) -> Report:
    """Every table side by side, then claims, scores, what misses and what is not predicted."""
    tables = [side_by_side(reproduction, one) for one in reproduction.tables if one.id != CLAIMS]
    claims = reproduction.of(CLAIMS)
    if claims:
        tables.append(claims_table(claims))
    scores = score_columns(reproduction)
    if scores:
        tables.append(scores_table(scores))
    if reproduction.misses:
        tables.append(misses_table(reproduction.misses))
    reasons = reasons_table(reproduction)
    if reasons.rows:
        tables.append(reasons)
    notes = (*notes_of(reproduction), *claim_notes(claims))
    return Report(_document(reproduction, scores), tuple(tables), notes)


def records_report(reproduction: Reproduction) -> Report:
    """One row for every cell: what CSV holds."""
    documents = [record_document(record) for record in reproduction.records]
    return Report({"records": documents}, (records_table(documents),))


def conditions_report(scores: Sequence[ConditionScore]) -> Report:
    """How near each way of running comes to what was published."""
    looked_at = {(score.table, score.column) for score in scores}
    return Report(
        {"conditions": [_condition_document(score) for score in scores]},
        (conditions_table(scores),),
        (
            *(
                f"{heading(a.column)}, {a.example}: {a.why}"
                for a in ASSUMPTIONS
                if (a.example, a.column) in looked_at
            ),
            *nearest_notes(scores),
            SCORES,
        ),
    )


def nearest_notes(scores: Sequence[ConditionScore]) -> tuple[str, ...]:
    """Where another condition comes nearer than the assumed one, and by how much."""
    notes = []
    for assumed in scores:
        if assumed.assumed:
            rivals = [s for s in scores if (s.table, s.column) == (assumed.table, assumed.column)]
            best = min(rivals, key=lambda s: s.score.median_ape)
            place = f"{heading(assumed.column)}, {assumed.table}"
            if best.assumed:
                notes.append(f"{place}: what is assumed comes nearest.")
            else:
                notes.append(
                    f"{place}: {best.condition.label} comes nearer, "
                    f"{percent(best.score.median_ape)} median error against "
                    f"{percent(assumed.score.median_ape)} of what is assumed."
                )
    return tuple(notes)


def record_document(record: Record) -> dict[str, Any]:
    """One cell as JSON."""
    cell = record.cell
    return {
        "table": cell.table,
        "row": cell.row,
        "column": cell.column,
        "published": cell.value,
        "predicted": record.predicted,
        "ratio": record.ratio,
        "unit": cell.unit,
        "note": record.note,
    }


def notes_of(reproduction: Reproduction) -> tuple[str, ...]:
    """The run conditions that were assumed, and how scores read."""
    conditions = [
        f"{heading(a.column)}{f', {a.table}' if a.table else ''}: predicted for "
        f"{a.condition.label}. {a.why}"
        for a in reproduction.assumptions
    ]
    return (
        *conditions,
        "MACs: multiply-accumulates, what the documents call FLOPs.",
        "* marks published figures that cannot be taken at face value; scores leave them out.",
        SCORES,
    )


def claim_notes(claims: Iterable[Record]) -> tuple[str, ...]:
    """What to know about each claim: the device assumed, what else the documents print."""
    return tuple(f"{r.cell.row}: {r.note}" for r in claims if r.note)


def _document(reproduction: Reproduction, scores: Iterable[ColumnScore]) -> dict[str, Any]:
    return {
        "assumed": [
            {
                "column": a.column,
                "table": a.table,
                "condition": a.condition.label,
                "why": a.why,
            }
            for a in reproduction.assumptions
        ],
        "records": [record_document(record) for record in reproduction.records],
        "scores": [
            {
                "table": s.table,
                "column": s.column,
                "cells": s.score.n,
                **_score_document(s),
                "flagged": s.flagged,
                "missing": s.missing,
            }
            for s in scores
        ],
    }


def _condition_document(score: ConditionScore) -> dict[str, Any]:
    return {
        "table": score.table,
        "column": score.column,
        "condition": score.condition.label,
        "assumed": score.assumed,
        "cells": score.score.n,
        **_score_document(score),
    }


def _score_document(one: ColumnScore | ConditionScore) -> dict[str, Any]:
    keys = ("median_ape", "mape", "median_ratio", "spread", "spearman")
    return dict(zip(keys, score_cells(one), strict=True))
