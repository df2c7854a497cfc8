"""A search problem: a space, devices, a goal, budgets. And what is found out about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from costmodel.errors import UsageError
from costmodel.estimation import Estimate, estimate
from costmodel.hardware import DeviceProfile
from costmodel.roofline.ceilings import Target
from costmodel.search.cells import resolve_targets
from costmodel.search.evaluation import DesignColumns, Evaluator
from costmodel.search.goals import Budget, Goal, Reward, Scores, check_budgets
from costmodel.search.space import Space
from costmodel.search.summary import Summary, summarize

if TYPE_CHECKING:
    from costmodel.graph import Graph
    from costmodel.zoo.families import Value

Array = np.ndarray


CAPACITY = Goal("capacity", maximize=True)


@dataclass(frozen=True)
class Problem:
    """What is searched, where, for what, within what."""

    space: Space
    devices: Sequence[str | DeviceProfile | Target]
    goal: Goal | Reward = CAPACITY
    budgets: tuple[Budget, ...] = ()
    batch: int = 1
    precision: str = "fp32"
    without: tuple[str, ...] = ()
    scores: Scores | None = None
    """The user's accuracy, or that of published tables."""
    scores_source: str = ""
    """Where the accuracy is from."""
    fronts: tuple[Goal, ...] = ()
    """Axes of the Pareto front; by default latency and the goal."""
    targets: tuple[Target, ...] = field(init=False)

    def __post_init__(self) -> None:
        check_budgets(self.budgets)
        if not self.devices:
            raise UsageError("search: no device")
        object.__setattr__(self, "targets", resolve_targets(self.devices))

    @property
    def axes(self) -> tuple[Goal, ...]:
        """Axes of the Pareto front."""
        if self.fronts:
            return self.fronts
        wanted = self.goal
        if isinstance(wanted, Reward):
            wanted = Goal(wanted.quality, True)
        if wanted.name in ("latency", "throughput"):
            return (Goal("latency", False), Goal("capacity", True))
        return (Goal("latency", False), wanted)

    @cached_property
    def evaluator(self) -> Evaluator:
        """Costs designs under the problem's conditions; remembers the cells it has seen."""
        return Evaluator(self.space, self.targets, self.batch, self.precision, self.without)

    def accuracy(self, codes: Array) -> Array | None:
        """(designs,) accuracy where there is any.

        Raises:
            UsageError: if the user's function fails, or returns anything but that many numbers.
        """
        if self.scores is None:
            return None
        try:
            found = np.asarray(self.scores(self.space.values(codes)), dtype=np.float64)
        except Exception as error:
            raise UsageError(f"accuracy: {type(error).__name__}: {error}") from error
        if found.shape != (len(codes),):
            raise UsageError(
                f"accuracy: the function returned shape {found.shape} for {len(codes)} designs; "
                "expected one number each"
            )
        return found

    def summarize(self, codes: Array) -> Summary:
        """Cost some designs and keep what matters of them."""
        columns = self.evaluator(codes)
        return summarize(columns, self.goal, self.budgets, self.axes, self.accuracy(codes))

    # ------------------------------------------------------------------ checking by tracing

    def graph(self, design: Mapping[str, Any]) -> Graph:
        """The whole network of a design, traced."""
        return traced_design(self.space, design, self.evaluator.table.conditions.traced_batch)

    def estimates(self, design: Mapping[str, Any]) -> tuple[Estimate, ...]:
        """Predictions for the traced network, one per device."""
        graph = self.graph(design)
        return tuple(
            estimate(graph, target, self.batch, self.precision, without=self.without)
            for target in self.targets
        )

    def traced_columns(self, code: Array, estimates: Sequence[Estimate]) -> DesignColumns:
        """What tracing the whole network says, in the form of columns of one design."""
        first = estimates[0]
        total = first.total

        def one(value: float) -> Array:
            return np.array([float(value)])

        return DesignColumns(
            codes=np.atleast_2d(code),
            targets=self.targets,
            batch=self.batch,
            latency=np.array([[e.latency] for e in estimates]),
            energy=np.array([[_joules(e)] for e in estimates]),
            memory=one(first.peak_memory),
            parameters=one(float(total.parameters)),
            macs=one(float(total.macs)),
            flops=one(float(total.flops)),
            bytes=one(float(total.bytes)),
            operators=one(float(first.workload.counts.sum())),
        )


def _joules(estimate: Estimate) -> float:
    return float("nan") if estimate.energy is None else estimate.energy.joules


def traced_design(space: Space, design: Mapping[str, Any], batch: int) -> Graph:
    """The network of a design as a graph."""
    from costmodel.tracing.eager import trace
    from costmodel.zoo.families import on_meta

    with on_meta():
        module = space.module(design)
    return trace(module, *space.inputs(design, batch), name=design_name(space, design))


def design_name(space: Space, design: Mapping[str, Value]) -> str:
    """A name for a design: the space and the choices that are free, short enough for a table."""
    free = "-".join(f"{design[name]:g}" if isinstance(design[name], float) else str(design[name])
                    for name in space.free)  # fmt: skip
    return f"{space.name}-{free}" if free else space.name
