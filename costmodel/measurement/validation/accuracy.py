"""What was validated, how well it went, and how to repeat it: the file behind the accuracy page.

`benchmarks/accuracy.py` writes it; `costmodel.reports.accuracy.page` shows it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from costmodel.errors import UsageError

SCHEMA_VERSION: Literal[1] = 1

Kind = Literal["spec-only", "few-shot", "same-device"]
"""How much of the judged device the prediction knew: its data sheet; up to ten measured models
besides; or the universal constants were fitted on it."""

FEWEST_OF_A_FAMILY = 3
"""Models below which a family's score is not kept."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FamilyScore(_Part):
    """A family of networks, or an operator, that was predicted badly."""

    name: str
    n: int = Field(ge=1)
    mape: float = Field(ge=0)
    bias: float = Field(gt=0, description="Median of predicted / measured.")


class AccuracyRun(_Part):
    """One validation; errors and shares are fractions."""

    test: str = Field(min_length=1, description="What was predicted, unique.")
    kind: Kind
    device: str
    conditions: str = Field(description="How the runs were made.")
    n: int = Field(ge=1)
    skipped: int = Field(ge=0, description="Rows that could not be compared.")
    median_ape: float = Field(ge=0)
    mape: float = Field(ge=0)
    within_10: float = Field(ge=0, le=1)
    within_20: float = Field(ge=0, le=1)
    spearman: float | None = Field(ge=-1, le=1)
    bias: float = Field(gt=0, description="Median of predicted / measured.")
    coverage_90: float | None = Field(
        ge=0, le=1, description="Share inside the 90% interval; null where there is none."
    )
    worst: tuple[FamilyScore, ...] = ()
    command: str
    target: str = Field(default="", description="The number to beat, and whose it is.")


class AccuracyTable(_Part):
    """All validations of a release."""

    schema_version: Literal[1] = SCHEMA_VERSION
    version: str = Field(description="Of this package.")
    date: str = Field(description="When the newest run was made, YYYY-MM-DD.")
    runs: tuple[AccuracyRun, ...]


def run_of(
    document: dict[str, Any], test: str, kind: Kind, command: str, target: str = ""
) -> AccuracyRun:
    """A record from what `costmodel validate --format json` wrote.

    Args:
        document: that JSON.
        test: what to call it.
        kind: how much of the device was known.
        command: what was typed.
        target: the number to beat.
    """
    groups = document.get("families") or document.get("operators") or []
    worst = [group for group in groups if group["n"] >= FEWEST_OF_A_FAMILY][:5]
    kept = ("device", "conditions", "n", "median_ape", "mape", "within_10", "within_20",
            "spearman", "bias", "coverage_90")  # fmt: skip
    return AccuracyRun(
        test=test,
        kind=kind,
        command=command,
        target=target,
        skipped=len(document["skipped"]),
        worst=tuple(
            FamilyScore(name=g["name"], n=g["n"], mape=g["mape"], bias=g["bias"]) for g in worst
        ),
        **{name: document[name] for name in kept},
    )


def read_accuracy(path: Path) -> AccuracyTable:
    """Read the file.

    Raises:
        UsageError: if it is missing or not of this form, naming the first wrong place.
    """
    try:
        return AccuracyTable.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UsageError(f"{path}: {place}: {first['msg']}") from error


def joined(
    table: AccuracyTable | None, runs: Iterable[AccuracyRun], version: str, date: str
) -> AccuracyTable:
    """A table with runs put in the place of those of the same name, new ones at the end."""
    named = {run.test: run for run in (table.runs if table else ())}
    named.update({run.test: run for run in runs})
    return AccuracyTable(version=version, date=date, runs=tuple(named.values()))
