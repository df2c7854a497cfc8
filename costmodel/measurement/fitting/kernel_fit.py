"""Fit the universal constants to measured kernels.

Constants move within their plausible ranges only. Each group of constants is fitted to the
operators that identify it, in the order of `GROUPS`, on a seeded sample of rows per device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from costmodel.errors import UsageError
from costmodel.measurement.fitting.kernel_cases import Case, predict
from costmodel.roofline.constants import Constants, constant_table

Array = np.ndarray

OPERATORS = ("add", "gelu", "relu", "softmax", "ln", "bmm", "linear", "conv")

GROUPS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (
        ("add", "gelu", "relu"),
        (
            "start_share", "kernel_latency", "dram_share", "dram_share_pascal", "ecc_share",
            "l2_bytes_per_clock", "residency_share",
        ),
    ),
    (
        ("bmm", "linear"),
        (
            "flop_energy", "burst_window", "tile_ceiling", "tile_half_side",
            "contraction_half", "hiding_warps", "row_interval",
            "strided_rate_pascal", "slab_share", "slab_steepness",
            "lockstep_share", "lockstep_steepness", "product_overlap", "bias_passes",
        ),
    ),
    (
        ("ln",),
        ("norm_start_share", "norm_row_cycles", "norm_element_cycles", "norm_reread_share"),
    ),
    (
        ("softmax",),
        (
            "softmax_row_cycles", "softmax_element_cycles", "warp_softmax_share",
            "softmax_reread_share",
        ),
    ),
    (
        ("conv",),
        (
            "implicit_rate", "winograd_rate", "image_transform_share", "weight_transform_share",
        ),
    ),
)  # fmt: skip
"""(operators, constants) fitted together, in this order."""

TOLERANCE = 0.1
"""Log error above which a row counts linearly rather than squared."""
PRIOR = 0.02
"""Weight of staying near the start, per row, in units of the log of the plausible range."""


def fit_constants(
    cases: Sequence[Case],
    start: Constants | None = None,
    groups: Sequence[tuple[Sequence[str], Sequence[str]]] = GROUPS,
) -> Constants:
    """Fit each group of constants to the cases of its operators.

    Minimises a robust sum of squared log errors, from the textbook constants unless told
    otherwise. Groups without cases keep their values.

    Raises:
        UsageError: if scipy is not installed.
    """
    constants = start or Constants.textbook()
    for operators, names in groups:
        chosen = [case for case in cases if case.operator in operators]
        if chosen:
            constants = _fit_group(chosen, names, constants)
    return constants


def _fit_group(cases: Sequence[Case], names: Sequence[str], start: Constants) -> Constants:
    least_squares = _least_squares()
    table = {row.name: row for row in constant_table(start)}
    low, high, initial = (
        np.log([getattr(table[name], field) for name in names])
        for field in ("low", "high", "value")
    )
    span = high - low
    weight = PRIOR * np.sqrt(sum(len(case.table) for case in cases))

    def constants_at(point: Array) -> Constants:
        values = np.clip(np.exp(point), np.exp(low), np.exp(high))
        return start.with_values(dict(zip(names, values.tolist(), strict=True)))

    def residuals(point: Array) -> Array:
        constants = constants_at(point)
        errors = [np.log(predict(case, constants) / case.table.latency) for case in cases]
        # A robust loss of the data, the plain square of the prior.
        data = np.concatenate(errors) / TOLERANCE
        robust = np.sign(data) * np.sqrt(2 * (np.sqrt(1 + data**2) - 1))
        residual: Array = np.concatenate([robust, weight * (point - initial) / span / TOLERANCE])
        return residual

    solution = least_squares(
        residuals,
        np.clip(initial, low + 1e-6 * span, high - 1e-6 * span),
        bounds=(low, high),
        diff_step=1e-3,
        max_nfev=30,
        x_scale=span,
    )
    return constants_at(solution.x)


def _least_squares() -> Callable[..., Any]:
    try:
        from scipy.optimize import least_squares
    except ImportError as error:
        raise UsageError(
            "fitting constants needs scipy: pip install 'roofline-costmodel[fit]'"
        ) from error
    found: Callable[..., Any] = least_squares
    return found
