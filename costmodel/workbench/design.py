"""The design tab: what the network of the controls costs on the chosen device."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from costmodel.estimation import Estimate, estimate
from costmodel.graph import Graph
from costmodel.reports.model.prediction import notes_of
from costmodel.reports.text import (
    percent,
    show_bytes,
    show_flops_rate,
    show_macs,
    show_params,
    show_rate,
    show_time,
)
from costmodel.units import format_si
from costmodel.workbench.cards import Card
from costmodel.workbench.networks import network_graph
from costmodel.workbench.state import State
from costmodel.workbench.tasks import TASKS

MIB = 2**20


@dataclass(frozen=True)
class Budgets:
    """What the design must keep to, in SI units; None where there is no limit."""

    latency: float | None
    """Seconds for one batch."""
    memory: float | None
    """Peak bytes."""

    @classmethod
    def of(cls, state: State) -> Budgets:
        """The budgets of a state."""
        return cls(
            None if state.latency is None else state.latency / 1e3,
            None if state.memory is None else state.memory * MIB,
        )


@dataclass(frozen=True)
class DesignView:
    """What the network costs, and whether it keeps to the budgets."""

    state: State
    estimate: Estimate
    budgets: Budgets

    @cached_property
    def capacity(self) -> float:
        """The proxy that recommendations maximise: sqrt(parameters x MACs per sample)."""
        total = self.estimate.total
        return math.sqrt(float(total.parameters) * float(total.macs) / self.estimate.batch)

    @property
    def cards(self) -> tuple[Card, ...]:
        """The numbers, the budgeted ones first."""
        e, batch, sample = self.estimate, self.state.batch, TASKS[self.state.task].sample
        return (
            self._latency(),
            Card(
                "bound", "Limited by", e.bound,
                f"{percent(e.time_by_bound[e.bound] / e.latency)} of the time; "
                f"{show_flops_rate(e.achieved_flops)}",
            ),
            Card("throughput", f"{sample.capitalize()}s per second", show_rate(e.throughput),
                 f"in batches of {batch:,}"),
            self._memory(),
            Card("parameters", "Parameters", show_params(float(e.total.parameters)),
                 f"{show_bytes(e.graph.weight_bytes)} as float32"),
            Card("macs", f"Per {sample}", show_macs(float(e.total.macs) / batch),
                 f"{show_bytes(float(e.total.bytes) / batch)} moved"),
            self._energy(),
            Card("capacity", "Capacity proxy", format_si(self.capacity, ""),
                 "sqrt(parameters x MACs), no accuracy"),
        )  # fmt: skip

    def _latency(self) -> Card:
        latency, budget = self.estimate.latency, self.budgets.latency
        found = self.estimate.interval
        spread = f"{show_time(found.low, 2)} - {show_time(found.high, 2)}" if found else ""
        if budget is None:
            return Card("latency", "Latency (90 %)", show_time(latency), spread)
        detail, tone = _headroom(latency, budget, show_time(abs(budget - latency)))
        told = f"{spread}\n{detail}".strip()
        return Card("latency", "Latency (90 %)", show_time(latency), told, tone, latency / budget)

    def _memory(self) -> Card:
        used, budget = self.estimate.peak_memory, self.budgets.memory
        if budget is not None:
            detail, tone = _headroom(used, budget, show_bytes(abs(budget - used)))
            return Card("memory", "Peak memory", show_bytes(used), detail, tone, used / budget)
        profile = self.estimate.target.profile
        capacity = profile.capacity(profile.main_memory)
        if capacity is None:
            return Card("memory", "Peak memory", show_bytes(used), "the device's size is unknown")
        fits = "fits in" if used <= capacity else "does not fit in"
        return Card(
            "memory", "Peak memory", show_bytes(used), f"{fits} {show_bytes(capacity)}",
            "" if used <= capacity else "bad",
        )  # fmt: skip

    def _energy(self) -> Card:
        e, title = self.estimate, f"Energy per {TASKS[self.state.task].sample}"
        if e.energy is None:
            return Card("energy", title, "?", "the board power is not known")
        joules = e.energy.joules
        return Card(
            "energy", title, show_energy(joules / e.batch),
            f"{format_si(joules / e.latency, 'W')} while it runs",
        )  # fmt: skip

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed."""
        energy = self.estimate.energy
        drawn = () if energy is None else energy.notes
        return (TASKS[self.state.task].text, *notes_of([self.estimate]), *drawn)


def show_energy(joules: float) -> str:
    """Energy with its unit: "12.3 mJ"."""
    for factor, unit in ((1.0, "J"), (1e-3, "mJ")):
        if joules >= factor:
            return format_si(joules / factor, unit)
    return format_si(joules / 1e-6, "uJ")


def _headroom(used: float, budget: float, gap: str) -> tuple[str, Literal["good", "bad"]]:
    if used <= budget:
        return f"headroom {gap} ({percent(1 - used / budget)})", "good"
    return f"over by {gap} ({used / budget:.3g}x)", "bad"


def design_view(state: State) -> DesignView:
    """Predict the network that a state describes.

    Raises:
        UsageError: if the device cannot compute in that precision.
    """
    graph = network_graph(state)
    found = _estimate(graph, state.device, state.batch, state.precision)
    return DesignView(state, found, Budgets.of(state))


@lru_cache(maxsize=256)
def _estimate(graph: Graph, device: str, batch: int, precision: str) -> Estimate:
    return estimate(graph, device, batch, precision)
