"""Batch norms folded into the layer before them, on the graph.

`passes.folding` does it to a PyTorch module; this needs no module, so it holds for a graph from
any front end. Both take a batch norm in evaluation mode whose input is the output of a convolution
or linear layer and goes nowhere else, and leave a layer with a bias.
"""

from __future__ import annotations

from costmodel.changes.rewriting import Rewriter
from costmodel.graph import Graph, Op

NORMS = frozenset(
    f"aten::{name}"
    for name in (
        "batch_norm",
        "native_batch_norm",
        "_native_batch_norm_legit",
        "_native_batch_norm_legit_no_training",
        "cudnn_batch_norm",
    )
)


def fold_norms(graph: Graph) -> tuple[Graph, int]:
    """The graph without the batch norms that fold, and how many those are."""
    folds = _folds(graph)
    norms = set(folds.values())
    rewriter = Rewriter(graph)
    weight_of_name = {graph.tensors[index].name: index for index in graph.weights}
    for index, op in enumerate(graph.ops):
        if index in folds:
            norm = graph.ops[folds[index]]
            _, scale, shift, mean, variance = norm.inputs[:5]
            x, weight, bias = (*op.inputs, None)[:3]
            if bias is not None:
                rewriter.release([shift])
            elif shift is None:
                spec = graph.tensors[norm.outputs[0]]
                bias = rewriter.weight(f"{op.module}.bias", (spec.shape[1],), spec.dtype)
            rewriter.release([scale, mean, variance, *_counters(graph, mean, weight_of_name)])
            rewriter.restride(norm.outputs[0], graph.tensors[op.outputs[0]].strides)
            inputs = (x, weight, shift if bias is None else bias)
            rewriter.ops.append(op._replace(inputs=inputs, outputs=norm.outputs[:1]))
        elif index not in norms:
            rewriter.ops.append(op)
    return rewriter.graph(), len(norms)


def _folds(graph: Graph) -> dict[int, int]:
    """Index of each layer that takes a batch norm in, to the index of that batch norm."""
    makers: dict[int, int] = {}
    readers: dict[int, list[int]] = {}
    for index, op in enumerate(graph.ops):
        for tensor in op.inputs:
            if tensor is not None:
                readers.setdefault(graph.tensors[tensor].storage, []).append(index)
        if _foldable(graph, op):
            makers[op.outputs[0]] = index
    kept = {graph.tensors[output].storage for output in graph.outputs}
    found = {}
    for index, op in enumerate(graph.ops):
        x = op.inputs[0] if op.target in NORMS and not op.attrs.get("training", False) else None
        if x in makers and len(op.inputs) >= 5 and op.inputs[3] is not None:
            storage = graph.tensors[x].storage
            if storage == x and readers[storage] == [index] and storage not in kept:
                found[makers[x]] = index
    return found


def _foldable(graph: Graph, op: Op) -> bool:
    if op.target == "aten::convolution":
        return not op.attrs.get("transposed", False)
    return op.target == "aten::linear" and len(graph.tensors[op.outputs[0]].shape) == 2


def _counters(graph: Graph, mean: int | None, weight_of_name: dict[str, int]) -> list[int]:
    """The batch counter that a norm's buffers go with, which no operator reads."""
    if mean is None:
        return []
    owner = graph.tensors[mean].name.rpartition(".")[0]
    counter = weight_of_name.get(f"{owner}.num_batches_tracked".lstrip("."))
    return [] if counter is None else [counter]
