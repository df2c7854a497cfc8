"""Scaled-dot-product attention: softmax(q kᵀ / √d) v, fused so that scores stay on chip."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from costmodel.formulas.cost import Cost, S
from costmodel.formulas.elementwise import SOFTMAX_FLOPS
from costmodel.formulas.registry import Binding, bind, binds, formula
from costmodel.graph import Op, TensorSpec


@formula(
    "attention",
    kind="attention",
    source="Vaswani et al., Attention is all you need (2017), equation 1; "
    "traffic of the fused kernel: Dao et al., FlashAttention (2022), section 3",
    gemm=lambda b, heads, l, s, d, **_: (b * heads, l, s, d),
)
def attention(
    b: S, heads: S, heads_kv: S, l: S, s: S, d: S, d_v: S, causal: S, e_mask: S,  # noqa: E741
    b_x: S, b_y: S,
) -> Cost:  # fmt: skip
    """Fused scaled-dot-product attention of `heads` query heads over s keys.

    Each of the l x s visible pairs takes d MACs for its score and d_v for its value. With
    `causal` query i sees keys 0…i only. Grouped-query attention reads heads_kv key and value heads.
    """
    pairs = l * s - causal * (l * s - l * (l + 1) / 2)
    return Cost(
        macs=b * heads * pairs * (d + d_v),
        other_flops=b * heads * pairs * (1 + SOFTMAX_FLOPS),
        bytes_read=(b * heads * l * d + b * heads_kv * s * (d + d_v) + e_mask) * b_x,
        bytes_written=b * heads * l * d_v * b_y,
    )


@binds("aten::scaled_dot_product_attention")
def bind_attention(
    op: Op, inputs: Sequence[TensorSpec | None], outputs: Sequence[TensorSpec]
) -> Binding:
    q, k, v = inputs[0], inputs[1], inputs[2]
    mask = inputs[3] if len(inputs) > 3 else None
    assert q is not None and k is not None and v is not None
    many = len(q.shape) > 3
    return bind(
        "attention",
        b=prod(q.shape[:-3]) if many else prod(q.shape[:-2]),
        heads=q.shape[-3] if many else 1,
        heads_kv=k.shape[-3] if many else 1,
        l=q.shape[-2],
        s=k.shape[-2],
        d=q.shape[-1],
        d_v=v.shape[-1],
        causal=int(bool(op.attrs.get("is_causal", False))),
        e_mask=0 if mask is None else mask.distinct,
    )
