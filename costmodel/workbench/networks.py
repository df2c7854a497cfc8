"""The network of a state as a graph, put together from cells that were traced before.

A network is a chain of cells, and moving one control changes few of them. So cells are traced once
and kept by what they are; a graph is the cells' graphs joined end to end. It is the graph that
tracing the whole module gives, operator for operator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from costmodel.graph import Graph, Op, TensorSpec
from costmodel.search.cells import traced_cell
from costmodel.workbench.state import State
from costmodel.workbench.tasks import TASKS

if TYPE_CHECKING:
    from costmodel.zoo.families import Cell


def network_graph(state: State) -> Graph:
    """The graph of the network that a state's controls describe."""
    return _graph(state.task, tuple(parameters_of(state).items()), traced_batch(state.batch))


def parameters_of(state: State) -> dict[str, Any]:
    """What the controls mean as parameters of the task's family of networks."""
    return TASKS[state.task].parameters(state.values())


def traced_batch(batch: int) -> int:
    """At 1 some copies are views, which they are not in a larger batch."""
    return min(batch, 2)


@lru_cache(maxsize=64)
def _graph(task: str, parameters: tuple[tuple[str, Any], ...], batch: int) -> Graph:
    cells = TASKS[task].family().cells(**dict(parameters))
    return joined(
        TASKS[task].title, [(name, traced_cell(cell, batch)) for name, cell in named(cells)]
    )


def named(cells: Sequence[tuple[str, Cell, int]]) -> Iterator[tuple[str, Cell]]:
    """Every cell of a network with the path of its module."""
    for name, cell, count in cells:
        for index in range(count):
            yield (name if count == 1 else f"{name}.{index}"), cell


def joined(name: str, parts: Sequence[tuple[str, Graph]]) -> Graph:
    """Graphs of one output as one graph, each reading what the one before wrote.

    Further inputs of a graph are what its cell keeps from run to run: inputs of the whole.

    Args:
        name: of the whole.
        parts: each with the path of its module in the whole.
    """
    tensors: list[TensorSpec] = []
    ops: list[Op] = []
    modules: dict[str, str] = {"": "Sequential"}
    weights: list[int] = []
    inputs: list[int] = []
    last: int | None = None
    for path, graph in parts:
        ids: dict[int, int] = {}
        source = graph.inputs[0]
        if last is not None:
            ids[source] = last
        for spec in graph.tensors:
            if spec.id not in ids:
                ids[spec.id] = len(tensors) + len(ids) - (last is not None)
        for spec in graph.tensors:
            if last is not None and spec.id == source:
                continue
            owner = spec.storage
            storage = tensors[last].storage if last is not None and owner == source else ids[owner]
            qualified = f"{path}.{spec.name}" if spec.is_weight and spec.name else spec.name
            tensors.append(spec._replace(id=ids[spec.id], storage=storage, name=qualified))
        for op in graph.ops:
            ops.append(
                op._replace(
                    inputs=tuple(None if i is None else ids[i] for i in op.inputs),
                    outputs=tuple(ids[i] for i in op.outputs),
                    module=f"{path}.{op.module}" if op.module else path,
                )
            )
        modules.update(_under(path, graph.modules))
        weights += [ids[i] for i in graph.weights]
        inputs += [ids[i] for i in graph.inputs if last is None or i != source]
        (last,) = (ids[i] for i in graph.outputs)
    first = parts[0][1]
    assert last is not None
    return Graph(
        name=name,
        tensors=tuple(tensors),
        ops=tuple(ops),
        inputs=tuple(inputs),
        outputs=(last,),
        batch=first.batch,
        modules=modules,
        weights=tuple(weights),
        rung=first.rung,
        conditions=first.conditions,
    )


def _under(path: str, modules: Mapping[str, str]) -> dict[str, str]:
    return {f"{path}.{name}" if name else path: kind for name, kind in modules.items()}
