"""What follows from a graph alone: worked out once, for all devices and batches."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from costmodel.collection import collection_paused
from costmodel.errors import GraphError, UsageError
from costmodel.formulas.columns import columns_of
from costmodel.graph import Graph
from costmodel.memory import MemoryModel, PeakMemory, memory_of
from costmodel.roofline import outline
from costmodel.roofline.operators import Work
from costmodel.roofline.workload import Workload, workload_of
from costmodel.tracing import cache

KEPT = 16
"""Graphs whose work is kept: one with its columns takes megabytes, and sweeps go over thousands."""
SUFFIX = ".outline.gz"
ROOMS = ("formulas", "roofline", "memory.py", "liveness.py", "estimation/prepared.py")
"""The code that an outline depends on, beside what its graph depends on."""


@lru_cache(maxsize=KEPT)
def workload_for(graph: Graph) -> Workload:
    """What the engine takes of a graph."""
    with collection_paused():
        return workload_of(columns_of(graph))


@lru_cache(maxsize=KEPT)
def memory_for(graph: Graph) -> MemoryModel:
    """How its memory grows with the batch."""
    return memory_of(graph)


class Prepared(NamedTuple):
    """All of a graph that predictions for whole runs need."""

    workload: Work
    parameters: int
    peak: PeakMemory


def prepared(source: str, batch: int, folder: Path | None = None) -> Prepared:
    """What predictions of a model need, from the trace cache where an earlier call left it.

    Args:
        source: of the model.
        batch: to trace at.
        folder: of the cache, by default that of the user.

    Raises:
        UsageError: if no operator ran.
        CostModelError: whatever tracing raises.
    """
    if not cache.is_kept(source, {}):
        return _prepared(cache.cached_graph(source, batch, folder=folder))
    key = cache.cache_key(source, batch, None, {"outline": cache.code_digest(ROOMS)})
    place = cache.entry(key, SUFFIX, folder)
    found = cache.read_entry(place, _read)
    if found is None:
        found = _prepared(cache.cached_graph(source, batch, folder=folder))
        if isinstance(found.workload, outline.Outline):
            cache.write_entry(place, _written(found, found.workload))
    return found


def _prepared(graph: Graph) -> Prepared:
    if not graph.ops:
        raise UsageError(f"{graph.name}: no operator ran, so there is nothing to estimate")
    workload = workload_for(graph)
    return Prepared(
        outline.outline_of(workload) or workload, graph.parameters, memory_for(graph).peak()
    )


def _written(found: Prepared, of: outline.Outline) -> bytes:
    peak = [found.peak.always, found.peak.moments.tolist()]
    head = json.dumps({"parameters": found.parameters, "peak": peak})
    return head.encode() + b"\n" + outline.written(of)


def _read(content: bytes) -> Prepared:
    start, _, rest = content.partition(b"\n")
    try:
        head = json.loads(start)
        (float32, others), moments = head["peak"]
        peak = PeakMemory((float32, others), np.array(moments).reshape(4, -1))
        return Prepared(outline.read(rest), head["parameters"], peak)
    except (LookupError, TypeError, ValueError) as error:
        raise GraphError(f"not an outline: {error}") from error
