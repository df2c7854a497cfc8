"""Estimates as a report: who is how fast where, what limits it, what was assumed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from costmodel.estimation import Estimate, OperatorEstimate
from costmodel.reports.report import Report
from costmodel.reports.table import Column, Table
from costmodel.reports.text import (
    count,
    exact,
    finite,
    percent,
    show_bytes,
    show_energy,
    show_flops,
    show_macs,
    show_params,
    show_rate,
    show_time,
)


def prediction_report(
    estimates: Sequence[Estimate], baseline: str | None = None, top: int = 0
) -> Report:
    """Compare estimates in one table.

    Args:
        estimates: of any models, devices, batches and precisions.
        baseline: label of the device whose latency the others are compared with, model by model.
        top: how many of the slowest operators to list for each.
    """
    tables = [_overview(estimates, baseline)]
    if top:
        tables += [slowest_operators(estimate, top) for estimate in estimates]
    return Report(
        {"estimates": [estimate_document(estimate) for estimate in estimates]},
        tuple(tables),
        notes_of(estimates),
    )


def estimate_document(estimate: Estimate) -> dict[str, Any]:
    """One estimate as JSON, in SI units."""
    total = estimate.total
    return {
        "model": estimate.graph.name,
        "device": estimate.device,
        "batch": estimate.batch,
        "precision": estimate.policy,
        "latency_s": estimate.latency,
        "throughput_per_s": estimate.throughput,
        "macs": exact(total.macs),
        "flops": exact(total.flops),
        "params": exact(total.parameters),
        "bytes_read": exact(total.bytes_read),
        "bytes_written": exact(total.bytes_written),
        "peak_memory_bytes": exact(estimate.peak_memory),
        "energy_j": None if (energy := estimate.energy) is None else energy.joules,
        "energy_floor_j": finite(energy.floor) if energy is not None else None,
        "bound": estimate.bound,
        "interval_s": None if (found := estimate.interval) is None else [found.low, found.high],
        "operators": [_operator_document(operator) for operator in estimate.operators],
        "uncovered": [
            {"op": entry.op, "count": entry.count, "time_share": entry.time_share}
            for entry in estimate.uncovered
        ],
    }


def _operator_document(operator: OperatorEstimate) -> dict[str, Any]:
    return {
        "name": operator.name,
        "op": operator.op,
        "module": operator.module,
        "macs": exact(operator.macs),
        "flops": exact(operator.flops),
        "bytes_read": exact(operator.bytes_read),
        "bytes_written": exact(operator.bytes_written),
        "intensity_flop_per_byte": operator.intensity,
        "time_s": operator.time,
        "bound": operator.bound,
    }


def _overview(estimates: Sequence[Estimate], baseline: str | None) -> Table:
    compared, covered = baseline is not None, not any(e.uncovered for e in estimates)
    columns = (
        Column("model", "model", right=False),
        Column("device", "device", right=False),
        Column("batch", "batch"),
        Column("precision", "precision", right=False),
        Column("latency_s", "latency", show_time),
        Column("", "90 % interval", csv_only=not any(e.interval for e in estimates)),
        Column("interval_low_s", "", csv_only=True),
        Column("interval_high_s", "", csv_only=True),
        Column("speed_vs_baseline", f"vs {baseline}", _speed, csv_only=not compared),
        Column("throughput_per_s", "samples/s", show_rate),
        Column("energy_j", "energy", show_energy, csv_only=not any(e.energy for e in estimates)),
        Column("bound", "bound by", right=False),
        Column("bound_time_share", "of time", percent),
        Column("macs", "MACs", show_macs),
        Column("params", "params", show_params),
        Column("peak_memory_bytes", "peak memory", show_bytes),
        Column("fits", "fits", lambda fits: "yes" if fits else "NO", right=False),
        Column("uncovered_time_share", "uncovered", percent, csv_only=covered),
    )
    reference = {_case(e): e.latency for e in estimates if e.device == baseline}
    rows = tuple(
        (
            e.graph.name,
            e.device,
            e.batch,
            e.policy,
            e.latency,
            _interval_text(e),
            e.interval and e.interval.low,
            e.interval and e.interval.high,
            reference[_case(e)] / e.latency if _case(e) in reference else None,
            e.throughput,
            e.energy and e.energy.joules,
            e.bound,
            e.time_by_bound[e.bound] / e.latency,
            exact(e.total.macs),
            exact(e.total.parameters),
            exact(e.peak_memory),
            e.fits,
            sum(entry.time_share for entry in e.uncovered),
        )
        for e in estimates
    )
    return Table("Prediction: time for one batch", columns, rows)


def _interval_text(estimate: Estimate) -> str | None:
    found = estimate.interval
    return found and f"{show_time(found.low, 2)} - {show_time(found.high, 2)}"


def _speed(ratio: float) -> str:
    return f"{ratio:.3g}x"


def _case(estimate: Estimate) -> tuple[str, int, str]:
    return estimate.graph.name, estimate.batch, estimate.policy


def slowest_operators(estimate: Estimate, limit: int) -> Table:
    """The operators that take most of the time."""
    columns = (
        Column("name", "operator", right=False),
        Column("op", "op", right=False),
        Column("time_s", "time", show_time),
        Column("time_share", "share", percent),
        Column("bound", "bound by", right=False),
        Column("macs", "MACs", show_macs),
        Column("flops", "FLOPs", show_flops),
        Column("bytes", "bytes moved", show_bytes),
        Column("intensity_flop_per_byte", "FLOP/byte", lambda value: f"{value:.3g}"),
    )
    ranked = sorted(estimate.operators, key=lambda operator: -operator.time)[:limit]
    rows = tuple(
        (
            o.name, o.op, o.time, o.time / estimate.latency, o.bound, exact(o.macs),
            exact(o.flops), exact(o.bytes_read + o.bytes_written), o.intensity,
        )
        for o in ranked
    )  # fmt: skip
    title = f"Slowest operators: {estimate.graph.name} on {estimate.device}"
    return Table(f"{title}, batch {estimate.batch}, {estimate.policy}", columns, rows)


def uncovered_table(estimate: Estimate) -> Table:
    """Operators without a formula, charged their bytes only."""
    columns = (
        Column("op", "operator", right=False),
        Column("count", "times", str),
        Column("time_share", "share of the time", percent),
    )
    rows = tuple((entry.op, entry.count, entry.time_share) for entry in estimate.uncovered)
    return Table(f"{estimate.graph.name} on {estimate.device}", columns, rows)


def notes_of(estimates: Sequence[Estimate], *, energy: bool = True) -> tuple[str, ...]:
    """What was assumed, of energy only where that is shown, and not covered, each said once."""
    notes: dict[str, None] = {}
    for estimate in estimates:
        for entry in estimate.uncovered:
            share = f"{percent(entry.time_share)} of the time on {estimate.device}"
            notes[
                f"{estimate.graph.name}: no formula for {entry.op} ({count(entry.count, 'time')}, "
                f"{share}); charged its bytes only"
            ] = None
        if estimate.graph.rung != "eager":
            notes[f"{estimate.graph.name}: traced by the {estimate.graph.rung} front end"] = None
        for assumption in estimate.graph.conditions.get("assumptions", ()):
            notes[f"{estimate.graph.name}: {assumption}"] = None
        for note in estimate.notes:
            notes[note] = None
        if estimate.interval is not None:
            notes[estimate.interval.basis] = None
        for assumption in estimate.energy.notes if energy and estimate.energy else ():
            notes[f"energy: {assumption}"] = None
    return tuple(notes)
