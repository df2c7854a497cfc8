"""Compound scaling: the present design made deeper, wider and finer together, and what that costs.

EfficientNet's rule is about multiply-accumulates: alpha · beta² · gamma² near 2 doubles them with
each step of phi. What a device makes of it is another matter, so every step is predicted on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from costmodel.formulas.scaling import CompoundScaling
from costmodel.reports.table import Column, Table
from costmodel.reports.text import show_bytes, show_macs, show_time
from costmodel.workbench.design import design_view
from costmodel.workbench.state import State, controls_of
from costmodel.workbench.tasks import TASKS
from costmodel.workbench.values import Steps

STEPS = tuple(range(8))
"""Values of phi in the table: B0 to B7."""

SCALED = {"depth": "α^φ depth", "width": "β^φ width", "resolution": "γ^φ resolution"}
"""Controls that the rule scales, by how; those that mean nothing for a task stay as they are."""
BUILT = {"depth": "{} blocks", "width": "width {}", "resolution": "{} px"}


class Step(NamedTuple):
    """The design at one value of phi."""

    phi: float
    ideal: Mapping[str, float]
    """What is scaled, before rounding."""
    changes: Mapping[str, int]
    """The nearest values that the controls take."""
    clipped: bool
    """Whether a control cannot go that far."""
    macs: float
    """Of one sample."""
    latency: float
    memory: float


@dataclass(frozen=True)
class ScalingView:
    """The design scaled by phi = 0 to 7, and by the phi of the control."""

    state: State
    rule: CompoundScaling

    @property
    def scaled(self) -> tuple[str, ...]:
        """Controls that the rule scales for the task."""
        return tuple(name for name in SCALED if name not in TASKS[self.state.task].hidden)

    @property
    def product(self) -> float:
        """alpha · beta² · gamma², MACs for each step of phi."""
        return float(self.rule.macs(1))

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """Phi = 0 to 7."""
        return tuple(self.step(float(phi)) for phi in STEPS)

    @cached_property
    def chosen(self) -> Step:
        """The phi of the control."""
        return self.step(self.state.phi)

    def step(self, phi: float) -> Step:
        """The design at one phi, predicted on the device."""
        factors = {
            "depth": self.rule.depth(phi),
            "width": self.rule.width(phi),
            "resolution": self.rule.resolution(phi),
        }
        ideal = {name: getattr(self.state, name) * factors[name] for name in self.scaled}
        specs = controls_of(self.state.task)
        changes, clipped = {}, False
        for name, value in ideal.items():
            spec = specs[name]
            assert isinstance(spec, Steps)
            changes[name] = spec.nearest(value)
            clipped |= not spec.low <= value <= spec.high + spec.step / 2
        view = design_view(self.state.changed(**changes))
        return Step(
            phi, ideal, changes, clipped, float(view.estimate.total.macs) / self.state.batch,
            view.estimate.latency, view.estimate.peak_memory,
        )  # fmt: skip

    def table(self) -> Table:
        """Every step: what the rule says, what is built, what it costs on the device."""
        columns = (
            Column("phi", "φ", lambda value: f"{value:g}"),
            *(Column(f"{name}_ideal", SCALED[name], _ideal) for name in self.scaled),
            Column("built", "built", right=False),
            Column("rule", "MACs, rule", lambda value: f"{value:.3g}x"),
            Column("macs", f"MACs per {TASKS[self.state.task].sample}", show_macs),
            Column("macs_ratio", "grown", lambda value: f"{value:.3g}x"),
            Column("latency_s", f"latency on {self.state.device}", show_time),
            Column("latency_ratio", "grown", lambda value: f"{value:.3g}x"),
            Column("memory_bytes", "peak memory", show_bytes),
        )
        first = self.steps[0]
        rows: list[tuple[Any, ...]] = []
        for step in self.steps:
            built = ", ".join(BUILT[name].format(value) for name, value in step.changes.items())
            rows.append(
                (
                    step.phi, *(step.ideal[name] for name in self.scaled),
                    f"{built} (limit)" if step.clipped else built,
                    float(self.rule.macs(step.phi)), step.macs, step.macs / first.macs,
                    step.latency, step.latency / first.latency, step.memory,
                )
            )  # fmt: skip
        return Table("", columns, tuple(rows))

    @property
    def headline(self) -> str:
        """What the rule promises and what the device makes of it."""
        first, chosen = self.steps[0], self.chosen
        law = "α · β² · γ²" if "resolution" in self.scaled else "No resolution, so γ is 1: α · β²"
        return (
            f"{law} = {self.product:.3g}, so φ = {chosen.phi:g} means "
            f"{float(self.rule.macs(chosen.phi)):.3g}x the MACs by the rule. Built, it has "
            f"{chosen.macs / first.macs:.3g}x the MACs and takes "
            f"{chosen.latency / first.latency:.3g}x the time on {self.state.device}."
        )


def _ideal(value: float) -> str:
    return f"{value:.1f}"


def scaling_view(state: State) -> ScalingView:
    """Scale the design of a state."""
    gamma = 1.0 if "resolution" in TASKS[state.task].hidden else state.gamma
    return ScalingView(state, CompoundScaling(state.alpha, state.beta, gamma))
