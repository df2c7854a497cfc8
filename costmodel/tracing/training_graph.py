"""What a recorded training step needs before it is a graph like any other.

Three passes. Sizes: values that depend on the input are everywhere in a training step, but only
some sizes follow the batch (activations do, gradients of parameters do not); a second trace at
another batch tells them apart. Memory: autograd hands gradients over and adds them up in place
where nobody else holds them, which a recording that holds everything cannot show. Kernels: the
gradients of one convolution are computed one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from costmodel.graph import Graph, Op
from costmodel.tracing.training_recorder import ACCUMULATES, HANDED_OVER


def batched_sizes(graph: Graph, other: Graph) -> Graph:
    """The graph with `batched` stating whether a tensor's size follows the batch.

    Args:
        graph: a step whose `batched` says that values depend on the input.
        other: the same step at another batch size.
    """
    if [op.target for op in graph.ops] != [op.target for op in other.ops]:
        note = (
            "the operators change with the batch size, so that what grows with it is known only "
            "by dataflow: memory and time at other batches than the traced one are uncertain"
        )
        assumptions = [*graph.conditions.get("assumptions", ()), note]
        return replace(graph, conditions={**graph.conditions, "assumptions": assumptions})
    tensors = tuple(
        spec._replace(batched=spec.shape != elsewhere.shape)
        for spec, elsewhere in zip(graph.tensors, other.tensors, strict=True)
    )
    return replace(graph, tensors=tensors)


def reused_memory(graph: Graph) -> Graph:
    """The graph with the storages of gradients as autograd reuses them."""
    last: dict[int, int] = {}
    for index, op in enumerate(graph.ops):
        for tensor in op.inputs:
            if tensor is not None:
                last[graph.tensors[tensor].storage] = index
    for tensor in graph.outputs:
        last[graph.tensors[tensor].storage] = len(graph.ops)
    owner: dict[int, int] = {}
    for index, op in enumerate(graph.ops):
        if not (op.attrs.get(HANDED_OVER) or op.attrs.get(ACCUMULATES)):
            continue
        first, result = op.inputs[0], graph.tensors[op.outputs[0]]
        if first is None:
            continue
        source = graph.tensors[first]
        fits = source.shape == result.shape and source.dtype == result.dtype
        held = _at(owner, source.storage)
        if op.attrs.get(HANDED_OVER) or (fits and last.get(held, -1) <= index):
            owner[result.storage] = held
            last[held] = max(last.get(held, -1), last.get(result.storage, -1))
    tensors = tuple(spec._replace(storage=_at(owner, spec.storage)) for spec in graph.tensors)
    return replace(graph, tensors=tensors)


def split_gradients(graph: Graph) -> Graph:
    """The graph with each gradient of a convolution as an operator of its own.

    The framework calls one operator for all; libraries run a kernel for each.
    """
    ops: list[Op] = []
    for op in graph.ops:
        mask = tuple(op.attrs.get("output_mask", ()))
        if op.target != "aten::convolution_backward" or sum(mask) < 2:
            ops.append(op)
            continue
        places = [place for place, wanted in enumerate(mask) if wanted]
        for place, output in zip(places, op.outputs, strict=True):
            alone = [place == other for other in range(len(mask))]
            ops.append(op._replace(outputs=(output,), attrs={**op.attrs, "output_mask": alone}))
    return replace(graph, ops=tuple(ops))


def _at(owner: Mapping[int, int], storage: int) -> int:
    while storage in owner:
        storage = owner[storage]
    return storage
