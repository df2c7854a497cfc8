"""Measured rows meet traced models: which graph a row of a table belongs to, or why none does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, TypeVar

from costmodel.errors import CostModelError, UsageError
from costmodel.graph import Graph
from costmodel.measurement.tables.conditions import RunConditions
from costmodel.measurement.tables.timm import MeasuredModel

T = TypeVar("T")

GraphSource = Callable[..., Graph]
"""`cached_graph` or anything that takes the same arguments."""

PARAMETER_STEP = 1e4
"""The tables print parameters in millions with two decimals."""


class Skipped(NamedTuple):
    """A measured row that could not be compared, and why."""

    model: str
    reason: str


def choose(
    items: Sequence[T], name: Callable[[T], str], pattern: str | None, limit: int | None
) -> list[T]:
    """Items whose name matches a glob; of those, at most `limit`, spread evenly over the table.

    Tables are sorted by speed, so an even spread holds fast and slow models alike.

    Raises:
        UsageError: if nothing matches.
    """
    found = [item for item in items if pattern is None or fnmatchcase(name(item), pattern)]
    if not found:
        raise UsageError(
            f"no model matches {pattern!r}" if pattern else "the table has no rows to judge"
        )
    if limit is None or limit >= len(found):
        return found
    return [found[(2 * i + 1) * len(found) // (2 * limit)] for i in range(limit)]


def labels(rows: Sequence[MeasuredModel]) -> list[str]:
    """Names of the rows; a model that was measured at several sizes carries its size."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.model] = counts.get(row.model, 0) + 1
    return [
        row.model if counts[row.model] == 1 else f"{row.model}@{row.image_size}" for row in rows
    ]


def match_timm(
    row: MeasuredModel, conditions: RunConditions, device_kind: str, load: GraphSource
) -> Graph:
    """The graph of a row of a timm table: the model as built, or else reparameterised.

    Raises:
        CostModelError: if the model cannot be built, or no form of it has as many parameters as
            the table says.
    """
    options = conditions.trace_options(device_kind)
    shape = (3, row.image_size, row.image_size)

    def traced(**more: Any) -> Graph:
        return load(f"timm:{row.model}", row.batch, shape, **options, **more)

    graph = traced()
    if _same_parameters(graph, row):
        return graph
    try:
        merged = traced(reparameterized=True)
    except CostModelError:
        merged = graph
    if _same_parameters(merged, row):
        return merged
    raise UsageError(
        f"has {graph.parameters / 1e6:.2f} M parameters here and {row.parameters / 1e6:.2f} M in "
        "the table, reparameterised or not: another version of the model"
    )


def _same_parameters(graph: Graph, row: MeasuredModel) -> bool:
    return abs(graph.parameters - row.parameters) <= PARAMETER_STEP / 2 + 1


def run_form(graph: Graph, conditions: RunConditions) -> Graph:
    """The graph as it runs: fused if it is compiled."""
    if not conditions.compiled:
        return graph
    from costmodel.passes.fusion import compiled

    fused = compiled(graph)
    if conditions.scalar:
        fused = replace(fused, conditions={**fused.conditions, "scalar": True})
    return fused
