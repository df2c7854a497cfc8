"""Many small graphs as one, so that all of them are costed in one pass over arrays.

Inside a network, a cell reads what the operator before it just wrote; traced alone, it reads an
input that nothing touched. So each graph but a network's first is preceded here by an operator that
writes its input, owned by nobody. What a cell keeps from run to run, its further inputs, is touched
by nothing else in the network either: these are inputs of the whole. After that, how far back in
the traffic an operator's inputs were last touched is the same as in the whole network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from costmodel.graph import Graph, Op, TensorSpec

Array = np.ndarray

NOBODY = -1


def chained(graphs: Sequence[Graph], starts: Sequence[bool]) -> tuple[Graph, Array]:
    """Graphs one after the other, sharing nothing.

    Args:
        graphs: each of a cell, its first input written by the one before; traced at the same batch
            and under the same conditions.
        starts: whether each stands first in its network and reads the model's input.

    Returns:
        the graph, and (operators,) index of the graph each operator is of, `NOBODY` for those
        that write inputs.
    """
    tensors: list[TensorSpec] = []
    ops: list[Op] = []
    owner: list[int] = []
    kept: list[int] = []
    for index, (graph, start) in enumerate(zip(graphs, starts, strict=True)):
        offset = len(tensors)
        for spec in graph.tensors:
            tensors.append(spec._replace(id=spec.id + offset, storage=spec.storage + offset))
        kept += (i + offset for i in graph.inputs[1:])
        if not start:
            given = tensors[graph.inputs[0] + offset]
            source = given._replace(id=len(tensors), storage=len(tensors))
            tensors.append(source)
            ops.append(Op("aten::clone", (source.id,), (given.id,), {}, ""))
            owner.append(NOBODY)
        for op in graph.ops:
            ops.append(
                op._replace(
                    inputs=tuple(None if i is None else i + offset for i in op.inputs),
                    outputs=tuple(i + offset for i in op.outputs),
                )
            )
            owner.append(index)
        # What the graph returns lives to its end; a view costs nothing.
        for result in graph.outputs:
            spec = tensors[result + offset]
            view = spec._replace(id=len(tensors))
            tensors.append(view)
            ops.append(Op("aten::alias", (spec.id,), (view.id,), {}, "", is_view=True))
            owner.append(index)
    joined = replace(
        graphs[0],
        name=f"{len(graphs)} cells",
        tensors=tuple(tensors),
        ops=tuple(ops),
        inputs=tuple(kept),
        outputs=(),
        modules={},
        weights=(),
    )
    return joined, np.array(owner, dtype=np.int64)
