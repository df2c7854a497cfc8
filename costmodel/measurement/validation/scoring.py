"""Scores of predictions against measurements, by the field's usual metrics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from costmodel.errors import UsageError

Array = np.ndarray


@dataclass(frozen=True)
class Score:
    """How near predictions came; shares and errors are fractions, not percent."""

    n: int
    median_ape: float
    """Median of |predicted / measured - 1|."""
    mape: float
    """Mean of the same."""
    within_10: float
    """Share of predictions within 10%."""
    within_20: float
    spearman: float
    """Rank correlation; NaN for fewer than two predictions or constant ones."""
    bias: float
    """Median of predicted / measured; above 1 is too slow a prediction."""
    coverage_90: float | None
    """Share of measurements inside the 90% interval, None where no interval was given."""


def score(predicted: Array, measured: Array, interval: tuple[Array, Array] | None = None) -> Score:
    """Score predictions against measurements, both positive and (n,).

    Args:
        predicted: any unit.
        measured: the same unit.
        interval: lower and upper ends of the 90% intervals.

    Raises:
        UsageError: if there is nothing to score, lengths differ or a value is not positive.
    """
    predicted, measured = np.asarray(predicted, float), np.asarray(measured, float)
    if predicted.shape != measured.shape or predicted.ndim != 1:
        raise UsageError(
            f"predictions {predicted.shape} and measurements {measured.shape} must be equally long"
        )
    if not len(predicted):
        raise UsageError("nothing to score")
    if not ((predicted > 0) & (measured > 0) & np.isfinite(predicted * measured)).all():
        raise UsageError("predictions and measurements must be positive and finite")
    ratio = predicted / measured
    error = np.abs(ratio - 1)
    return Score(
        n=len(ratio),
        median_ape=float(np.median(error)),
        mape=float(error.mean()),
        within_10=float((error <= 0.1).mean()),
        within_20=float((error <= 0.2).mean()),
        spearman=spearman(predicted, measured),
        bias=float(np.median(ratio)),
        coverage_90=None if interval is None else coverage(measured, *interval),
    )


def spearman(first: Array, second: Array) -> float:
    """Rank correlation with mean ranks for ties; NaN where it is not defined."""
    if len(first) < 2:
        return float("nan")
    a, b = _ranks(first), _ranks(second)
    spread = float(a.std() * b.std())
    if spread == 0:
        return float("nan")
    return float(((a - a.mean()) * (b - b.mean())).mean() / spread)


def coverage(measured: Array, low: Array, high: Array) -> float:
    """Share of measurements within [low, high]."""
    return float(((np.asarray(low) <= measured) & (measured <= np.asarray(high))).mean())


def _ranks(values: Array) -> Array:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_rank = last - (counts - 1) / 2
    ranks: Array = mean_rank[inverse]
    return ranks
