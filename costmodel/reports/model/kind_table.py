"""What each kind of operator computes, moves and takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from costmodel.estimation import Estimate
from costmodel.reports.runs import run_labels, size_label
from costmodel.reports.table import Column, Table
from costmodel.reports.text import exact, percent, show_bytes, show_flops, show_macs, show_time


def kind_table(estimates: Sequence[Estimate]) -> Table:
    """A line per kind, with its time and share in each run; sizes are those of the first."""
    first, labels = estimates[0], run_labels(estimates)
    cost, workload = first.row_cost, first.workload
    columns = [
        Column("kind", "kind", right=False),
        Column("operators", "operators"),
        Column("macs", "MACs", show_macs),
        Column("flops", "FLOPs", show_flops),
        Column("bytes", "bytes moved", show_bytes),
    ]
    for label in labels:
        columns.append(Column(f"{label} time_s", f"{label}: time", show_time))
        columns.append(Column(f"{label} share", "share", percent))
    rows = []
    for kind in dict.fromkeys(kind for estimate in estimates for kind in estimate.time_by_kind):
        counts = workload.is_kind(kind) * workload.counts
        line: list[object] = [kind, int(counts.sum())]
        line += [exact(np.dot(column, counts)) for column in (cost.macs, cost.flops, cost.bytes)]
        for estimate in estimates:
            time = estimate.time_by_kind.get(kind, 0.0)
            line += [time, time / estimate.latency]
        rows.append(tuple(line))
    return Table(f"By kind of operator; sizes at {size_label(first)}", tuple(columns), tuple(rows))
