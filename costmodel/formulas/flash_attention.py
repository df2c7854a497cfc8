"""FlashAttention: main-memory traffic of exact attention as a function of on-chip memory.

Scores are computed block by block and never written. What is read again and again shrinks as the
blocks grow, so traffic falls with on-chip memory M: Θ(l² d² / M) elements against Θ(l d + l²) of
materialised scores. The arithmetic is that of `attention`.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.formulas.attention import attention
from costmodel.formulas.cost import Cost, S
from costmodel.formulas.registry import Textbook, formula


class Blocks(NamedTuple):
    """Rows of queries and of keys that are on chip together."""

    queries: S
    keys: S


def blocks(on_chip: S, d: S, b_x: S) -> Blocks:
    """Algorithm 1, line 1: ⌈M/4d⌉ keys by min(⌈M/4d⌉, d) queries, with M in elements."""
    import sympy

    keys = sympy.ceiling(on_chip / b_x / (4 * d))
    return Blocks(sympy.Min(keys, d), keys)


@formula(
    "flash_attention",
    kind="attention",
    source="Dao et al., FlashAttention (2022), algorithm 1",
    textbook=Textbook(
        macs=lambda l, d, **_: 2 * l**2 * d,
        accesses=lambda l, d, on_chip, b_x, **_: l**2 * d**2 * b_x / on_chip,
        citation="Dao et al., FlashAttention (2022), theorem 2, for one head",
        difference="an order of growth: constant factors, and terms that grow with l only, are "
        "left out",
    ),
)
def flash_attention(b: S, heads: S, l: S, d: S, on_chip: S, b_x: S, b_y: S) -> Cost:
    """Self-attention with keys in the outer loop: queries and outputs pass once per key block.

    Every pass reads queries, outputs and two running statistics per row, and writes the latter
    two back; they are initialised in main memory before. All are b_x bytes, the output b_y.
    """
    import sympy

    passes = sympy.ceiling(l / blocks(on_chip, d, b_x).keys)
    rows = b * heads * l
    work = attention.function(
        b=b, heads=heads, heads_kv=heads, l=l, s=l, d=d, d_v=d, causal=0, e_mask=0,
        b_x=b_x, b_y=b_y,
    )  # fmt: skip
    return Cost(
        macs=work.macs,
        other_flops=work.other_flops,
        bytes_read=rows * (2 * d + passes * (d + 2)) * b_x + rows * passes * d * b_y,
        bytes_written=rows * (1 + passes) * (d * b_y + 2 * b_x),
    )


@formula(
    "flash_attention_2",
    kind="attention",
    source="Dao, FlashAttention-2 (2023), algorithm 1, with the blocks of FlashAttention (2022)",
)
def flash_attention_2(b: S, heads: S, l: S, d: S, on_chip: S, b_x: S, b_y: S) -> Cost:
    """Self-attention with queries in the outer loop: keys and values pass once per query block.

    Outputs and one statistic per row (the log of the sum of exponentials) are written once.
    """
    import sympy

    passes = sympy.ceiling(l / blocks(on_chip, d, b_x).queries)
    rows = b * heads * l
    work = attention.function(
        b=b, heads=heads, heads_kv=heads, l=l, s=l, d=d, d_v=d, causal=0, e_mask=0,
        b_x=b_x, b_y=b_y,
    )  # fmt: skip
    return Cost(
        macs=work.macs,
        other_flops=work.other_flops,
        bytes_read=rows * (d + passes * 2 * d) * b_x,
        bytes_written=rows * (d * b_y + b_x),
    )
