"""A run as a timeline: the JSON of Chrome's trace events, which Perfetto opens.

One process per estimate. Its tracks are the modules, nested, with their operators; what each
operator launches, computes and moves; and a counter of the memory in use. An operator starts with
its launch, then computes and moves data at the same time; where the two overlap only in part, both
are shorter than the rest of the operator. All operators run one after the other.

Format: "Trace Event Format" (Google, 2016): complete events ("X") with time stamp and duration in
microseconds, metadata events ("M") that name processes and threads, counters ("C").
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from costmodel import __version__
from costmodel.estimation import Estimate, OperatorEstimate
from costmodel.reports.model.memory_figure import live_bytes
from costmodel.reports.runs import size_label
from costmodel.reports.text import exact
from costmodel.roofline.times import BOUNDS

MODULES, COMPUTE, MEMORY, LAUNCH = 1, 2, 3, 4
TRACKS = {MODULES: "modules", COMPUTE: "compute", MEMORY: "memory", LAUNCH: "launch"}
"""Name of each thread."""


class Slice(NamedTuple):
    """A module over the operators that it ran one after the other."""

    path: str
    first: int
    last: int
    """Position behind the last operator."""


def timeline_json(estimates: Sequence[Estimate]) -> str:
    """The trace as text."""
    return json.dumps(timeline(estimates), separators=(",", ":"), allow_nan=False) + "\n"


def timeline(estimates: Sequence[Estimate]) -> dict[str, Any]:
    """The trace as a document.

    Durations are rounded to whole nanoseconds such that they add up: those of the operators sum
    to the latency, and every slice ends where its last part ends.
    """
    events: list[dict[str, Any]] = []
    for number, estimate in enumerate(estimates, start=1):
        events += _metadata(estimate, number)
        events += _events(estimate, number)
    return {
        "displayTimeUnit": "ns",
        "otherData": {
            "generator": f"costmodel {__version__}",
            "what": "predicted, not measured; operators run one after the other",
        },
        "traceEvents": events,
    }


def _metadata(estimate: Estimate, pid: int) -> Iterator[dict[str, Any]]:
    name = f"{estimate.graph.name} on {estimate.device}, {size_label(estimate)}"
    common = {"ph": "M", "pid": pid, "ts": 0}
    yield {**common, "name": "process_name", "tid": 0, "args": {"name": name}}
    yield {**common, "name": "process_sort_index", "tid": 0, "args": {"sort_index": pid}}
    for tid, track in TRACKS.items():
        yield {**common, "name": "thread_name", "tid": tid, "args": {"name": track}}
        yield {**common, "name": "thread_sort_index", "tid": tid, "args": {"sort_index": tid}}


def _events(estimate: Estimate, pid: int) -> Iterator[dict[str, Any]]:
    operators, graph = estimate.operators, estimate.graph
    ends = np.cumsum([0.0, *(operator.time for operator in operators)])
    edges = [int(edge) for edge in np.rint(ends * 1e9)]  # nanoseconds
    for piece in module_slices([operator.module for operator in operators]):
        name = piece.path.rpartition(".")[2] or graph.name
        details = {"path": piece.path, "class": graph.modules.get(piece.path, "")}
        yield _slice(pid, MODULES, name, "module", edges[piece.first], edges[piece.last], details)
    rows = [int(row) for row in estimate.workload.row_of_op if row >= 0]
    indices = [index for index, row in enumerate(estimate.workload.row_of_op) if row >= 0]
    always, alive = live_bytes(estimate)
    for position, (operator, row) in enumerate(zip(operators, rows, strict=True)):
        start, end = edges[position], edges[position + 1]
        yield _slice(pid, MODULES, operator.name, operator.kind, start, end, _details(operator))
        parts = {name: float(getattr(estimate.times, name)[row]) for name in BOUNDS}
        begun = min(start + round(parts["launch"] * 1e9), end)
        if parts["launch"]:
            yield _slice(pid, LAUNCH, f"launch {operator.name}", "launch", start, begun)
        busy = "lanes" if parts["lanes"] > parts["compute"] else "compute"
        for track, part in ((COMPUTE, busy), (MEMORY, "memory")):
            if parts[part]:
                done = min(begun + round(parts[part] * 1e9), end)
                yield _slice(pid, track, operator.name, part, begun, done)
        in_use = exact(always + float(alive[indices[position]]))
        yield {
            "name": "memory in use", "ph": "C", "pid": pid, "tid": 0, "ts": start / 1e3,
            "args": {"bytes": in_use},
        }  # fmt: skip


def _slice(
    pid: int, tid: int, name: str, category: str, start: int, end: int,
    details: dict[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    return {
        "name": name, "cat": category, "ph": "X", "pid": pid, "tid": tid,
        "ts": start / 1e3, "dur": (end - start) / 1e3, "args": details or {},
    }  # fmt: skip


def _details(operator: OperatorEstimate) -> dict[str, Any]:
    return {
        "operator": operator.op,
        "module": operator.module,
        "bound": operator.bound,
        "macs": exact(operator.macs),
        "flops": exact(operator.flops),
        "bytes": exact(operator.bytes_read + operator.bytes_written),
        "achieved_flop_per_s": operator.achieved_flops,
        "formula": operator.formula,
    }


def module_slices(paths: Sequence[str]) -> list[Slice]:
    """Modules over the positions of the operators they ran, outer ones first.

    A module that ran, let others run, and ran again has a slice for each time.

    >>> module_slices(["a.b", "a.b", "a", "c"])[1:]
    [Slice(path='a', first=0, last=3), Slice(path='a.b', first=0, last=2), \
Slice(path='c', first=3, last=4)]
    """
    if not paths:
        return []
    found: list[Slice] = []
    open_: list[tuple[str, int, int]] = [("", 0, 0)]  # path, first position, place in `found`
    found.append(Slice("", 0, len(paths)))
    for position, path in enumerate((*paths, "")):
        parts = path.split(".") if path else []
        chain = [".".join(parts[: depth + 1]) for depth in range(len(parts))]
        kept = 0
        while kept < len(chain) and kept + 1 < len(open_) and open_[kept + 1][0] == chain[kept]:
            kept += 1
        for path_, first, place in open_[kept + 1 :]:
            found[place] = Slice(path_, first, position)
        del open_[kept + 1 :]
        for module in chain[kept:]:
            open_.append((module, position, len(found)))
            found.append(Slice(module, position, position))
    return found
