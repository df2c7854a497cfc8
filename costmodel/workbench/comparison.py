"""The device comparison: one design on several devices."""

from __future__ import annotations

from dataclasses import dataclass

from costmodel.errors import UsageError
from costmodel.estimation import Estimate, estimate, resolve_target
from costmodel.graph import Graph
from costmodel.hardware import compare
from costmodel.reports.model.prediction import notes_of, slowest_operators
from costmodel.reports.table import Column, Table
from costmodel.reports.text import (
    percent,
    show_bytes,
    show_macs,
    show_params,
    show_rate,
    show_time,
)
from costmodel.workbench.design import Budgets, show_energy
from costmodel.workbench.state import State


@dataclass(frozen=True)
class ComparisonView:
    """Predictions of one network on the chosen device and the others."""

    state: State
    name: str
    """Of the network."""
    estimates: tuple[Estimate, ...]
    """The chosen device first."""
    problems: tuple[str, ...]
    """Devices that cannot compute it, and why."""
    budgets: Budgets
    sample: str
    """One of a batch."""

    def table(self) -> Table:
        """One row per device."""
        first = self.estimates[0].latency if self.estimates else 1.0
        columns = (
            Column("device", "device", right=False),
            Column("latency_s", "latency", show_time),
            Column("interval", "90 % interval", right=False),
            Column("speed", f"speed to {self.state.device}", lambda value: f"{value:.3g}x"),
            Column("headroom_s", "headroom", _signed_time, csv_only=self.budgets.latency is None),
            Column("throughput_per_s", f"{self.sample}s/s", show_rate),
            Column("bound", "bound by", right=False),
            Column("bound_share", "of time", percent),
            Column("memory_bytes", "peak memory", show_bytes),
            Column("fits", "fits", lambda fits: "yes" if fits else "NO", right=False),
            Column(f"energy_j_per_{self.sample}", f"energy per {self.sample}", show_energy),
        )
        rows = []
        for e in self.estimates:
            found, energy = e.interval, e.energy
            limit = self.budgets.latency
            rows.append(
                (
                    e.device, e.latency,
                    found and f"{show_time(found.low, 2)} - {show_time(found.high, 2)}",
                    first / e.latency, None if limit is None else limit - e.latency,
                    e.throughput, e.bound, e.time_by_bound[e.bound] / e.latency, e.peak_memory,
                    e.fits, energy and energy.joules / e.batch,
                )
            )  # fmt: skip
        return Table("", columns, tuple(rows))

    def devices(self) -> Table:
        """What the devices' profiles say, side by side."""
        profiles = [e.target.profile for e in self.estimates]
        columns = (
            Column("property", "property", right=False),
            *(Column(p.id, p.name) for p in {p.id: p for p in profiles}.values()),
        )
        distinct = list({p.id: p for p in profiles}.values())
        rows = tuple((row.name, *row.texts()) for row in compare(distinct)) if distinct else ()
        return Table("", columns, rows)

    @property
    def headline(self) -> str:
        """The network in a sentence."""
        total = self.estimates[0].total
        return (
            f"{self.name}: {show_params(float(total.parameters))} parameters, "
            f"{show_macs(float(total.macs) / self.state.batch)} per sample; "
            f"{show_time(self.estimates[0].latency)} on {self.state.device}."
        )

    def slowest(self, limit: int = 12) -> Table:
        """The slowest operators on the chosen device."""
        return slowest_operators(self.estimates[0], limit)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed."""
        return notes_of(self.estimates)


def _signed_time(value: float) -> str:
    return show_time(value) if value >= 0 else f"-{show_time(-value)}"


def compared_devices(state: State) -> tuple[str, ...]:
    """The chosen device, then the others, each once."""
    return tuple(dict.fromkeys((state.device, *state.others)))


def comparison_view(state: State, graph: Graph, sample: str = "sample") -> ComparisonView:
    """Predict a network on all devices of a state; `sample` is what one of a batch is called."""
    estimates, problems = [], []
    for device in compared_devices(state):
        try:
            estimates.append(estimate(graph, resolve_target(device), state.batch, state.precision))
        except UsageError as error:
            problems.append(str(error))
    return ComparisonView(
        state, graph.name, tuple(estimates), tuple(problems), Budgets.of(state), sample
    )
