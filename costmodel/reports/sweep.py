"""A sweep as a report: one row a prediction."""

from __future__ import annotations

from costmodel.reports.report import Report
from costmodel.reports.table import Column, Table
from costmodel.reports.text import (
    count,
    show_bytes,
    show_energy,
    show_macs,
    show_params,
    show_rate,
    show_time,
)
from costmodel.search.sweeping import SweepOutcome

COLUMNS = (
    Column("model", "model", right=False),
    Column("device", "device", right=False),
    Column("batch", "batch"),
    Column("precision", "precision", right=False),
    Column("latency_s", "latency", show_time),
    Column("throughput_per_s", "samples/s", show_rate),
    Column("energy_j", "energy", show_energy),
    Column("bound", "bound by", right=False),
    Column("macs", "MACs", show_macs),
    Column("params", "params", show_params),
    Column("bytes", "bytes moved", show_bytes),
    Column("peak_memory_bytes", "peak memory", show_bytes),
)


def sweep_report(outcome: SweepOutcome) -> Report:
    """All rows in the order they were asked for, and what failed."""
    rows = tuple(tuple(row[column.key] for column in COLUMNS) for row in outcome.rows)
    notes = [
        f"{count(outcome.computed, 'prediction')} worked out, {outcome.known:,} known from before"
    ]
    notes += [f"left out: {source}: {reason}" for source, reason in outcome.failures.items()]
    notes += [f"left out: {reason}" for reason in outcome.unable.values()]
    if any(row["energy_j"] is not None for row in outcome.rows):
        notes.append("energy rests on assumptions that `costmodel predict` lists for each device")
    document = {"rows": outcome.rows, "failures": outcome.failures, "unable": outcome.unable}
    return Report(document, (Table("Sweep", COLUMNS, rows),), tuple(notes))
