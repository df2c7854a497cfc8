"""Compound scaling for a device: alpha, beta and gamma by time instead of by operations.

EfficientNet scales depth by alpha, width by beta and resolution by gamma per step phi, chosen such
that a step doubles the operations (alpha beta^2 gamma^2 = 2). On a device the same operations may
take more or less than twice the time; here a step may take twice the baseline's time, energy or
whatever metric counts, and of all that keep to this the best is taken.

    result = find_scaling("v100-sxm2", batch=32)
    result.recommended.design     # {"phi": 1.0, "alpha": ..., "beta": ..., "gamma": ...}

Source: Tan and Le, EfficientNet (ICML 2019), section 3.3, of which this is step 1.
"""

from __future__ import annotations

import math
from typing import Any

from costmodel.errors import UsageError
from costmodel.search.goals import Budget, metric
from costmodel.search.problem import Problem
from costmodel.search.reading import load_space
from costmodel.search.result import SearchResult
from costmodel.search.searching import search
from costmodel.search.space import Space

SPACE = "efficientnet_compound"


def find_scaling(
    device: Any,
    factor: float = 2.0,
    by: str = "latency",
    *,
    space: Space | None = None,
    top: int = 5,
    **options: Any,
) -> SearchResult:
    """The best alpha, beta and gamma at phi = 1 within `factor` times the baseline's metric.

    Args:
        device: where it will run.
        factor: what a step may cost, over the baseline.
        by: metric that it is counted in: latency, energy, macs, memory and so on.
        space: of alphas, betas and gammas; by default the grid that ships.
        top: how many to give.
        options: of `Problem`: goal, batch, precision, scores. The goal is capacity by default,
            which is a proxy.

    Raises:
        UsageError: for a factor that allows no scaling, or a metric that is better when larger.
    """
    if not (math.isfinite(factor) and factor > 1):
        raise UsageError(f"factor {factor!r}: expected more than 1, as 2 for twice the cost")
    if metric(by).larger:
        raise UsageError(f"metric {by}: expected one that costs, such as latency or energy")
    grid = load_space(SPACE) if space is None else space
    base = Problem(grid.restricted(phi=0.0), [device], **options)
    code = base.space.numbered(0, 1)
    columns = base.evaluator(code)
    cost = float(getattr(columns, by).max())
    step = Problem(
        grid.restricted(phi=1.0), [device], budgets=(Budget(by, factor * cost),), **options
    )
    return search(step, "exhaustive", top=top)
