"""A fit as a report: how well each source is predicted, the constants, what each law is worth."""

from __future__ import annotations

from dataclasses import asdict
from math import isnan
from typing import Any

from costmodel.measurement.fitting.fit import Fit
from costmodel.reports.report import Report
from costmodel.reports.table import Column, Table
from costmodel.reports.text import percent
from costmodel.roofline.constants import Constants, constant_table


def fit_report(found: Fit, start: Constants) -> Report:
    """Scores before and after, the fitted constants with their ranges, and the ablation."""
    tables = [_scores(found), _constants(found, start)]
    if found.folds:
        tables.append(_folds(found))
    if len(found.ablation) > 1:
        tables.append(_ablation(found))
    return Report(_document(found), tuple(tables))


def _scores(found: Fit) -> Table:
    columns = (
        Column("source", "measured", right=False),
        Column("role", "", right=False),
        Column("n", "n"),
        Column("mape_before", "MAPE before", percent),
        Column("mape", "MAPE", percent),
        Column("median_ape", "median APE", percent),
        Column("spearman", "Spearman", "{:.4f}".format),
        Column("bias", "bias", "{:.3f}".format),
    )
    rows = tuple(
        (
            entry.source, "held out" if entry.held_out else "fitted to", entry.after.n,
            entry.before.mape, entry.after.mape, entry.after.median_ape, entry.after.spearman,
            entry.after.bias,
        )
        for entry in found.scores
    )  # fmt: skip
    return Table("Predictions", columns, rows)


def _folds(found: Fit) -> Table:
    columns = (
        Column("source", "measured", right=False),
        Column("n", "n"),
        Column("mape", "MAPE", percent),
        Column("median_ape", "median APE", percent),
        Column("bias", "bias", "{:.3f}".format),
    )
    rows = tuple((name, s.n, s.mape, s.median_ape, s.bias) for name, s in found.folds)
    return Table("Every family predicted by constants fitted to other families", columns, rows)


def _constants(found: Fit, start: Constants) -> Table:
    before = {row.name: row.value for row in constant_table(start)}
    columns = (
        Column("constant", "constant", right=False),
        Column("before", "before", "{:.4g}".format),
        Column("fitted", "fitted", "{:.4g}".format),
        Column("low", "least", "{:g}".format),
        Column("high", "most", "{:g}".format),
        Column("unit", "unit", right=False),
        Column("meaning", "meaning", right=False, wrap=True),
    )
    rows = tuple(
        (row.name, before[row.name], row.value, row.low, row.high, row.unit, row.meaning)
        for row in constant_table(found.constants)
        if row.name in found.fitted
    )
    return Table("Constants", columns, rows)


def _ablation(found: Fit) -> Table:
    sources = [entry.source for entry in found.scores]
    columns = (
        Column("without", "without", right=False),
        *(Column(source, source, percent) for source in sources),
    )
    rows = tuple(
        (law or "(all laws on)", *(errors.get(source) for source in sources))
        for law, errors in found.ablation.items()
    )
    return Table("MAPE with one law off, the constants kept", columns, rows)


def _document(found: Fit) -> dict[str, Any]:
    return {
        "constants": {name: getattr(found.constants, name) for name in found.fitted},
        "scores": [
            {
                "source": entry.source,
                "held_out": entry.held_out,
                "before": _finite(asdict(entry.before)),
                "after": _finite(asdict(entry.after)),
            }
            for entry in found.scores
        ],
        "folds": [{"source": name, **_finite(asdict(score))} for name, score in found.folds],
        "ablation": found.ablation,
    }


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and isnan(v) else v for k, v in values.items()}
