"""Fit the laws' constants to measured networks on some devices, to be judged on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from costmodel.errors import UsageError
from costmodel.measurement.validation.networks import Networks
from costmodel.roofline.ceilings import Target
from costmodel.roofline.constants import DEFAULT, Constants, constant_table

Array = np.ndarray

TOLERANCE = 0.05
"""Relative error above which a network counts linearly: outliers must not pull the constants."""

PRIOR = 0.03
"""Weight of staying near the starting values, in units of the logit of the plausible range."""


def fit_networks(
    measured: Sequence[tuple[Target, Networks]],
    start: Constants = DEFAULT,
    names: Sequence[str] | None = None,
    evaluations: int = 60,
) -> Constants:
    """Constants that minimise the soft-L1 norm of log(predicted / measured).

    Args:
        measured: networks with the device they were measured on.
        start: values to begin from, and the centre of the prior.
        names: constants to fit, by default all.
        evaluations: bound on the optimiser's steps.

    Raises:
        UsageError: if scipy is not installed or there is nothing to fit to.
    """
    try:
        from scipy.optimize import least_squares
    except ImportError:
        raise UsageError(
            "fitting needs scipy; install it with: pip install 'roofline-costmodel[fit]'"
        ) from None
    if not measured or not all(len(networks) for _, networks in measured):
        raise UsageError("nothing to fit to: no measured networks")
    free = list(names) if names is not None else [f.name for f in fields(Constants)]
    limits = {row.name: row for row in constant_table()}
    low = np.array([limits[name].low for name in free])
    high = np.array([limits[name].high for name in free])
    share = (np.array([getattr(start, name) for name in free]) - low) / (high - low)
    # The first step is as long as the starting point, or 1 from zero: rounded, lest it be 1e-16.
    centre = np.round(_logit(np.clip(share, 0.02, 0.98)), 9)

    def constants_at(point: Array) -> Constants:
        values = low + (high - low) / (1 + np.exp(-point))
        return replace(start, **dict(zip(free, values.tolist(), strict=True)))

    count = sum(len(networks) for _, networks in measured)

    def residuals(point: Array) -> Array:
        constants = constants_at(point)
        errors = [
            np.log(networks.predict(target, constants) / networks.measured)
            for target, networks in measured
        ]
        prior = (point - centre) * PRIOR * np.sqrt(count / 100)
        return np.concatenate([np.concatenate(errors) / TOLERANCE, prior])

    solution: Any = least_squares(residuals, centre, loss="soft_l1", max_nfev=evaluations)
    return constants_at(solution.x)


def _logit(share: Array) -> Array:
    return np.asarray(np.log(share / (1 - share)))
