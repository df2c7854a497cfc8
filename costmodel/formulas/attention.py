"""Scaled-dot-product attention: softmax(q kᵀ / √d) v.

`attention` is the fused kernel, whose scores stay on chip; `attention_materialised` writes them
out, l x s per head. Causal, grouped-query and windowed attention are settings of the same count.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from costmodel.formulas.cost import Cost, S
from costmodel.formulas.matmul import linear, matmul
from costmodel.formulas.primitives import flops
from costmodel.formulas.registry import (
    Binding,
    Inputs,
    Outputs,
    Textbook,
    bind,
    binds,
    composition,
    formula,
    required,
)
from costmodel.formulas.softmax import SOFTMAX_FLOPS, softmax
from costmodel.graph import Op, TensorSpec

_VASWANI = "Vaswani et al., Attention is all you need (2017), equation 1"


def visible_pairs(l: S, s: S, causal: S) -> S:
    """Pairs (query, key) that are not masked out: query i sees keys 0 … i if causal."""
    import sympy

    square = sympy.Min(l, s)
    beyond = (l - square) * s  # queries behind the last key see all of them
    return (1 - causal) * l * s + causal * (square * (square + 1) / 2 + beyond)


def visible_keys(l: S, s: S, causal: S) -> S:
    """Keys that any query sees."""
    import sympy

    return (1 - causal) * s + causal * sympy.Min(l, s)


@formula(
    "attention",
    kind="attention",
    source=_VASWANI + "; traffic of the fused kernel: Dao et al., FlashAttention (2022), with "
    "keys and values that fit on chip",
    gemm=lambda b, heads, l, s, d, **_: (b * heads, l, s, d),
)
def attention(
    b: S, heads: S, heads_kv: S, l: S, s: S, d: S, d_v: S, causal: S, e_mask: S,
    b_x: S, b_y: S,
) -> Cost:  # fmt: skip
    """Fused scaled-dot-product attention of `heads` query heads over s keys.

    Each visible pair takes d MACs for its score and d_v for its value, one multiplication by
    1/√d and a softmax. Grouped-query attention reads heads_kv key and value heads.
    """
    pairs = visible_pairs(l, s, causal)
    keys = visible_keys(l, s, causal)
    return Cost(
        macs=b * heads * pairs * (d + d_v),
        other_flops=b * heads * pairs * (1 + SOFTMAX_FLOPS),
        bytes_read=(b * heads * l * d + b * heads_kv * keys * (d + d_v) + e_mask) * b_x,
        bytes_written=b * heads * l * d_v * b_y,
    )


@formula("causal_attention", kind="attention", source=_VASWANI + " and section 3.2.3")
def causal_attention(b: S, heads: S, l: S, d: S, b_x: S, b_y: S) -> Cost:
    """Self-attention in which position i sees positions 0 … i: l(l + 1)/2 of l² pairs."""
    return attention.function(
        b=b, heads=heads, heads_kv=heads, l=l, s=l, d=d, d_v=d, causal=1, e_mask=0,
        b_x=b_x, b_y=b_y,
    )  # fmt: skip


@formula(
    "grouped_query_attention",
    kind="attention",
    source="Ainslie et al., GQA: Training generalized multi-query transformer models (2023)",
)
def grouped_query_attention(b: S, heads: S, heads_kv: S, l: S, s: S, d: S, b_x: S, b_y: S) -> Cost:
    """Attention whose heads share heads_kv key and value heads; heads_kv = 1 is multi-query."""
    return attention.function(
        b=b, heads=heads, heads_kv=heads_kv, l=l, s=s, d=d, d_v=d, causal=0, e_mask=0,
        b_x=b_x, b_y=b_y,
    )  # fmt: skip


@formula(
    "window_attention",
    kind="attention",
    source="Liu et al., Swin Transformer (2021), equation 2",
    textbook=Textbook(
        macs=lambda heads, l, window, d, **_: 2 * window * l * heads * d,
        accesses=None,
        citation="Liu et al., Swin Transformer (2021), equation 2, second term",
        difference="one image; the window is M² positions there, and the four projections, "
        "4 l C², are linear layers of their own",
    ),
)
def window_attention(b: S, heads: S, l: S, window: S, d: S, b_x: S, b_y: S) -> Cost:
    """Self-attention inside windows of `window` positions that divide the l positions."""
    return attention.function(
        b=b * l / window, heads=heads, heads_kv=heads, l=window, s=window, d=d, d_v=d,
        causal=0, e_mask=0, b_x=b_x, b_y=b_y,
    )  # fmt: skip


@composition(
    "attention_materialised",
    source=_VASWANI + "; Dao et al., FlashAttention (2022), algorithm 0",
)
def attention_materialised(
    b: S, heads: S, l: S, s: S, d: S, d_v: S, b_x: S, b_y: S
) -> dict[str, Cost]:
    """Attention in three operators: b · heads · l · s scores are written, read, written and read.

    The factor 1/√d is multiplied into the queries' product as it is written.
    """
    many, pairs = b * heads, b * heads * l * s
    scores = matmul.function(b=many, m=l, c_in=d, c_out=s, b_x=b_x, b_y=b_y)
    return {
        "scores": scores + Cost(other_flops=pairs),
        "softmax": softmax.function(m=many * l, c=s, b_x=b_y, b_y=b_y),
        "values": matmul.function(b=many, m=l, c_in=s, c_out=d_v, b_x=b_y, b_y=b_y),
    }


@composition(
    "self_attention",
    source="Vaswani et al., Attention is all you need (2017), section 3.2.2",
    textbook=Textbook(
        macs=lambda l, c, **_: 4 * l * c**2 + 2 * l**2 * c,
        accesses=None,
        citation="Liu et al., Swin Transformer (2021), equation 1, with l = h · w",
        difference="one image",
    ),
)
def self_attention(n: S, heads: S, l: S, c: S, bias: S, b_x: S, b_w: S, b_y: S) -> dict[str, Cost]:
    """A multi-head self-attention block: three projections in, attention, one projection out."""
    attend = attention.function(
        b=n, heads=heads, heads_kv=heads, l=l, s=l, d=c / heads, d_v=c / heads, causal=0, e_mask=0,
        b_x=b_x, b_y=b_y,
    )  # fmt: skip
    return {
        "query, key, value": linear.function(
            m=n * l, c_in=c, c_out=3 * c, bias=bias, b_x=b_x, b_w=b_w, b_y=b_y
        ),
        "attention": attend,
        "projection": linear.function(
            m=n * l, c_in=c, c_out=c, bias=bias, b_x=b_x, b_w=b_w, b_y=b_y
        ),
    }


@composition(
    "linear_attention",
    source="Katharopoulos et al., Transformers are RNNs (2020), equation 6, feature map 7",
)
def linear_attention(
    b: S, heads: S, l: S, s: S, d: S, d_v: S, f: S, b_x: S, b_y: S
) -> dict[str, Cost]:
    """φ(q) (φ(k)ᵀ v) / (φ(q) Σ φ(k)): the cost grows with l + s, not with l · s.

    The feature map φ takes f FLOPs per element; the d x d_v state and the d sums stay on chip.
    """
    many = b * heads
    return {
        "feature map": Cost(other_flops=f * many * (l + s) * d),
        "state": Cost(
            macs=many * s * d * d_v,
            other_flops=many * s * d,
            bytes_read=many * s * (d + d_v) * b_x,
        ),
        "output": Cost(
            macs=many * l * d * d_v + many * l * d,
            other_flops=flops(div=1) * many * l * d_v,
            bytes_read=many * l * d * b_x,
            bytes_written=many * l * d_v * b_y,
        ),
    }


@composition(
    "attention_backward",
    source="Dao et al., FlashAttention (2022), algorithm 4: scores are computed again",
)
def attention_backward(
    b: S, heads: S, heads_kv: S, l: S, s: S, d: S, d_v: S, causal: S, b_x: S, b_y: S
) -> dict[str, Cost]:
    """Gradients of queries, keys and values of fused attention: five products, not two.

    The softmax's gradient is p · (dp - Σ y · dy): the sum runs over the d_v outputs of a row.
    """
    pairs = b * heads * visible_pairs(l, s, causal)
    keys = b * heads_kv * visible_keys(l, s, causal)
    queries = b * heads * l
    return {
        "scores again": Cost(
            macs=pairs * d,
            other_flops=pairs * (1 + SOFTMAX_FLOPS),
            bytes_read=(queries * d + keys * d + queries) * b_x,
        ),
        "value gradient": Cost(
            macs=pairs * d_v,
            bytes_read=queries * d_v * b_x,
            bytes_written=keys * d_v * b_y,
        ),
        "softmax gradient": Cost(
            macs=pairs * d_v,
            other_flops=flops(mul=1, add=1) * (pairs + queries * d_v),
            bytes_read=(keys * d_v + queries * d_v) * b_x,
        ),
        "query gradient": Cost(macs=pairs * d, bytes_written=queries * d * b_y),
        "key gradient": Cost(macs=pairs * d, bytes_written=keys * d * b_y),
    }


@binds(
    "aten::scaled_dot_product_attention",
    "aten::_scaled_dot_product_flash_attention",
    "aten::_scaled_dot_product_flash_attention_for_cpu",
    "aten::_scaled_dot_product_efficient_attention",
    "aten::_scaled_dot_product_cudnn_attention",
)
def bind_attention(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    mask = inputs[3] if len(inputs) > 3 else None
    shape = _shape(op, required(op, inputs, 0, 1, 2))
    return bind("attention", **shape, e_mask=0 if mask is None else mask.distinct)


@binds(
    "aten::_scaled_dot_product_flash_attention_backward",
    "aten::_scaled_dot_product_flash_attention_for_cpu_backward",
    "aten::_scaled_dot_product_efficient_attention_backward",
    "aten::_scaled_dot_product_cudnn_attention_backward",
)
def bind_attention_backward(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    return bind("attention_backward", kind="attention", **_shape(op, required(op, inputs, 1, 2, 3)))


def _shape(op: Op, operands: Sequence[TensorSpec]) -> dict[str, Any]:
    q, k, v = operands
    many = len(q.shape) > 3
    return {
        "b": prod(q.shape[:-3]) if many else prod(q.shape[:-2]),
        "heads": q.shape[-3] if many else 1,
        "heads_kv": k.shape[-3] if many else 1,
        "l": q.shape[-2],
        "s": k.shape[-2],
        "d": q.shape[-1],
        "d_v": v.shape[-1],
        "causal": int(bool(op.attrs.get("is_causal", False))),
    }
