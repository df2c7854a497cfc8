"""A validation as a report: the metrics first, then where the errors are."""

from __future__ import annotations

from math import isnan
from typing import Any

from costmodel.measurement.validation.device_factors import DeviceFactors
from costmodel.measurement.validation.validation import GroupScore, KindScore, Validation
from costmodel.reports.report import Report
from costmodel.reports.table import Column, Table
from costmodel.reports.text import count, percent, show_time

LISTED = 10
"""Families and models shown, the worst first."""

_PLURAL = {"family": "families", "operator": "operators"}


def validation_report(found: Validation) -> Report:
    """Metrics, the worst families, operator kinds and models, what was skipped and why."""
    tables = [metrics_table(found), group_table(found, LISTED)]
    if found.kinds:
        tables.append(kind_table(found))
    tables.append(row_table(found, LISTED))
    if found.refinement is not None:
        tables.append(factor_table(found))
    return Report(validation_document(found), tuple(tables), notes_of(found))


def validation_document(found: Validation) -> dict[str, Any]:
    """A validation as JSON, in SI units; errors and shares are fractions."""
    score = found.score
    return {
        "against": found.against,
        "device": found.device,
        "conditions": found.conditions,
        "n": score.n,
        "skipped": [entry._asdict() for entry in found.skipped],
        "median_ape": score.median_ape,
        "mape": score.mape,
        "within_10": score.within_10,
        "within_20": score.within_20,
        "spearman": None if isnan(score.spearman) else score.spearman,
        "bias": score.bias,
        "coverage_90": score.coverage_90,
        "few_shot": _few_shot_document(found),
        _PLURAL[found.group_word]: [entry._asdict() for entry in found.by_group],
        "kinds": [entry._asdict() for entry in found.by_kind],
        "rows": [
            {
                "name": found.names[i],
                "measured_s": float(found.measured[i]),
                "predicted_s": float(found.predicted[i]),
                "interval_s": None
                if found.low is None or found.high is None
                else [float(found.low[i]), float(found.high[i])],
            }
            for i in range(len(found.names))
        ],
        "notes": list(found.notes),
    }


def _few_shot_document(found: Validation) -> dict[str, Any] | None:
    refinement = found.refinement
    if refinement is None:
        return None
    return {
        "models": list(refinement.used),
        "refined": refinement.refined,
        "factors": {name: getattr(refinement.factors, name) for name in DeviceFactors.names()},
        "spec_only_log_error": refinement.spec_only_error,
        "refined_log_error": refinement.refined_error,
    }


def metrics_table(found: Validation) -> Table:
    """The usual metrics in one row."""
    columns = (
        Column("n", "n"),
        Column("skipped", "skipped"),
        Column("median_ape", "median APE", percent),
        Column("mape", "MAPE", percent),
        Column("within_10", "within 10 %", percent),
        Column("within_20", "within 20 %", percent),
        Column("spearman", "Spearman", lambda value: f"{value:.4f}"),
        Column("bias", "bias", lambda value: f"{value:.3f}"),
        Column("coverage_90", "in 90 % interval", percent),
    )
    s = found.score
    row = (
        s.n, len(found.skipped), s.median_ape, s.mape, s.within_10, s.within_20,
        None if isnan(s.spearman) else s.spearman, s.bias, s.coverage_90,
    )  # fmt: skip
    return Table(f"{found.against} on {found.device}: {found.conditions}", columns, (row,))


def group_table(found: Validation, limit: int | None = None) -> Table:
    """The families or operators with the largest errors."""
    columns = (
        Column(found.group_word, found.group_word, right=False),
        Column("n", "n"),
        Column("mape", "MAPE", percent),
        Column("median_ape", "median APE", percent),
        Column("bias", "bias", lambda value: f"{value:.3f}"),
    )
    rows: list[GroupScore] = list(found.by_group[:limit])
    return Table(f"Worst {_PLURAL[found.group_word]}", columns, tuple(map(tuple, rows)))


def kind_table(found: Validation) -> Table:
    """Errors weighted by the time that networks spend on each kind of operator."""
    columns = (
        Column("kind", "operator kind", right=False),
        Column("time_share", "of time", percent),
        Column("weighted_ape", "weighted APE", percent),
        Column("weighted_bias", "bias", lambda value: f"{value:.3f}"),
    )
    rows: list[KindScore] = list(found.by_kind)
    title = "Operator kinds: errors of the networks they are in"
    return Table(title, columns, tuple(map(tuple, rows)))


def row_table(found: Validation, limit: int) -> Table:
    """The models or kernels with the largest errors."""
    columns = (
        Column("name", "model" if found.group_word == "family" else "kernel", right=False),
        Column("measured_s", "measured", show_time),
        Column("predicted_s", "predicted", show_time),
        Column("ratio", "predicted/measured", lambda value: f"{value:.2f}"),
    )
    rows = tuple(
        (
            found.names[i],
            float(found.measured[i]),
            float(found.predicted[i]),
            float(found.predicted[i] / found.measured[i]),
        )
        for i in found.worst(limit)
    )
    return Table("Largest errors", columns, rows)


def factor_table(found: Validation) -> Table:
    """What few-shot refinement found out about the device."""
    assert found.refinement is not None
    names = DeviceFactors.names()
    columns = tuple(Column(name, name, lambda value: f"{value:.3f}") for name in names)
    row = tuple(getattr(found.refinement.factors, name) for name in names)
    return Table("Device factors (launch: on a time, others: on a rate)", columns, (row,))


def notes_of(found: Validation) -> tuple[str, ...]:
    """Where the numbers are from, and why rows were skipped."""
    notes = list(found.notes)
    if (used := found.refinement) is not None:
        verdict = (
            "kept: the refined estimate predicts models left out better"
            if used.refined
            else "not used: the spec-only estimate predicts models left out as well"
        )
        notes.append(
            f"few-shot: {count(len(used.used), 'model')} set aside for refinement, "
            f"{', '.join(used.used)}; mean log error {used.spec_only_error:.3f} spec-only, "
            f"{used.refined_error:.3f} refined and cross-validated; {verdict}"
        )
    reasons: dict[str, list[str]] = {}
    for entry in found.skipped:
        reasons.setdefault(entry.reason, []).append(entry.model)
    for reason, models in reasons.items():
        shown = ", ".join(models[:3]) + (", ..." if len(models) > 3 else "")
        notes.append(f"skipped {shown}: {reason}")
    return tuple(notes)
