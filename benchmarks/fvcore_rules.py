"""The multiply-accumulates that fvcore counts, worked out from one of our graphs.

fvcore 0.1.5 counts what its table of handles knows and nothing else (fvcore/nn/flop_count.py,
`_DEFAULT_SUPPORTED_OPS`, and jit_handles.py); one multiply-accumulate is its "flop". By kind:

products      convolution, linear, matmul, mm, bmm, addmm, einsum: their multiply-accumulates
norms         batch norm with stored statistics 2 per element, 1 without weights; every other norm,
              and batch norm with statistics of its own, 5, and 4 without weights; RMS norm none
pooling       adaptive average pooling in 2-D: 1 per element of its input
resizing      bilinear 4 per element of its output, nearest 1; bicubic none
attention     both products, as fvcore sees them where timm computes attention from its parts

Not counted, having no handle: convolutions whose padding is a word (`aten::_convolution_mode`),
recurrent layers (`aten::lstm`), baddbmm, pooling of any other kind, activations, softmax and
everything elementwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from costmodel.formulas.columns import columns_of
from costmodel.graph import Graph, Op

PRODUCTS = frozenset(
    {"convolution", "_convolution", "linear", "matmul", "mm", "bmm", "addmm", "einsum"}
)
STORED_STATISTICS = frozenset({"batch_norm"})
OWN_STATISTICS = frozenset(
    {
        "native_batch_norm", "_native_batch_norm_legit", "layer_norm", "native_layer_norm",
        "group_norm", "native_group_norm", "instance_norm",
    }
)  # fmt: skip
RESIZING: Mapping[str, int] = {"upsample_bilinear2d": 4, "upsample_nearest2d": 1}


class Modules(NamedTuple):
    """Names of modules of which fvcore sees more than a graph shows."""

    unknown: frozenset[str] = frozenset()
    """Convolutions padded "same" or "valid", and recurrent layers: nothing in them is counted."""
    pooled_to_one: frozenset[str] = frozenset()
    """Adaptive average pooling, of which a graph shows a mean where a single value remains."""


NOTHING_TOLD = Modules()


def told_by(model: Any) -> Modules:
    """The modules of a network that `fvcore_macs` needs to know."""
    from torch import nn

    modules = dict(model.named_modules())
    return Modules(
        frozenset(name for name, module in modules.items() if _is_unknown(module)),
        frozenset(n for n, module in modules.items() if isinstance(module, nn.AdaptiveAvgPool2d)),
    )


def _is_unknown(module: Any) -> bool:
    from torch import nn
    from torch.nn.modules.conv import _ConvNd

    by_word = isinstance(module, _ConvNd) and isinstance(module.padding, str)
    return by_word or isinstance(module, nn.RNNBase)


def fvcore_macs(graph: Graph, modules: Modules = NOTHING_TOLD) -> dict[str, float]:
    """Counts of a forward pass by kind, which sum to what fvcore would say."""
    columns = columns_of(graph)
    macs = np.asarray(columns.evaluate().cost.macs, dtype=float)
    found: Counter[str] = Counter()
    for op, row in zip(graph.ops, columns.row_of_op, strict=True):
        name = op.target.removeprefix("aten::")
        if op.module in modules.unknown:
            continue
        if name in PRODUCTS:
            found["products"] += macs[row]
        elif name == "scaled_dot_product_attention":
            found["attention"] += _attention(graph, op)
        elif name in STORED_STATISTICS:
            found["norms"] += (2 if _has_weights(op) else 1) * _input(graph, op)
        elif name in OWN_STATISTICS:
            found["norms"] += (5 if _has_weights(op) else 4) * _input(graph, op)
        elif name == "_adaptive_avg_pool2d" or (
            name == "mean" and op.module in modules.pooled_to_one
        ):
            found["pooling"] += _input(graph, op)
        elif name in RESIZING:
            found["resizing"] += RESIZING[name] * graph.outputs_of(op)[0].numel
    return {kind: float(count) for kind, count in found.items()}


def _has_weights(op: Op) -> bool:
    return len(op.inputs) > 1 and op.inputs[1] is not None


def _input(graph: Graph, op: Op) -> float:
    x = graph.inputs_of(op)[0]
    assert x is not None
    return float(x.numel)


def _attention(graph: Graph, op: Op) -> float:
    """Both products, of every query with every key: no mask saves anything."""
    query, key, value = (spec for spec in graph.inputs_of(op)[:3] if spec is not None)
    rows = float(np.prod(query.shape[:-1]))
    return rows * key.shape[-2] * (query.shape[-1] + value.shape[-1])
