"""What a search keeps of the designs it has seen: little, and it can be merged.

Designs come in chunks of any size and order, from one process or many. Of each chunk only the best
are kept, the best if one budget were dropped (which tells what binds), the one nearest to all
budgets, and the Pareto front. Merging the summaries of parts gives the summary of the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from costmodel.errors import UsageError
from costmodel.search.evaluation import DesignColumns
from costmodel.search.goals import Budget, Goal, Reward

Array = np.ndarray

KEPT = 50
"""Best designs that are kept."""
LARGEST_FRONT = 20_000
"""Designs of a front that are kept, evenly along its first axis."""


@dataclass(frozen=True)
class Ranked:
    """Some designs in an order. Arrays are (designs, ...)."""

    codes: Array
    """(designs, parameters)."""
    merit: Array
    """What the order is by, largest first; for a front, as they come."""
    overrun: Array
    """Largest share of a budget used, above 1 if it is broken."""

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True)
class Front:
    """Designs that no other beats on all axes."""

    codes: Array
    values: Array
    """(designs, axes) of the metrics themselves."""


@dataclass(frozen=True)
class Summary:
    """What is kept of some designs."""

    seen: int
    feasible: int
    best: Ranked
    """Feasible ones by merit."""
    without: tuple[Ranked, ...]
    """For each budget, the best design if that budget were dropped; at most one each."""
    nearest: Ranked
    """The designs that exceed their tightest budget least."""
    front: Front


def summarize(
    columns: DesignColumns,
    goal: Goal | Reward,
    budgets: Sequence[Budget],
    axes: Sequence[Goal],
    accuracy: Array | None = None,
) -> Summary:
    """The summary of some designs.

    Args:
        columns: of the designs.
        goal: what is wanted.
        budgets: what must hold.
        axes: of the front; budgets on these do not limit it.
        accuracy: (designs,), if there is any.
    """
    merit = goal.merit(columns, accuracy)
    used = np.array([budget.use(columns, accuracy) for budget in budgets]).reshape(
        len(budgets), len(columns)
    )
    overrun = used.max(axis=0, initial=0.0)
    known = np.isfinite(merit)
    broken = used > 1
    fits = ~broken.any(axis=0) & known
    without = []
    for index in range(len(budgets)):
        others = np.delete(broken, index, axis=0)
        without.append(_top(columns.codes, merit, overrun, ~others.any(axis=0) & known, 1))
    near = np.where(known, -overrun, -np.inf)
    limits = [i for i, b in enumerate(budgets) if b.name not in {axis.name for axis in axes}]
    shown = ~broken[limits].any(axis=0) & known
    return Summary(
        seen=len(columns),
        feasible=int(fits.sum()),
        best=_top(columns.codes, merit, overrun, fits, KEPT),
        without=tuple(without),
        nearest=_top(columns.codes, near, overrun, known & np.isfinite(overrun), KEPT),
        front=_front(
            columns.codes[shown],
            np.stack([axis.values(columns, accuracy)[shown] for axis in axes], axis=1),
            axes,
        ),
    )


def merged(parts: Sequence[Summary], axes: Sequence[Goal]) -> Summary:
    """The summary of all designs of some summaries, in their order."""
    first, *others = parts
    if not others:
        return first
    return Summary(
        seen=sum(part.seen for part in parts),
        feasible=sum(part.feasible for part in parts),
        best=_join([part.best for part in parts], KEPT),
        without=tuple(
            _join([part.without[i] for part in parts], 1) for i in range(len(first.without))
        ),
        nearest=_join([part.nearest for part in parts], KEPT),
        front=_front(
            np.concatenate([part.front.codes for part in parts]),
            np.concatenate([part.front.values for part in parts]),
            axes,
        ),
    )


def _top(codes: Array, merit: Array, overrun: Array, mask: Array, count: int) -> Ranked:
    where = np.flatnonzero(mask)
    if len(where) > count:
        # Partial selection first, ties kept: sorting a million to find fifty is a waste.
        smallest = np.partition(merit[where], len(where) - count)[len(where) - count]
        where = where[merit[where] >= smallest]
    order = _order(merit[where], codes[where])[:count]
    kept = where[order]
    return Ranked(codes[kept], merit[kept], overrun[kept])


def _join(parts: Sequence[Ranked], count: int) -> Ranked:
    codes = np.concatenate([part.codes for part in parts])
    merit = np.concatenate([part.merit for part in parts])
    overrun = np.concatenate([part.overrun for part in parts])
    kept = _order(merit, codes)[:count]
    return Ranked(codes[kept], merit[kept], overrun[kept])


def _order(merit: Array, codes: Array) -> Array:
    """Indices by merit, largest first; equals by their codes, so that the order never depends on
    how the designs were cut into chunks. Each design once."""
    keys = (*codes.T[::-1], -merit)
    order = np.lexsort(keys)
    if len(order) > 1:
        repeated = (codes[order][1:] == codes[order][:-1]).all(axis=1)
        order = order[np.concatenate([[True], ~repeated])]
    return order


def _front(codes: Array, values: Array, axes: Sequence[Goal]) -> Front:
    try:
        import moocore
    except ImportError:
        raise UsageError(
            "moocore is not installed; install it with: pip install 'roofline-costmodel[search]'"
        ) from None
    fine = np.isfinite(values).all(axis=1)
    codes, values = codes[fine], values[fine]
    if len(values):
        kept = moocore.is_nondominated(values, maximise=[axis.maximize for axis in axes])
        codes, values = codes[kept], values[kept]
        order = np.lexsort(values.T[::-1])
        codes, values = codes[order], values[order]
        if len(values) > LARGEST_FRONT:
            picks = np.linspace(0, len(values) - 1, LARGEST_FRONT).astype(int)
            codes, values = codes[picks], values[picks]
    return Front(codes, values)
