"""Partial convolutions (PConv) in the place of dense or depthwise ones, on the graph.

Source: "Run, Don't Walk: Chasing Higher FLOPS for Faster Neural Networks" (FasterNet). PConv
convolves a quarter of the channels and passes the others on. A pointwise convolution behind it
mixes the channels: a dense convolution is replaced by both, a depthwise one by PConv alone, since
pointwise convolutions stand next to it anyway. The result computes another function and has to be
trained; what it costs is predicted as of any graph.
"""

from __future__ import annotations

from typing import Literal

from costmodel.changes.rewriting import Rewriter
from costmodel.graph import Graph, Op

RATIO = 4
"""One channel in so many is convolved."""

Which = Literal["dense", "depthwise"]


def replace_by_partial(graph: Graph, which: Which, ratio: int = RATIO) -> tuple[Graph, int, int]:
    """The graph with partial convolutions, how many were replaced, and of how many of their kind.

    Only convolutions over more than one pixel that keep the image and the number of channels can
    be replaced. The partial convolution writes in place; where its input is needed again, a copy
    is made first.

    Args:
        graph: a traced model.
        which: "dense" or "depthwise" convolutions.
        ratio: one channel in so many is convolved.
    """
    rewriter = Rewriter(graph)
    replaced = total = 0
    for index, op in enumerate(graph.ops):
        if not _is(graph, op, which):
            rewriter.ops.append(op)
            continue
        total += 1
        if _replaceable(graph, op, ratio):
            replaced += 1
            _replace(rewriter, index, op, which, ratio)
        else:
            rewriter.ops.append(op)
    return rewriter.graph(), replaced, total


def _is(graph: Graph, op: Op, which: Which) -> bool:
    if op.target != "aten::convolution" or op.attrs.get("transposed", False):
        return False
    weight = graph.tensors[op.inputs[1] or 0]
    if len(weight.shape) != 4 or weight.shape[2] * weight.shape[3] == 1 or not weight.is_weight:
        return False
    x = graph.tensors[op.inputs[0] or 0]
    if x.distinct < graph.tensors[x.storage].distinct:
        return False  # partial already: it works on some channels of a larger tensor
    groups = op.attrs.get("groups", 1)
    return bool(groups == 1 if which == "dense" else groups == weight.shape[0] > 1)


def _replaceable(graph: Graph, op: Op, ratio: int) -> bool:
    x, y = graph.tensors[op.inputs[0] or 0], graph.tensors[op.outputs[0]]
    dilated = any(step != 1 for step in op.attrs.get("dilation", ()))
    return len(x.shape) == 4 and x.shape == y.shape and x.shape[1] >= 2 * ratio and not dilated


def _replace(rewriter: Rewriter, index: int, op: Op, which: Which, ratio: int) -> None:
    graph = rewriter.source
    old, weight, bias = (*op.inputs, None)[:3]
    assert old is not None
    assert weight is not None
    x, spec = rewriter.tensors[old], graph.tensors[weight]
    if rewriter.used_after(old, index):
        copy = rewriter.activation(x)
        rewriter.ops.append(Op("aten::clone", (old,), (copy,), {}, op.module))
        x = rewriter.tensors[copy]
    n, channels, h, w = x.shape
    part, kernel = channels // ratio, spec.shape[2:]
    shape = (n, part, h, w)

    taps = rewriter.weight(f"{op.module}.partial.weight", (part, part, *kernel), spec.dtype)
    active = rewriter.activation(x, shape, storage=x.storage)
    convolved = rewriter.activation(x, shape)
    written = rewriter.activation(x, shape, storage=x.storage)
    rewriter.ops += [
        Op("aten::slice", (x.id,), (active,), {}, op.module, is_view=True),
        op._replace(
            inputs=(active, taps, None), outputs=(convolved,), attrs={**op.attrs, "groups": 1}
        ),
        Op("aten::copy", (active, convolved), (written,), {}, op.module),
    ]
    y = op.outputs[0]
    if which == "depthwise":
        rewriter.move(y, x.storage)
        rewriter.restride(y, x.strides)
        rewriter.ops.append(Op("aten::alias", (x.id, written), (y,), {}, op.module, is_view=True))
    else:
        whole = rewriter.activation(x, storage=x.storage)
        square = (channels, channels, 1, 1)
        mixing = rewriter.weight(f"{op.module}.pointwise.weight", square, spec.dtype)
        attrs = {**op.attrs, "groups": 1, "padding": [0, 0]}
        rewriter.ops += [
            Op("aten::alias", (x.id, written), (whole,), {}, op.module, is_view=True),
            op._replace(inputs=(whole, mixing, bias), attrs=attrs),
        ]
    rewriter.release([weight] if which == "dense" else [weight, bias])
