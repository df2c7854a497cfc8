"""How objects show themselves in a notebook: small tables, all text escaped, no scripts.

`Graph`, `Estimate`, `Sweep` and `DeviceProfile` call these from their `_repr_html_`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from costmodel.errors import GraphError
from costmodel.estimation import Estimate, Sweep
from costmodel.formulas.notation import text
from costmodel.graph import Graph
from costmodel.hardware import DeviceProfile
from costmodel.reports.devices import device_report
from costmodel.reports.model.prediction import notes_of, prediction_report, slowest_operators
from costmodel.reports.table import Column, Table
from costmodel.reports.text import (
    percent,
    show_bytes,
    show_flops,
    show_intensity,
    show_macs,
    show_params,
    show_time,
)

SLOWEST = 5
"""Operators listed with an estimate."""

MOST_ROWS = 30
"""Rows that a table in a notebook has at most."""


def graph_html(graph: Graph) -> str:
    """What a graph runs and costs at its own sizes, and its operators by how many there are."""
    counts: dict[str, int] = {}
    for op in graph.ops:
        if not op.is_view:
            counts[op.target] = counts.get(op.target, 0) + 1
    shapes = ", ".join(str(tuple(graph.tensors[i].shape)) for i in graph.inputs)
    rows = [
        ("inputs", shapes),
        ("operators", f"{sum(counts.values()):,}"),
        ("parameters", show_params(graph.parameters)),
        *_cost_rows(graph),
    ]
    if graph.symbols:
        rows.append(("symbolic sizes", ", ".join(graph.symbols)))
    kinds = Table(
        "Operators",
        (Column("op", "op", right=False), Column("count", "times", lambda n: f"{n:,}")),
        tuple(sorted(counts.items(), key=lambda item: -item[1])),
    )
    return _block(f"{graph.name}, batch {graph.batch}", _facts(rows), _details(kinds))


def _cost_rows(graph: Graph) -> list[tuple[str, str]]:
    try:
        cost = graph.cost()
    except GraphError:  # sizes are symbolic in a way that a binding cannot work with
        return [("cost", "not known before its symbolic sizes are substituted")]
    shown = (
        ("MACs", cost.macs, show_macs),
        ("FLOPs", cost.flops, show_flops),
        ("bytes moved", cost.bytes, show_bytes),
    )
    rows = [
        (label, text(value) if getattr(value, "free_symbols", None) else show(float(value)))
        for label, value, show in shown
    ]
    if not graph.symbols and cost.bytes:
        rows.append(("intensity", show_intensity(float(cost.intensity))))
    return rows


def estimate_html(estimate: Estimate) -> str:
    """The prediction, where its time goes, and what was assumed."""
    (overview,) = prediction_report([estimate]).tables
    by_kind = Table(
        "Time by kind of operator",
        (
            Column("kind", "kind", right=False),
            Column("time_s", "time", show_time),
            Column("share", "share", percent),
        ),
        tuple((k, t, t / estimate.latency) for k, t in estimate.time_by_kind.items() if t),
    )
    title = f"{estimate.graph.name} on {estimate.device}"
    slowest = slowest_operators(estimate, SLOWEST)
    return _block(
        title, _table(overview), _table(by_kind), _details(slowest), _notes(notes_of([estimate]))
    )


def sweep_html(sweep: Sweep) -> str:
    """The predictions of a sweep, one per line."""
    estimates = list(sweep)
    (overview,) = prediction_report(estimates).tables
    return _block(sweep.graph.name, _table(overview), _notes(notes_of(estimates)))


def device_html(profile: DeviceProfile) -> str:
    """Peaks, memory and clocks of a device, then the documents they are from."""
    report = device_report(profile)
    *shown, sources = report.tables
    title = f"{profile.name} ({profile.id})"
    return _block(title, *map(_table, shown), _details(sources), _notes(report.notes))


# ------------------------------------------------------------------------------------ markup


def _block(title: str, *parts: str) -> str:
    return f"<div><b>{escape(title)}</b>{''.join(parts)}</div>"


def _facts(rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(
        f'<tr><th scope="row" style="text-align:left">{escape(name)}</th>'
        f'<td style="text-align:left">{escape(value)}</td></tr>'
        for name, value in rows
    )
    return f"<table><tbody>{cells}</tbody></table>"


def _table(table: Table, *, titled: bool = True) -> str:
    aligned = [f' style="text-align:{"right" if c.right else "left"}"' for c in table.shown]
    head = _row("th", [column.title for column in table.shown], aligned)
    texts = table.texts()
    body = "".join(_row("td", cells, aligned) for cells in texts[:MOST_ROWS])
    more = len(texts) - MOST_ROWS
    left_out = f"<small>and {more:,} more</small>" if more > 0 else ""
    caption = f'<caption style="text-align:left">{escape(table.title)}</caption>' if titled else ""
    return f"<table>{caption}<thead>{head}</thead><tbody>{body}</tbody></table>{left_out}"


def _row(tag: str, cells: Sequence[str], aligned: Sequence[str]) -> str:
    return "".join(
        ["<tr>"]
        + [f"<{tag}{a}>{escape(cell)}</{tag}>" for cell, a in zip(cells, aligned, strict=True)]
        + ["</tr>"]
    )


def _details(table: Table) -> str:
    inside = _table(table, titled=False)
    return f"<details><summary>{escape(table.title)}</summary>{inside}</details>"


def _notes(notes: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"<details><summary>Notes</summary><ul>{items}</ul></details>" if notes else ""
