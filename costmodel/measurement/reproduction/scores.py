"""How near predictions come, column by column, and under which run conditions they come nearest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from costmodel.errors import CostModelError
from costmodel.measurement.reproduction.conditions import (
    ASSUMPTIONS,
    Assumption,
    Condition,
)
from costmodel.measurement.reproduction.records import Reproduction, timed
from costmodel.measurement.validation.scoring import Score, score
from costmodel.published import model, table

if TYPE_CHECKING:
    from costmodel.measurement.reproduction.networks import Networks

NEVER_SCORED = ("split-ratios", "headline-ratios")
"""Tables whose columns are not samples of one quantity, or not predictions."""


@dataclass(frozen=True)
class ColumnScore:
    """Predictions of one column of one table against what was published."""

    table: str
    column: str
    score: Score
    spread: float
    """Median error that is left after the median ratio is divided out: the shape, not the scale."""
    flagged: int
    """Cells that cannot be taken at face value, left out."""
    missing: int
    """Cells without a prediction."""


@dataclass(frozen=True)
class ConditionScore:
    """Predictions of one column under one way of running."""

    table: str
    column: str
    condition: Condition
    assumed: bool
    """Whether the other reports use it."""
    score: Score
    spread: float


def score_columns(reproduction: Reproduction) -> tuple[ColumnScore, ...]:
    """Score every column that has predictions, flagged cells left out."""
    found = []
    for one in reproduction.tables:
        if one.id in NEVER_SCORED:
            continue
        for column in one.columns:
            records = reproduction.of(one.id, column.name)
            pairs = [
                (record.predicted, record.cell.value)
                for record in records
                if record.predicted is not None and not record.cell.flagged
            ]
            if not pairs:
                continue
            found.append(
                ColumnScore(
                    one.id,
                    column.name,
                    *_scored(pairs),
                    flagged=sum(record.cell.flagged for record in records),
                    missing=sum(record.predicted is None for record in records),
                )
            )
    return tuple(found)


def _scored(pairs: Sequence[tuple[float, float]]) -> tuple[Score, float]:
    """Score and spread of (predicted, published) pairs."""
    predicted, published = np.array(pairs, dtype=float).T
    ratios = predicted / published
    return score(predicted, published), float(np.median(abs(ratios / np.median(ratios) - 1)))


def compare_conditions(
    ids: Iterable[str] = (),
    progress: Callable[[str], None] | None = None,
    networks: Networks | None = None,
) -> tuple[ConditionScore, ...]:
    """Score what is assumed beside its alternatives, on the table each was chosen for.

    Args:
        ids: tables to look at, by default all that have measured columns.
        progress: is told what is being traced.
        networks: to share with `reproduce`, so that nothing is traced twice.

    Raises:
        UnknownNameError: for a table that does not exist, with the nearest.
    """
    if networks is None:
        from costmodel.measurement.reproduction.networks import Networks

        networks = Networks(progress)
    wanted = {table(id).id for id in ids}
    found = []
    for assumption in ASSUMPTIONS:
        if wanted and assumption.example not in wanted:
            continue
        for condition in (assumption.condition, *assumption.alternatives):
            pairs = _pairs(assumption, condition, networks)
            if pairs:
                assumed = condition == assumption.condition
                found.append(
                    ConditionScore(
                        assumption.example, assumption.column, condition, assumed, *_scored(pairs)
                    )
                )
    return tuple(found)


def _pairs(
    assumption: Assumption, condition: Condition, networks: Networks
) -> list[tuple[float, float]]:
    pairs = []
    for cell in table(assumption.example).cells:
        if cell.column != assumption.column or cell.flagged:
            continue
        try:
            seconds = networks.seconds(model(cell.table, cell.row), condition)
        except CostModelError:  # a package is missing; the records say which
            continue
        pairs.append((timed(seconds, condition.batch, cell.unit), cell.value))
    return pairs
