"""Honest timing: warm-up, as many runs as a stated confidence takes, interruptions set aside.

The figure is the median; its 95% confidence interval comes from order statistics, which assume
nothing of the distribution. Runs far above the rest were interrupted by something else: they are
set aside and counted. A run whose first and second half disagree (a clock that falls, a cache
that fills) is not called confident.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from costmodel.errors import UsageError

Array = np.ndarray

Stopwatch = Callable[[int], float]
"""Runs the step that many times in a row and returns the seconds that took."""

Z_95 = 1.96
"""Normal quantile of a two-sided 95% interval."""
FENCE = 3.0
"""Interquartile ranges above the upper quartile beyond which a run counts as interrupted."""
SHORTEST = 1e-3
"""Seconds of one timed sample at least: shorter steps are timed several in a row."""
DRIFT = 2.0
"""How many tolerances the medians of the two halves may differ by."""


@dataclass(frozen=True)
class Plan:
    """How long and how surely to measure."""

    tolerance: float = 0.02
    """Half-width of the median's 95% interval to reach, as a share of the median."""
    warmup_runs: int = 3
    """Samples before the first that counts, at least."""
    warmup_seconds: float = 0.5
    """Time before the first that counts, at least."""
    min_runs: int = 12
    max_runs: int = 400
    max_seconds: float = 30.0
    """Time after which the result is taken as it is, once there are `min_runs`."""

    def __post_init__(self) -> None:
        if not 0 < self.tolerance < 1:
            raise UsageError(f"tolerance {self.tolerance}: expected a share between 0 and 1")
        if not 1 <= self.min_runs <= self.max_runs:
            raise UsageError(f"runs {self.min_runs} to {self.max_runs}: expected 1 <= min <= max")


@dataclass(frozen=True)
class Timing:
    """How long a step takes."""

    seconds: float
    """Median over the runs that count."""
    low: float
    """95% confidence interval of the median."""
    high: float
    runs: int
    """Samples that count."""
    outliers: int
    """Samples that were set aside."""
    warmup: int
    """Samples before the first that counts."""
    repeats: int
    """Steps per sample."""
    confident: bool
    """Whether the interval is within the tolerance and the two halves agree."""


def time_step(stopwatch: Stopwatch, plan: Plan | None = None) -> Timing:
    """Time a step until the median is known well enough, or the plan's limits are reached."""
    plan = plan or Plan()
    warmup, repeats = _warm_up(stopwatch, plan)
    samples: list[float] = []
    spent = 0.0
    while True:
        taken = stopwatch(repeats)
        samples.append(taken / repeats)
        spent += taken
        if len(samples) < plan.min_runs:
            continue
        found = _summary(np.array(samples), plan, warmup, repeats)
        if found.confident or len(samples) >= plan.max_runs or spent >= plan.max_seconds:
            return found


def _warm_up(stopwatch: Stopwatch, plan: Plan) -> tuple[int, int]:
    """Run until caches, allocators and compilers have settled; choose the steps per sample."""
    done, spent, shortest = 0, 0.0, float("inf")
    while done < plan.warmup_runs or spent < plan.warmup_seconds:
        taken = stopwatch(1)
        done, spent, shortest = done + 1, spent + taken, min(shortest, taken)
    return done, max(1, round(SHORTEST / max(shortest, 1e-9)))


def _summary(samples: Array, plan: Plan, warmup: int, repeats: int) -> Timing:
    kept = without_interruptions(samples)
    low, high = median_interval(kept)
    median = float(np.median(kept))
    narrow = max(high - median, median - low) <= plan.tolerance * median
    half = len(kept) // 2
    drift = abs(float(np.median(kept[:half]) - np.median(kept[half:]))) if half else 0.0
    return Timing(
        seconds=median,
        low=low,
        high=high,
        runs=len(kept),
        outliers=len(samples) - len(kept),
        warmup=warmup,
        repeats=repeats,
        confident=narrow and drift <= DRIFT * plan.tolerance * median,
    )


def without_interruptions(samples: Array) -> Array:
    """Samples in their order, those far above the upper quartile left out (Tukey's far fence)."""
    lower, upper = np.quantile(samples, (0.25, 0.75))
    # Where runs are equal to the clock's tick, ordinary jitter of 1% is still no interruption.
    fence = upper + FENCE * max(upper - lower, 0.01 * upper)
    return np.asarray(samples[samples <= fence])


def median_interval(samples: Array) -> tuple[float, float]:
    """95% confidence interval of the median, from the order statistics of a binomial(n, 1/2)."""
    ordered = np.sort(samples)
    n = len(ordered)
    reach = Z_95 * np.sqrt(n) / 2
    first = max(int(np.floor(n / 2 - reach)), 0)
    last = min(int(np.ceil(n / 2 + reach)), n - 1)
    return float(ordered[first]), float(ordered[last])
