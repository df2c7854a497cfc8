"""Which operators of a graph are alike, so that what is found for one of them holds for all.

Operators are alike that have the same name, the same attributes, and operands of the same shapes,
dtypes, strides and kinds which share memory in the same way. A network of repeated blocks has a few
dozen different ones.
"""

from __future__ import annotations

from typing import Any

from costmodel.graph import Graph


def first_alike(graph: Graph) -> list[int]:
    """For every operator the first one it is like, or -1 where nothing is moved: views and such.

    The graph has no symbolic sizes.
    """
    known: dict[Any, int] = {}
    sorts = [
        known.setdefault(
            (spec.shape, spec.dtype, spec.kind, spec.strides, spec.batched), len(known)
        )
        for spec in graph.tensors
    ]
    owners = [spec.storage for spec in graph.tensors]
    first: dict[Any, int] = {}
    found = []
    for index, op in enumerate(graph.ops):
        operands = [i for i in (*op.inputs, *op.outputs) if i is not None]
        if op.is_view or not operands:
            found.append(-1)
            continue
        memory = [owners[i] for i in operands]
        sort = (
            op.target,
            repr(op.attrs),
            tuple([None if i is None else sorts[i] for i in op.inputs]),
            tuple([sorts[i] for i in op.outputs]),
            tuple(map(memory.index, memory)),
        )
        found.append(first.setdefault(sort, index))
    return found
