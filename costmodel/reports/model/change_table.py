"""Changes that would help, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from costmodel.changes import Change
from costmodel.reports.table import Column, Table
from costmodel.reports.text import exact, show_bytes, show_macs, show_rate, show_time


def change_table(changes: Sequence[Change], title: str) -> Table:
    """What each change gains, and what it takes."""
    columns = (
        Column("change", "change", right=False),
        Column("speedup", "samples/s, relative", lambda ratio: f"{ratio:.3g}x"),
        Column("throughput_per_s", "samples/s", show_rate),
        Column("latency_s", "latency", show_time),
        Column("macs", "MACs", show_macs),
        Column("peak_memory_bytes", "peak memory", show_bytes),
        Column("takes", "what it takes", right=False, wrap=True),
    )
    rows = tuple(
        (
            change.title,
            change.speedup,
            change.after.throughput,
            change.after.latency,
            exact(change.after.total.macs),
            exact(change.after.peak_memory),
            change.takes,
        )
        for change in changes
    )
    return Table(title, columns, rows)
