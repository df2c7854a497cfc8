"""Few-shot refinement: up to ten measured models tell how a device departs from its profile.

A handful of device factors is fitted by regularised least squares on the logarithm of time. Their
prior is log-normal, centred at 1, and has a part in common: a device that is slower than its
profile in one way is mostly slower in others. Whether they are used at all, and how far the prior
lets them go, is decided by leave-one-out cross-validation: unless they predict the models left out
better, as sure as a one-sided t-test at 10% is, the spec-only estimate stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from costmodel.errors import UsageError
from costmodel.measurement.validation.device_factors import (
    NEUTRAL,
    DeviceFactors,
    network_times,
    sum_rows,
)
from costmodel.measurement.validation.networks import Networks
from costmodel.roofline.ceilings import Target
from costmodel.roofline.constants import DEFAULT, Constants
from costmodel.roofline.engine import ALL_LAWS

Array = np.ndarray

MOST = 10
"""Measured models that few-shot refinement takes at most."""
FEWEST = 3

PRIOR: dict[str, float] = {
    "matrix": 0.2,
    "vector": 0.3,
    "bandwidth": 0.15,
    "cache": 0.3,
    "launch": 0.5,
}
"""Standard deviation of the logarithm of each factor, from one device to the next."""
COMMON = 0.2
"""The same of what all factors have in common, by which the whole device is faster or slower."""
WIDTHS = (0.25, 1.0)
"""Multiples of each factor's own width that cross-validation chooses from."""
LEAST_NOISE = 0.08
"""Log error of a single model that no factor can explain, at least; where the models' errors on a
device spread more widely, as much as they do."""
T_90 = (1.886, 1.638, 1.533, 1.476, 1.440, 1.415, 1.397, 1.383)
"""Quantile 0.9 of Student's t with 2 to 9 degrees of freedom."""
ROBUST = 1.5
"""In units of the noise: residuals beyond it count linearly."""


@dataclass(frozen=True)
class Refinement:
    """What few measured models say of a device."""

    factors: DeviceFactors
    """All 1 where cross-validation kept the spec-only estimate."""
    used: tuple[str, ...]
    """Models they were fitted to; they must not be judged with."""
    spec_only_error: float
    """Mean |log(predicted / measured)| of those models without factors."""
    refined_error: float
    """The same with factors, each model predicted from the others only."""
    refined: bool
    """Whether the factors are used."""

    @property
    def narrowing(self) -> float:
        """Factor on the width of intervals: the root of how much the error shrank, at most 1.

        The root, since ten models tell the size of an error within a factor of about 1.3 only.
        """
        if not self.refined or self.spec_only_error <= 0:
            return 1.0
        return float(min(1.0, (self.refined_error / self.spec_only_error) ** 0.5))


def pick_models(families: Sequence[str], count: int, seed: int = 0) -> Array:
    """Indices of models to measure: one each of families drawn at random, then a second of each.

    Args:
        families: (networks,) of each model.
        count: how many, fewer if there are not as many models.
        seed: of the draw.
    """
    generator = np.random.default_rng(seed)
    members: dict[str, list[int]] = {}
    for index, family in enumerate(families):
        members.setdefault(family, []).append(index)
    queues = [generator.permutation(members[family]).tolist() for family in sorted(members)]
    chosen: list[int] = []
    while len(chosen) < count and any(queues):
        for position in generator.permutation(len(queues)).tolist():
            if queues[position] and len(chosen) < count:
                chosen.append(queues[position].pop())
    return np.array(sorted(chosen), dtype=np.int64)


def refine(
    measured: Networks,
    target: Target,
    constants: Constants = DEFAULT,
    laws: frozenset[str] = ALL_LAWS,
) -> Refinement:
    """Fit device factors to a few measured networks, if cross-validation finds them to help.

    Raises:
        UsageError: for fewer than `FEWEST` or more than `MOST` models.
    """
    if not FEWEST <= len(measured) <= MOST:
        raise UsageError(
            f"few-shot refinement takes {FEWEST} to {MOST} measured models, got {len(measured)}"
        )
    truth = np.log(measured.measured)

    def log_time(point: Array) -> Array:
        factors = _factors(point)
        total = network_times(measured, target, constants, laws, factors).total[0, 0]
        return np.asarray(np.log(sum_rows(measured, total)))

    names = DeviceFactors.names()
    off = log_time(np.zeros(len(names))) - truth
    spec_only = np.abs(off)
    # The mean deviation of a normal distribution is sqrt(2 / pi) standard deviations.
    noise = max(LEAST_NOISE, np.sqrt(np.pi / 2) * float(np.abs(off - np.median(off)).mean()))
    best: tuple[float, Array, Array] | None = None
    for width in WIDTHS:
        point, errors = _fit(log_time, truth, _precision(width), noise)
        if best is None or errors.mean() < best[0]:
            best = float(errors.mean()), point, errors
    assert best is not None
    gain = spec_only - best[2]
    sure = T_90[len(gain) - FEWEST] * gain.std(ddof=1) / np.sqrt(len(gain))
    helps = gain.mean() > sure
    return Refinement(
        factors=_factors(best[1]) if helps else NEUTRAL,
        used=measured.names,
        spec_only_error=float(spec_only.mean()),
        refined_error=best[0],
        refined=bool(helps),
    )


def _factors(point: Array) -> DeviceFactors:
    return DeviceFactors(*np.exp(point).tolist())


def _precision(width: float) -> Array:
    """(factors, factors) inverse covariance of the logarithms of the factors before any data."""
    names = DeviceFactors.names()
    faster = np.array([-1.0 if name == "launch" else 1.0 for name in names])
    own = width * np.array([PRIOR[name] for name in names])
    return np.asarray(np.linalg.inv(COMMON**2 * np.outer(faster, faster) + np.diag(own**2)))


def _fit(
    log_time: Callable[[Array], Array], truth: Array, prior: Array, noise: float
) -> tuple[Array, Array]:
    """The point by Gauss-Newton steps, and each model's error when it is left out."""
    point = np.zeros(len(prior))
    for _ in range(4):
        slope, here = _slope(log_time, point), log_time(point)
        point = _solve(slope, truth - here + slope @ point, prior, noise)
    slope, here = _slope(log_time, point), log_time(point)
    goal = truth - here + slope @ point
    errors = np.empty(len(truth))
    for left_out in range(len(truth)):
        kept = np.arange(len(truth)) != left_out
        found = _solve(slope[kept], goal[kept], prior, noise)
        errors[left_out] = goal[left_out] - slope[left_out] @ found
    return point, np.abs(errors)


def _slope(log_time: Callable[[Array], Array], point: Array, step: float = 0.02) -> Array:
    """(models, factors) derivatives of the log times by central differences."""
    columns = [
        (log_time(point + step * unit) - log_time(point - step * unit)) / (2 * step)
        for unit in np.eye(len(point))
    ]
    return np.stack(columns, axis=1)


def _solve(slope: Array, goal: Array, prior: Array, noise: float) -> Array:
    """Least squares with a prior's inverse covariance, robust by reweighting (Huber's weights)."""
    weight = np.ones(len(goal))
    point = np.zeros(len(prior))
    for _ in range(8):
        weighted = slope * weight[:, None]
        normal = weighted.T @ slope / noise**2 + prior
        point = np.linalg.solve(normal, weighted.T @ goal / noise**2)
        residual = np.abs(goal - slope @ point) / noise
        weight = np.minimum(1, ROBUST / np.maximum(residual, 1e-12))
    return point
