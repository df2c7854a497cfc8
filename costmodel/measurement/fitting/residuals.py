"""Fit the spread of residuals: how it depends on what kinds of operators a network spends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from costmodel.errors import UsageError
from costmodel.roofline.interval import LEVEL, UNCOVERED, UNSEEN, Residuals

Array = np.ndarray

PRIOR_WIDTH = 1.0
"""Standard deviation of the logarithm of a kind's spread around `UNSEEN`, before any data."""
FEWEST = 20
"""Networks that quantiles take at least."""
FLOOR_START = 0.05
FLOOR_LEAST = 0.03
"""The same device under two releases of a framework differs by about as much."""


def fit_residuals(
    log_errors: Sequence[Array],
    names: Sequence[str],
    shares: Sequence[Array],
    device_kind: str,
    execution: str,
    precision: str,
    judged: str,
) -> Residuals:
    """Spread of the log errors, and the quantile that puts `LEVEL` of them inside.

    A Laplace likelihood of the errors whose scale is the spread, with a log-normal prior on each
    kind: what the networks hardly contain stays at `UNSEEN`. No kind is less sure than operators
    without a formula.

    Args:
        log_errors: log(measured / predicted), one array (networks,) per device.
        names: (kinds,) of operators.
        shares: (networks, kinds) of the predicted time, one array per device.
        device_kind: of all devices.
        execution: of all runs.
        precision: of all runs.
        judged: where they are from.

    Raises:
        UsageError: if scipy is not installed or there are fewer than 20 networks.
    """
    try:
        from scipy.optimize import minimize
    except ImportError:
        raise UsageError(
            "fitting needs scipy; install it with: pip install 'roofline-costmodel[fit]'"
        ) from None
    error, share = np.abs(np.concatenate(log_errors)), np.concatenate(shares)
    if len(error) < FEWEST:
        raise UsageError(f"{len(error)} networks are too few for quantiles; {FEWEST} are the least")
    start = np.log(np.array([FLOOR_START, *[UNSEEN] * len(names)]))

    def residuals_at(point: Array) -> Residuals:
        floor, *kinds = np.exp(point).tolist()
        return Residuals(
            device_kind, execution, precision, judged, len(error),
            floor, dict(zip(names, kinds, strict=True)), 1.0, 0.0,
        )  # fmt: skip

    def loss(point: Array) -> float:
        spread = residuals_at(point).spread(names, share)
        prior = ((point - start) ** 2)[1:].sum() / (2 * PRIOR_WIDTH**2)
        return float((np.log(spread) + np.sqrt(2) * error / spread).sum() + prior)

    bounds = [(np.log(FLOOR_LEAST), None), *[(None, np.log(UNCOVERED))] * len(names)]
    found = residuals_at(minimize(loss, start, method="L-BFGS-B", bounds=bounds).x)
    quantile = conformal_quantile(error / found.spread(names, share))
    medians = [float(np.median(errors)) for errors in log_errors]
    return replace(
        found,
        quantile=quantile,
        between_devices=float(np.sqrt(np.mean(np.square(medians)))),
    )


def conformal_quantile(scores: Array, level: float = LEVEL) -> float:
    """The smallest score such that a new one is below it with at least that probability.

    The ceil((n + 1) level)-th smallest of n (split conformal prediction: Vovk et al.,
    Algorithmic Learning in a Random World, 2005).
    """
    rank = int(np.ceil((len(scores) + 1) * level))
    return float(np.sort(scores)[min(rank, len(scores)) - 1])
