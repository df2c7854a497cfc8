"""What a search found, as tables and as a document."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from costmodel.reports.report import Report
from costmodel.reports.table import Column, Table
from costmodel.reports.text import (
    count,
    exact,
    percent,
    show_bytes,
    show_energy,
    show_macs,
    show_params,
    show_rate,
    show_time,
)
from costmodel.search.goals import METRICS, Budget, Goal
from costmodel.search.result import Candidate, SearchResult
from costmodel.units import format_si

SHOWN_FRONT = 12
"""Designs of the front in the table."""

SHOW: dict[str, Callable[[Any], str]] = {
    "latency": show_time,
    "throughput": lambda value: f"{show_rate(value)}/s",
    "energy": show_energy,
    "work_per_joule": lambda value: format_si(value, "FLOP/J"),
    "memory": show_bytes,
    "parameters": show_params,
    "macs": show_macs,
    "bytes": show_bytes,
    "capacity": lambda value: format_si(value, ""),
    "accuracy": lambda value: f"{value:.4g}",
    "reward": lambda value: format_si(value, ""),
}
"""Text of a value by metric."""


def search_report(result: SearchResult) -> Report:
    """The designs that are recommended (or come nearest), the budgets, and the front."""
    tables = [_designs(result)]
    if result.bindings:
        tables.append(_budgets(result))
    tables.append(front_table(result, SHOWN_FRONT))
    return Report(_document(result), tuple(tables), notes_of(result))


def headline(result: SearchResult) -> str:
    """What was searched, in one line."""
    problem = result.problem
    devices = ", ".join(target.label for target in problem.targets)
    return (
        f"{problem.space.name} on {devices}, batch {problem.batch}, {problem.precision}: "
        f"{problem.goal.text}"
    )


def show_budget(budget: Budget) -> str:
    """A budget in words: "latency at most 5 ms"."""
    where = f" on {budget.device}" if budget.device else ""
    bound = "at least" if budget.at_least else "at most"
    return f"{METRICS[budget.name].title}{where} {bound} {SHOW[budget.name](budget.limit)}"


def _designs(result: SearchResult) -> Table:
    problem, fits = result.problem, bool(result.best)
    found = result.best or result.nearest
    several = len(problem.targets) > 1
    with_accuracy = problem.scores is not None
    reward = problem.goal.name == "reward"
    free = problem.space.free
    columns = [Column("rank", "#")]
    columns += [Column(f"design_{name}", name, right=False) for name in free]
    for target in problem.targets:
        suffix = f" {target.label}" if several else ""
        key = f"_{target.label}" if several else ""
        columns.append(Column(f"latency{key}_s", f"latency{suffix}", show_time))
        columns.append(Column(f"throughput{key}_per_s", f"samples/s{suffix}", show_rate))
        columns.append(Column(f"energy{key}_j", f"energy{suffix}", show_energy,
                              csv_only=not _has_energy(found)))  # fmt: skip
        columns.append(Column(f"bound{key}", f"bound by{suffix}", right=False))
    columns += [
        Column("memory_bytes", "peak memory", show_bytes),
        Column("parameters", "params", show_params),
        Column("macs", "MACs", show_macs),
        Column("bytes", "bytes moved", show_bytes),
        Column("capacity_proxy", "capacity proxy", SHOW["capacity"]),
        Column("accuracy", "accuracy", SHOW["accuracy"], csv_only=not with_accuracy),
        Column("reward", "reward", SHOW["reward"], csv_only=not reward),
        Column("budget_used", "of budget", percent, csv_only=not problem.budgets),
    ]
    rows = tuple(_row(result, rank, c) for rank, c in enumerate(found, 1))
    title = "Best designs" if fits else "No design fits; the nearest"
    return Table(f"{title}: {headline(result)}", tuple(columns), rows)


def _has_energy(found: Sequence[Candidate]) -> bool:
    return any(np.isfinite(c.columns.energy).any() for c in found)


def _row(result: SearchResult, rank: int, c: Candidate) -> tuple[Any, ...]:
    cells: list[Any] = [rank, *(c.design[name] for name in result.problem.space.free)]
    for index, estimate in enumerate(c.estimates):
        cells += [estimate.latency, estimate.throughput]
        cells += [_known(c.metric("energy", index)), estimate.bound]
    cells += [
        exact(c.metric("memory")),
        exact(c.metric("parameters")),
        exact(c.metric("macs")),
        exact(c.metric("bytes")),
        c.metric("capacity"),
        _known(c.accuracy),
        _known(c.goal) if result.problem.goal.name == "reward" else None,
        _known(c.overrun),
    ]
    return tuple(cells)


def _budgets(result: SearchResult) -> Table:
    goal = result.problem.goal
    columns = (
        Column("budget", "budget", right=False),
        Column("used", "used", percent),
        Column("binds", "binds", lambda binds: "yes" if binds else "no", right=False),
        Column("goal_without", f"{goal.name} without it", SHOW[goal.name]),
    )
    rows = tuple((show_budget(b.budget), b.used, b.binds, b.goal_without) for b in result.bindings)
    return Table("Budgets: which one keeps the search from better designs", columns, rows)


def front_table(result: SearchResult, limit: int | None = None) -> Table:
    """The Pareto front, evenly thinned to `limit` designs."""
    front, axes = result.front, result.problem.axes
    picks = np.arange(len(front.codes))
    if limit is not None and len(picks) > limit:
        picks = np.unique(np.linspace(0, len(picks) - 1, limit).round().astype(int))
    columns = (
        *(Column(f"design_{n}", n, right=False) for n in result.problem.space.free),
        *(Column(f"{axis.name}{_unit(axis)}", axis.name, SHOW[axis.name]) for axis in axes),
    )
    free = result.problem.space.free
    rows = []
    for pick in picks:
        design = result.problem.space.design(front.codes[pick])
        rows.append(
            (*(design[name] for name in free), *(float(value) for value in front.values[pick]))
        )
    shown = f", {len(picks)} of {len(front.codes)}" if len(picks) < len(front.codes) else ""
    names = " and ".join(axis.text for axis in axes)
    return Table(f"Pareto front of {names}{shown}", columns, tuple(rows))


def _unit(axis: Goal) -> str:
    return {"s": "_s", "B": "_bytes", "J": "_j", "1/s": "_per_s"}.get(METRICS[axis.name].unit, "")


def notes_of(result: SearchResult) -> tuple[str, ...]:
    """What must be known to use the result right."""
    problem, summary = result.problem, result.summary
    notes = [
        f"{count(summary.seen, 'design')} costed, {count(summary.feasible, 'design')} within all "
        f"budgets, in {show_time(result.seconds)} ({result.method})"
    ]
    if not result.best and result.nearest:
        broken = max(problem.budgets, key=result.nearest[0].use)
        notes.append(
            f"no design fits: the nearest uses {percent(result.nearest[0].use(broken))} of "
            f"{show_budget(broken)}"
        )
    worst = max(result.error, default=0.0)
    notes.append(
        "designs listed as best are predicted again by tracing the whole network; cells' times in "
        f"the search agree with the engine to {worst:.0e}"
    )
    if problem.scores is not None:
        notes.append(f"accuracy: {problem.scores_source}")
    elif "capacity" in (problem.goal.name, *(axis.name for axis in problem.axes)):
        notes.append(
            "capacity is a proxy, sqrt(parameters x MACs per sample), and no accuracy: it does "
            "not know how well a kind of block learns"
        )
    found = [e for c in result.best or result.nearest for e in c.estimates if e.energy is not None]
    assumed = dict.fromkeys(note for e in found if e.energy for note in e.energy.notes)
    return (*notes, *(f"energy: {note}" for note in assumed), *result.notes)


def _document(result: SearchResult) -> dict[str, Any]:
    problem = result.problem
    return {
        "space": problem.space.name,
        "family": problem.space.family.name,
        "combinations": problem.space.combinations,
        "devices": [target.label for target in problem.targets],
        "batch": problem.batch,
        "precision": problem.precision,
        "goal": {"metric": problem.goal.name, "maximize": problem.goal.maximize},
        "method": result.method,
        "seconds": result.seconds,
        "designs_costed": result.summary.seen,
        "designs_feasible": result.summary.feasible,
        "budgets": [
            {
                "metric": b.budget.name,
                "device": b.budget.device,
                "limit": b.budget.limit,
                "used": b.used,
                "binds": b.binds,
                "goal_without": b.goal_without,
            }
            for b in result.bindings
        ],
        "best": [_candidate(c) for c in result.best],
        "nearest": [_candidate(c) for c in result.nearest],
        "front": [
            {
                "design": problem.space.design(code),
                **{a.name: _known(float(v)) for a, v in zip(problem.axes, values, strict=True)},
            }
            for code, values in zip(result.front.codes, result.front.values, strict=True)
        ],
        "accuracy_source": problem.scores_source or None,
        "relative_error": list(result.error),
    }


def _candidate(c: Candidate) -> dict[str, Any]:
    return {
        "name": c.name,
        "design": dict(c.design),
        "devices": [
            {
                "device": estimate.device,
                "latency_s": estimate.latency,
                "throughput_per_s": estimate.throughput,
                "energy_j": _known(c.metric("energy", index)),
                "bound": estimate.bound,
            }
            for index, estimate in enumerate(c.estimates)
        ],
        "memory_bytes": exact(c.metric("memory")),
        "parameters": exact(c.metric("parameters")),
        "macs": exact(c.metric("macs")),
        "bytes": exact(c.metric("bytes")),
        "capacity_proxy": c.metric("capacity"),
        "accuracy": _known(c.accuracy),
        "goal": _known(c.goal),
        "budget_used": _known(c.overrun),
    }


def _known(value: float | None) -> float | None:
    """None for what cannot be said: the accuracy of a design that no table lists, say."""
    return value if value is not None and np.isfinite(value) else None
