"""Which operators of a graph are alike, so that what is found for one of them holds for all.

Operators are alike that have the same name, the same attributes, and operands of the same shapes,
dtypes, strides and kinds which share memory in the same way. A network of repeated blocks has a few
dozen different ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from costmodel.graph import Graph


class Likeness(NamedTuple):
    """Where the first of its sort is, for every tensor and operator of a graph."""

    tensors: tuple[int, ...]
    """Of equal shape, dtype, strides and kind."""
    ops: tuple[int, ...]
    """-1 where nothing is moved: views and such."""


def likeness(graph: Graph) -> Likeness:
    """Find tensors and operators that are alike. The graph has no symbolic sizes."""
    known: dict[Any, int] = {}
    tensors = [
        known.setdefault((x.shape, x.dtype, x.kind, x.strides, x.batched), x.id)
        for x in graph.tensors
    ]
    owners = [spec.storage for spec in graph.tensors]
    first: dict[Any, int] = {}
    ops = []
    for index, op in enumerate(graph.ops):
        operands = [i for i in (*op.inputs, *op.outputs) if i is not None]
        if op.is_view or not operands:
            ops.append(-1)
            continue
        memory = [owners[i] for i in operands]
        sort = (
            op.target,
            repr(op.attrs),
            tuple([None if i is None else tensors[i] for i in op.inputs]),
            tuple([tensors[i] for i in op.outputs]),
            tuple(map(memory.index, memory)),
        )
        ops.append(first.setdefault(sort, index))
    return Likeness(tuple(tensors), tuple(ops))
