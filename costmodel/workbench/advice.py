"""The recommendation: the best design within the budgets, what binds, and why not another.

"Best" is the largest capacity proxy of `costmodel.search`, sqrt(parameters x MACs); it is no
accuracy, and it says nothing of how well one kind of block learns compared with another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from costmodel.reports.table import Column, Table
from costmodel.reports.text import percent, show_bytes, show_macs, show_params, show_time
from costmodel.search.goals import Budget, Goal
from costmodel.search.summary import Summary, summarize
from costmodel.units import format_si
from costmodel.workbench.choices import Choices, choices_of
from costmodel.workbench.design import Budgets, DesignView, design_view
from costmodel.workbench.state import State, controls_of
from costmodel.workbench.tasks import PARTIAL, TASKS
from costmodel.workbench.values import Choice

Array = np.ndarray

CAPACITY = Goal("capacity", True)
AXES = (Goal("latency", False), CAPACITY)
QUANTITIES = {"latency": ("latency", show_time), "memory": ("peak memory", show_bytes)}
"""What a budget is about, and how it reads."""


class Option(NamedTuple):
    """A design that can be applied."""

    changes: Mapping[str, Any]
    """Values of controls."""
    text: str
    """The design in words."""
    latency: float
    memory: float
    capacity: float
    parameters: float
    macs: float
    """Of one sample."""


@dataclass(frozen=True)
class Advice:
    """What is recommended for a state, and what all the designs it was chosen from cost."""

    view: DesignView
    choices: Choices
    budgets: tuple[Budget, ...]
    summary: Summary

    @property
    def state(self) -> State:
        """Whom it is for."""
        return self.view.state

    @cached_property
    def broken(self) -> tuple[Budget, ...]:
        """Budgets that the present design does not keep to."""
        used = {"latency": self.view.estimate.latency, "memory": self.view.estimate.peak_memory}
        return tuple(budget for budget in self.budgets if used[budget.name] > budget.limit)

    @cached_property
    def fits(self) -> Array:
        """(designs,) whether each keeps to all budgets."""
        columns = self.choices.columns
        fine = np.ones(len(columns), dtype=bool)
        for budget in self.budgets:
            fine &= budget.use(columns) <= 1
        return fine

    @cached_property
    def recommended(self) -> Option | None:
        """The best design within the budgets; None without budgets or where none fits."""
        if not self.budgets or not len(self.summary.best):
            return None
        return self.option(self._row(self.summary.best.codes[0]))

    @cached_property
    def nearest(self) -> Option | None:
        """The design to go to if the present one does not fit.

        The one most like it that fits; where none fits, the one that exceeds its budgets least.
        """
        if not self.broken:
            return None
        if not self.fits.any():
            return self.option(self._row(self.summary.nearest.codes[0]))
        rows = np.flatnonzero(self.fits)
        distances = [self._distance(self.choices.designs[row]) for row in rows]
        return self.option(int(rows[int(np.argmin(distances))]))

    @property
    def headline(self) -> str:
        """The recommendation in a sentence."""
        if not self.budgets:
            return "Set a latency or memory budget to get a recommendation."
        if self.recommended is None:
            return f"None of {len(self.choices.designs):,} designs fits the budget."
        if self.is_best:
            return "Nothing better within the budget: keep the present design."
        gain = self.recommended.capacity / self.view.capacity
        return f"{self.recommended.text}: {gain:.2g}x the capacity of the present design."

    @property
    def is_best(self) -> bool:
        """Whether the present design is the recommended one, or as good."""
        best = self.recommended
        return best is not None and not self.broken and best.capacity <= self.view.capacity * 1.0001

    @property
    def nearest_text(self) -> str:
        """What `nearest` is, in a sentence; empty if there is no need for it."""
        found = self.nearest
        if found is None:
            return ""
        which = "design that fits" if self.fits.any() else "to the budget"
        return (
            f"Nearest {which}: {found.text}, {show_time(found.latency)} and "
            f"{show_bytes(found.memory)} at most."
        )

    @property
    def reasons(self) -> tuple[str, ...]:
        """What binds, and why, one sentence each."""
        lines = [self._excess(budget) for budget in self.broken]
        if self.budgets and self.recommended is None:
            return (*lines, *(self._impossible(budget) for budget in self.budgets))
        for budget, ranked in zip(self.budgets, self.summary.without, strict=True):
            assert self.recommended is not None
            what, show = QUANTITIES[budget.name]
            used = float(getattr(self.recommended, budget.name)) / budget.limit
            best = float(self.summary.best.merit[0])
            without = float(ranked.merit[0]) if len(ranked) else best
            if without > best:
                lines.append(
                    f"The {what} budget of {show(budget.limit)} binds: {percent(used)} of it is "
                    f"used, and without it the best design would have {without / best:.2g}x the "
                    "capacity."
                )
            else:
                lines.append(
                    f"The {what} budget of {show(budget.limit)} does not bind: {percent(used)} of "
                    "it is used, and without it the recommendation would be the same."
                )
        return tuple(lines)

    def _excess(self, budget: Budget) -> str:
        what, show = QUANTITIES[budget.name]
        e = self.view.estimate
        used = e.latency if budget.name == "latency" else e.peak_memory
        return (
            f"The present design needs {show(used)}, {used / budget.limit:.2g}x the {what} budget "
            f"of {show(budget.limit)}."
        )

    def _impossible(self, budget: Budget) -> str:
        what, show = QUANTITIES[budget.name]
        column = self._column(budget.name)
        least = int(np.argmin(column))
        needs = float(column[least])
        if needs <= budget.limit:
            return f"The {what} budget of {show(budget.limit)} alone could be met."
        return (
            f"The least {what} of all designs is {show(needs)} "
            f"({self._text(self.choices.designs[least])}), {needs / budget.limit:.2g}x the budget "
            f"of {show(budget.limit)}: raise it, or lower {TASKS[self.state.task].sized_by}, "
            "batch or precision."
        )

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """(designs,) what is compared with each other: the kind of block, say."""
        compared = TASKS[self.state.task].compared
        return tuple(str(design[compared]) for design in self.choices.designs)

    def kind_label(self, kind: str) -> str:
        """A kind as it is shown."""
        compared = TASKS[self.state.task].compared
        label = _label(self.state, compared, kind)
        return f"patch {label}" if compared == "patch" else label

    def by_kind(self) -> Table:
        """The best design of each kind of block, say, within the budgets."""
        task = TASKS[self.state.task]
        what = task.compared
        columns = (
            Column(what, what, right=False),
            Column("depth", "blocks"),
            Column("width", "width"),
            Column("capacity", "capacity proxy", lambda value: format_si(value, "")),
            Column("macs", f"MACs per {task.sample}", show_macs),
            Column("parameters", "parameters", show_params),
            Column("latency_s", "latency", show_time),
            Column("memory_bytes", "peak memory", show_bytes),
        )
        names = np.array(self.kinds)
        capacity = np.where(self.fits, self.choices.columns.capacity, -np.inf)
        rows: list[tuple[Any, ...]] = []
        for kind in dict.fromkeys(self.kinds):
            best = int(np.argmax(np.where(names == kind, capacity, -np.inf)))
            if names[best] != kind or not np.isfinite(capacity[best]):
                rows.append((self.kind_label(kind), *[None] * 7))
                continue
            option, design = self.option(best), self.choices.designs[best]
            rows.append(
                (self.kind_label(kind), design["depth"], design["width"], option.capacity,
                 option.macs, option.parameters, option.latency, option.memory)
            )  # fmt: skip
        return Table(f"Best of each {what} within the budget", columns, tuple(rows))

    # ------------------------------------------------------------------- rows of the choices

    def _row(self, code: Array) -> int:
        return int(np.flatnonzero((self.choices.columns.codes == code).all(axis=1))[0])

    def _column(self, name: str) -> Array:
        columns = self.choices.columns
        return columns.latency[0] if name == "latency" else columns.memory

    def option(self, row: int) -> Option:
        """One of the choices, by its row."""
        columns, design = self.choices.columns, self.choices.designs[row]
        return Option(
            design,
            self._text(design),
            float(columns.latency[0, row]),
            float(columns.memory[row]),
            float(columns.capacity[row]),
            float(columns.parameters[row]),
            float(columns.macs[row]) / self.state.batch,
        )

    def _text(self, design: Mapping[str, Any]) -> str:
        kind = str(design[TASKS[self.state.task].compared])
        share = f" {self.state.ratio}" if kind in PARTIAL else ""
        label = self.kind_label(kind)
        label = label[:1].upper() + label[1:]
        return f"{label}{share}, {design['depth']} blocks, width {design['width']}"

    def _distance(self, design: Mapping[str, Any]) -> float:
        """How unlike the present design another is: doublings of sizes, and other choices."""
        total = 0.0
        for name, value in design.items():
            now = getattr(self.state, name)
            if isinstance(value, str):
                total += value != now
            else:
                total += abs(float(np.log2(value / now)))
        return total


def _label(state: State, control: str, value: str) -> str:
    spec = controls_of(state.task)[control]
    return spec.labels[value] if isinstance(spec, Choice) else value


def advise(state: State) -> Advice:
    """What to recommend for a state.

    Raises:
        UsageError: if the device cannot compute in that precision.
    """
    choices = choices_of(state)
    budgets = budgets_of(state)
    return Advice(
        design_view(state), choices, budgets, summarize(choices.columns, CAPACITY, budgets, AXES)
    )


def budgets_of(state: State) -> tuple[Budget, ...]:
    """The limits of a state."""
    limits = Budgets.of(state)
    given: Sequence[tuple[str, float | None]] = (
        ("latency", limits.latency),
        ("memory", limits.memory),
    )
    return tuple(Budget(name, limit) for name, limit in given if limit is not None)
