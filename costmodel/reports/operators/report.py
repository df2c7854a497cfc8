"""A comparison of operators as a report, one table per device."""

from __future__ import annotations

from collections.abc import Sequence

from costmodel.reports.operators.comparison import OperatorComparison
from costmodel.reports.operators.crossovers import changes, changes_document, changes_table
from costmodel.reports.report import Report
from costmodel.reports.table import Column, Table
from costmodel.reports.text import (
    exact,
    show_bytes,
    show_flops,
    show_flops_rate,
    show_intensity,
    show_macs,
    show_time,
)

VERDICT = "fewer FLOPs, not faster than"


def operator_report(comparisons: Sequence[OperatorComparison]) -> Report:
    """Cost, intensity, latency and achieved rate of each operator, and where they change places."""
    notes = dict.fromkeys(note for comparison in comparisons for note in comparison.notes)
    solved = [(comparison, list(changes(comparison))) for comparison in comparisons]
    tables = [_table(comparisons)]
    if any(found for _, found in solved):
        tables.append(changes_table(solved))
    documents = [
        {**_document(comparison), "crossovers": changes_document(found)}
        for comparison, found in solved
    ]
    return Report({"comparisons": documents}, tuple(tables), tuple(notes))


def heading(comparison: OperatorComparison) -> str:
    """What was compared where, as a title."""
    c = comparison
    return (
        f"{c.kernel}x{c.kernel} on {c.size}x{c.size}, {c.target.label}, batch {c.batch}, "
        f"{c.precision}"
    )


def _table(comparisons: Sequence[OperatorComparison]) -> Table:
    several = len(comparisons) > 1
    columns = (
        Column("device", "device", right=False, csv_only=not several),
        Column("batch", "batch", csv_only=not several),
        Column("precision", "precision", right=False, csv_only=not several),
        Column("size", "size", csv_only=len({c.size for c in comparisons}) < 2),
        Column("kernel", "kernel", csv_only=len({c.kernel for c in comparisons}) < 2),
        Column("channels", "channels"),
        Column("operator", "operator", right=False),
        Column("macs", "MACs", show_macs),
        Column("flops", "FLOPs", show_flops, csv_only=True),
        Column("bytes", "bytes", show_bytes),
        Column("intensity_flop_per_byte", "intensity", show_intensity),
        Column("latency_s", "latency", show_time),
        Column("achieved_flop_per_s", "achieved", show_flops_rate),
        Column("bound", "bound by", right=False),
        Column("fewer_flops_not_faster_than", VERDICT, right=False),
    )
    rows = tuple(
        (
            c.target.label,
            c.batch,
            c.precision,
            c.size,
            c.kernel,
            p.channels,
            p.operator,
            exact(p.macs),
            exact(p.flops),
            exact(p.bytes),
            p.intensity,
            p.time,
            p.achieved_flops,
            p.bound,
            ", ".join(p.beaten_by),
        )
        for c in comparisons
        for p in c.points
    )
    title = heading(comparisons[0]) if not several else "Operators compared"
    return Table(title, columns, rows)


def _document(comparison: OperatorComparison) -> dict[str, object]:
    c = comparison
    return {
        "device": c.target.label,
        "batch": c.batch,
        "precision": c.precision,
        "size": c.size,
        "kernel": c.kernel,
        "points": [
            {
                "operator": p.operator,
                "channels": p.channels,
                "macs": exact(p.macs),
                "flops": exact(p.flops),
                "bytes": exact(p.bytes),
                "intensity_flop_per_byte": p.intensity,
                "latency_s": p.time,
                "achieved_flop_per_s": p.achieved_flops,
                "bound": p.bound,
                "fewer_flops_not_faster_than": list(p.beaten_by),
            }
            for p in c.points
        ],
    }
