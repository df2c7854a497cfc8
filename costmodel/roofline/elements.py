"""Elements that an operator computes one by one, by what an element costs a general core.

A multiply-add on vector registers is cheap; an exponential is a polynomial, a normalisation
gathers statistics in dependent steps, and a copy into another order cannot use whole registers.
GPUs hide such work behind memory; CPUs do not.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.formulas.pooling import window_size
from costmodel.graph import Graph, Op


class Elements(NamedTuple):
    """How many elements of each sort, at the traced batch."""

    plain: float = 0.0
    """Sums, products, comparisons, and all others."""
    exponential: float = 0.0
    """Exponentials, logarithms and what is made of them: sigmoid, tanh, softmax."""
    error_function: float = 0.0
    """The error function, as in GELU."""
    normalized: float = 0.0
    """Elements whose row is brought to zero mean and unit variance."""
    moved: float = 0.0
    """Copies into another order or place."""
    compared: float = 0.0
    """Pixels that the windows of a maximum look at, in planar images outside generated code."""
    summed: float = 0.0
    """The same for the windows of a mean."""


def _named(names: str) -> frozenset[str]:
    return frozenset(f"aten::{name}" for name in names.split())


_SORTS = {
    "exponential": _named(
        "exp log pow sigmoid silu tanh softplus mish elu selu celu softmax _softmax log_softmax "
        "_log_softmax log_sigmoid_forward"
    ),
    "error_function": _named("gelu erf"),
    "normalized": _named(
        "layer_norm native_layer_norm group_norm native_group_norm var_mean rms_norm "
        "native_batch_norm"
    ),
    "moved": _named(
        "clone copy cat stack roll constant_pad_nd index index_select gather contiguous im2col "
        "select_scatter slice_scatter repeat pixel_shuffle pixel_unshuffle channel_shuffle flip"
    ),
}

_WINDOWS = {
    "aten::max_pool2d": "compared",
    "aten::max_pool2d_with_indices": "compared",
    "aten::avg_pool2d": "summed",
}
"""Whose windows a library visits pixel by pixel, unless channels are innermost: then a register
holds as many channels as fit (max_pool2d and avg_pool2d in ATen/native/cpu)."""

_SORT_OF = {target: sort for sort, targets in _SORTS.items() for target in targets}


def elements_of(graph: Graph, op: Op) -> Elements:
    """Elements of one operator, or of all that a fused operator stands for."""
    if not op.outputs:
        return Elements()
    if (sort := _WINDOWS.get(op.target)) is not None and not _is_channels_last(graph, op):
        visits = graph.tensors[op.outputs[0]].numel * window_size(op, 2)
        return Elements(**{sort: float(visits)})
    targets = op.attrs.get("operators", (op.target,))
    sizes = op.attrs.get("elements") or [float(graph.tensors[op.outputs[0]].numel)] * len(targets)
    found = dict.fromkeys(Elements._fields, 0.0)
    for target, size in zip(targets, sizes, strict=True):
        found[_SORT_OF.get(target, "plain")] += float(size)
    return Elements(**found)


def _is_channels_last(graph: Graph, op: Op) -> bool:
    image = graph.tensors[op.inputs[0] or 0]
    return len(image.shape) == 4 and image.strides is not None and image.strides[1] == 1
