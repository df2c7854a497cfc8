"""Training steps as a report: time by phase, memory by what holds it, the batch that fits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from costmodel.estimation import Estimate
from costmodel.graph import PHASES
from costmodel.reports.model.prediction import estimate_document, notes_of, slowest_operators
from costmodel.reports.report import Report
from costmodel.reports.table import Column, Table
from costmodel.reports.text import exact, show_bytes, show_rate, show_time

MEMORY_PARTS = ("weights", "gradients", "optimizer_state", "activations")

BESIDE = (
    "memory is what tensors hold at the peak; the framework's context, library workspaces and "
    "fragmentation come on top"
)
JUDGED = "training was judged on one device only (an RTX 3090): the interval is that of inference"


def training_report(estimates: Sequence[Estimate], top: int = 0) -> Report:
    """Compare training steps: a table of times, one of memory.

    Args:
        estimates: of training steps.
        top: how many of the slowest operators to list for each.
    """
    tables = [_times(estimates), _memory(estimates)]
    if top:
        tables += [slowest_operators(estimate, top) for estimate in estimates]
    steps = dict.fromkeys(f"{e.graph.name}: {e.graph.conditions['step']}" for e in estimates)
    return Report(
        {"estimates": [training_document(estimate) for estimate in estimates]},
        tuple(tables),
        (*steps, *notes_of(estimates), BESIDE, JUDGED),
    )


def training_document(estimate: Estimate) -> dict[str, Any]:
    """One training step as JSON, in SI units."""
    memory = estimate.memory
    return {
        **estimate_document(estimate),
        "precision": estimate.policy,
        "mode": "train",
        "step": estimate.graph.conditions["step"],
        "phases_s": estimate.time_by_phase,
        "memory_bytes": {name: exact(getattr(memory, name)) for name in MEMORY_PARTS},
        "memory_peak_phase": memory.phase,
        "fits": estimate.fits,
        "largest_batch": estimate.largest_batch,
    }


_CASE = (
    Column("model", "model", right=False),
    Column("device", "device", right=False),
    Column("batch", "batch"),
    Column("precision", "precision", right=False),
)


def _case(estimate: Estimate) -> tuple[Any, ...]:
    return estimate.graph.name, estimate.device, estimate.batch, estimate.policy


def _times(estimates: Sequence[Estimate]) -> Table:
    phases = [p for p in PHASES if any(p in e.time_by_phase for e in estimates)]
    columns = (
        *_CASE,
        Column("latency_s", "step", show_time),
        *(Column(f"{phase}_s", phase, show_time) for phase in phases),
        Column("throughput_per_s", "samples/s", show_rate),
        Column("bound", "bound by", right=False),
    )
    rows = tuple(
        (
            *_case(e), e.latency, *(e.time_by_phase.get(phase) for phase in phases), e.throughput,
            e.bound,
        )
        for e in estimates
    )  # fmt: skip
    return Table("Training step: time", columns, rows)


def _memory(estimates: Sequence[Estimate]) -> Table:
    columns = (
        *_CASE,
        *(Column(f"{name}_bytes", name.replace("_", " "), show_bytes) for name in MEMORY_PARTS),
        Column("peak_memory_bytes", "peak memory", show_bytes),
        Column("peak_phase", "in", right=False),
        Column("fits", "fits", lambda fits: "yes" if fits else "NO", right=False),
        Column("largest_batch", "largest batch"),
    )
    rows = tuple(
        (
            *_case(e), *(exact(getattr(e.memory, name)) for name in MEMORY_PARTS),
            exact(e.peak_memory), e.memory.phase, e.fits, e.largest_batch,
        )
        for e in estimates
    )  # fmt: skip
    return Table("Training step: memory at its peak", columns, rows)
