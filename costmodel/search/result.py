"""What a search found: the designs it recommends, checked by tracing, and why not better ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from costmodel.estimation import Estimate
from costmodel.search.evaluation import DesignColumns
from costmodel.search.goals import METRICS, Budget, column
from costmodel.search.problem import Problem, design_name
from costmodel.search.summary import Front, Ranked, Summary

if TYPE_CHECKING:
    from costmodel.zoo.families import Value

Array = np.ndarray


@dataclass(frozen=True)
class Candidate:
    """One design and what it costs, by a trace of the whole network."""

    name: str
    design: Mapping[str, Value]
    estimates: tuple[Estimate, ...]
    """One per device."""
    columns: DesignColumns
    """Of this one design."""
    accuracy: float | None
    goal: float
    """Value of what is wanted."""
    overrun: float
    """Largest share of a budget used."""

    def metric(self, name: str, device: int = 0) -> float:
        """Value of a metric, on one of the devices."""
        given = None if self.accuracy is None else np.array([self.accuracy])
        found = column(self.columns, name, given)
        return float(found[device, 0] if found.ndim == 2 else found[0])

    def use(self, budget: Budget) -> float:
        """Share of a budget that is used."""
        given = None if self.accuracy is None else np.array([self.accuracy])
        return float(budget.use(self.columns, given)[0])


@dataclass(frozen=True)
class Binding:
    """What a budget costs: the best goal with it, and without it."""

    budget: Budget
    used: float | None
    """Share of it that the recommended design uses; None if there is none."""
    goal_without: float | None
    """Goal of the best design if this budget alone were dropped; None if there is none."""
    binds: bool
    """Whether dropping it gives a better design."""


@dataclass(frozen=True)
class SearchResult:
    """The outcome of a search."""

    problem: Problem
    method: str
    """ "exhaustive", or the sampler that was used."""
    summary: Summary
    best: tuple[Candidate, ...]
    """Feasible designs, best first; empty if none fits."""
    nearest: tuple[Candidate, ...]
    """If none fits: those that come nearest to their budgets."""
    bindings: tuple[Binding, ...]
    error: tuple[float, ...]
    """(devices,) largest relative error of a cell's time against the engine, as measured."""
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def front(self) -> Front:
        """Designs that no other beats on all of the problem's axes."""
        return self.summary.front

    @property
    def recommended(self) -> Candidate | None:
        """The best feasible design."""
        return self.best[0] if self.best else None


def candidate(problem: Problem, code: Array) -> Candidate:
    """A design, its network traced and predicted on every device of the problem."""
    design = problem.space.design(code)
    estimates = problem.estimates(design)
    columns = problem.traced_columns(code, estimates)
    accuracy = problem.accuracy(columns.codes)
    used = [float(budget.use(columns, accuracy)[0]) for budget in problem.budgets]
    return Candidate(
        name=design_name(problem.space, design),
        design=design,
        estimates=estimates,
        columns=columns,
        accuracy=None if accuracy is None else float(accuracy[0]),
        goal=float(problem.goal.values(columns, accuracy)[0]),
        overrun=max(used, default=0.0),
    )


def checked(problem: Problem, ranked: Ranked, count: int, feasible: bool) -> list[Candidate]:
    """The first of some designs, traced; where `feasible`, those only that hold every budget."""
    found: list[Candidate] = []
    known: set[Any] = set()
    for code in ranked.codes:
        if len(found) == count:
            break
        # Parameters may make no difference, as a split ratio where nothing is split.
        cells = tuple(problem.space.family.cells(**problem.space.design(code)))
        if cells in known:
            continue
        known.add(cells)
        made = candidate(problem, code)
        if not feasible or made.overrun <= 1:
            found.append(made)
    return found


def bindings(problem: Problem, summary: Summary, best: Candidate | None) -> tuple[Binding, ...]:
    """For every budget, what dropping it alone would give."""
    result = []
    merit = summary.best.merit[0] if len(summary.best) else -np.inf
    for budget, ranked in zip(problem.budgets, summary.without, strict=True):
        better = len(ranked) > 0 and ranked.merit[0] > merit
        sign = 1 if problem.goal.maximize else -1
        result.append(
            Binding(
                budget=budget,
                used=None if best is None else best.use(budget),
                goal_without=float(sign * ranked.merit[0]) if len(ranked) else None,
                binds=bool(better),
            )
        )
    return tuple(result)


def describe(values: Mapping[str, Any]) -> str:
    """A design in words: "width 64, depth1 2"."""
    return ", ".join(f"{name} {value}" for name, value in values.items())


def units() -> dict[str, str]:
    """SI unit by metric."""
    return {name: metric.unit for name, metric in METRICS.items()}
