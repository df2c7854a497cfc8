"""What follows from a graph alone: worked out once, for all devices and batches."""

from __future__ import annotations

from functools import lru_cache

from costmodel.collection import collection_paused
from costmodel.formulas.columns import columns_of
from costmodel.graph import Graph
from costmodel.memory import MemoryModel, memory_of
from costmodel.roofline.workload import Workload, workload_of

KEPT = 16
"""Graphs whose work is kept: one with its columns takes megabytes, and sweeps go over thousands."""


@lru_cache(maxsize=KEPT)
def workload_for(graph: Graph) -> Workload:
    """What the engine takes of a graph."""
    with collection_paused():
        return workload_of(columns_of(graph))


@lru_cache(maxsize=KEPT)
def memory_for(graph: Graph) -> MemoryModel:
    """How its memory grows with the batch."""
    return memory_of(graph)
