"""Every other family against loops that do the work on tiny shapes and count it."""

from __future__ import annotations

import math
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.formulas import get_formula
from costmodel.formulas.einsum import contraction_points
from costmodel.formulas.flash_attention import blocks
from costmodel.formulas.pooling import adaptive_elements
from costmodel.formulas.primitives import PRIMITIVE_FLOPS

BYTES = {"b_x": 2, "b_w": 3, "b_y": 5, "b_i": 7}
"""Four widths that no product confuses."""

small = st.integers(1, 4)
tiny = st.integers(1, 3)
few = settings(max_examples=40, deadline=None)


def cost_of(name, **values):
    formula = get_formula(name)
    return formula(**values, **{k: v for k, v in BYTES.items() if k in formula.symbols})


# ------------------------------------------------------------ matrix products


@few
@given(small, small, small, st.integers(0, 1))
def test_linear(m, c_in, c_out, bias):
    macs = other = 0
    for _, _ in product(range(m), range(c_out)):
        macs += sum(1 for _ in range(c_in))
        other += bias
    cost = cost_of("linear", m=m, c_in=c_in, c_out=c_out, bias=bias)
    parameters = len(list(product(range(c_out), range(c_in)))) + bias * c_out
    assert (cost.macs, cost.other_flops, cost.parameters) == (macs, other, parameters)
    assert cost.bytes_read == 2 * m * c_in + 3 * parameters
    assert cost.weight_bytes == 3 * parameters
    assert cost.bytes_written == 5 * m * c_out
    assert get_formula("linear").gemm(m, c_in, c_out, bias, 1, 1, 1) == [1, m, c_out, c_in]


@few
@given(small, small, small, small)
def test_matmul(b, m, c_in, c_out):
    left, right, macs = set(), set(), 0
    for i, row, column, inner in product(range(b), range(m), range(c_out), range(c_in)):
        macs += 1
        left.add((i, row, inner))
        right.add((i, inner, column))
    cost = cost_of("matmul", b=b, m=m, c_in=c_in, c_out=c_out)
    assert cost.macs == macs
    assert cost.bytes_read == 2 * (len(left) + len(right))
    assert cost.bytes_written == 5 * b * m * c_out
    assert (cost.other_flops, cost.weight_bytes, cost.parameters) == (0, 0, 0)
    assert get_formula("matmul").gemm(b, m, c_in, c_out, 1, 1) == [b, m, c_out, c_in]


@pytest.mark.parametrize(
    ("equation", "sizes"),
    [
        ("ij,jk->ik", "i2j3k4"),
        ("bhqd,bhkd->bhqk", "b2h3q4k5d6"),
        ("i,i->", "i7"),
        ("i,j->ij", "i3j4"),
        ("ij,j->i", "i3j4"),
        ("ij->ji", "i3j4"),
        ("ii->i", "i3"),
        ("ij,jk,kl->il", "i2j3k4l5"),
        ("ab,ac,ad->bcd", "a2b3c4d5"),
        ("ij,kj,j->ik", "i2j3k4"),
    ],
)
def test_einsum(equation, sizes):
    size = dict(zip(sizes[::2], map(int, sizes[1::2]), strict=True))
    left, _, output = equation.partition("->")
    operands = left.split(",")
    shapes = [tuple(size[i] for i in indices) for indices in operands]
    macs, carried = 0, set(operands[0])
    if len(operands) == 1:
        macs = sum(1 for _ in product(*(range(size[i]) for i in sorted(carried))))
    for step, indices in enumerate(operands[1:], 2):
        space = carried | set(indices)
        macs += sum(1 for _ in product(*(range(size[i]) for i in sorted(space))))
        carried = space & (set(output) | set("".join(operands[step:])))
    assert contraction_points(equation, shapes) == macs
    cost = cost_of("einsum", e_x=11, e_w=13, e_y=17, points=macs)
    assert (cost.macs, cost.bytes_read, cost.bytes_written) == (macs, 22 + 39, 85)
    assert cost.weight_bytes == 39


def test_einsum_as_numpy_contracts_it():
    # NumPy reports the multiplications of its own path: here the naive one has 3 factors.
    arrays = [np.ones((2, 3)), np.ones((3, 4)), np.ones((4, 5))]
    report = np.einsum_path("ij,jk,kl->il", *arrays, optimize=[
        "einsum_path", (0, 1), (0, 1)])[1]  # fmt: skip
    optimized = next(line for line in report.splitlines() if "Optimized FLOP" in line)
    flops = float(optimized.split(":")[1])
    points = contraction_points("ij,jk,kl->il", [a.shape for a in arrays])
    assert points == 2 * 3 * 4 + 2 * 4 * 5
    assert flops == pytest.approx(2 * points, abs=1)


# ------------------------------------------------------------------ attention


SCORE = 1 + PRIMITIVE_FLOPS["compare"] + 2 + PRIMITIVE_FLOPS["exp"] + PRIMITIVE_FLOPS["div"]
"""Scale, maximum, subtract, exponential, sum, divide."""


@few
@given(tiny, tiny, tiny, small, st.integers(1, 6), tiny, tiny, st.booleans(), st.integers(0, 9))
def test_attention(b, share, heads_kv, l, s, d, d_v, causal, e_mask):
    heads = share * heads_kv
    macs = pairs = 0
    keys = set()
    for batch, head, query, key in product(range(b), range(heads), range(l), range(s)):
        if causal and key > query:
            continue
        pairs += 1
        macs += d + d_v
        keys.add((batch, head // share, key))
    cost = cost_of(
        "attention", b=b, heads=heads, heads_kv=heads_kv, l=l, s=s, d=d, d_v=d_v,
        causal=int(causal), e_mask=e_mask,
    )  # fmt: skip
    assert cost.macs == macs
    assert cost.other_flops == SCORE * pairs
    assert cost.bytes_read == 2 * (b * heads * l * d + len(keys) * (d + d_v) + e_mask)
    assert cost.bytes_written == 5 * b * heads * l * d_v
    gemm = get_formula("attention").gemm(b, heads, heads_kv, l, s, d, d_v, 0, 0, 1, 1)
    assert gemm == [b * heads, l, s, d]
    backward = cost_of(
        "attention_backward", b=b, heads=heads, heads_kv=heads_kv, l=l, s=s, d=d, d_v=d_v,
        causal=int(causal),
    )  # fmt: skip
    # Scores again, then dv = pᵀ do, dp = do vᵀ, dq = ds k, dk = dsᵀ q.
    assert backward.macs == pairs * (d + d_v + d_v + d + d)
    # Σ y dy over each row's outputs, then p (dp - Σ).
    queries = b * heads * l
    assert backward.other_flops == pairs * (SCORE + 2) + 2 * queries * d_v
    # q, k, v, the output and its gradient, one statistic per row.
    assert backward.bytes_read == 2 * (queries * (d + 1 + 2 * d_v) + len(keys) * (d + d_v))
    assert backward.bytes_written == 5 * (queries * d + len(keys) * (d + d_v))


@few
@given(tiny, tiny, small, tiny)
def test_causal_attention_sees_half(b, heads, l, d):
    pairs = sum(1 for q in range(l) for k in range(l) if k <= q)
    cost = cost_of("causal_attention", b=b, heads=heads, l=l, d=d)
    assert cost.macs == b * heads * pairs * 2 * d
    assert cost.bytes_read == 2 * b * heads * 3 * l * d
    assert cost.bytes_written == 5 * b * heads * l * d


FULL = {"heads": 6, "l": 8, "d": 3}


def test_one_window_is_full_attention():
    full = cost_of("attention", b=2, heads_kv=6, s=8, d_v=3, causal=0, e_mask=0, **FULL)
    assert cost_of("window_attention", b=2, window=8, **FULL) == full


def test_windows_attend_only_inside():
    cost = cost_of("window_attention", b=2, window=4, **FULL)
    pairs = sum(1 for q, k in product(range(8), range(8)) if q // 4 == k // 4)
    assert cost.macs == 2 * 6 * pairs * 2 * 3
    assert cost.bytes_read == 2 * 3 * (2 * 6 * 8 * 3)
    book = get_formula("window_attention").textbook.macs
    assert cost.macs == 2 * book(window=4, **FULL)


def test_as_many_key_heads_as_heads_is_full_attention():
    full = cost_of("attention", b=2, heads_kv=6, s=5, d_v=3, causal=0, e_mask=0, **FULL)
    shared = cost_of("grouped_query_attention", b=2, heads_kv=6, s=5, **FULL)
    multi_query = cost_of("grouped_query_attention", b=2, heads_kv=1, s=5, **FULL)
    assert shared == full
    assert multi_query.macs == full.macs
    assert full.bytes_read - multi_query.bytes_read == 2 * 2 * 5 * 5 * 2 * 3


@few
@given(tiny, tiny, small, small, tiny, tiny)
def test_materialised_attention_writes_its_scores(b, heads, l, s, d, d_v):
    macs = pairs = 0
    for _ in product(range(b), range(heads), range(l), range(s)):
        macs += d + d_v
        pairs += 1
    cost = cost_of("attention_materialised", b=b, heads=heads, l=l, s=s, d=d, d_v=d_v)
    many = b * heads
    assert cost.macs == macs
    assert cost.other_flops == SCORE * pairs
    # q and k; scores in; weights and v in. Scores, weights and result out.
    assert cost.bytes_read == 2 * many * (l + s) * d + 5 * (2 * pairs + many * s * d_v)
    assert cost.bytes_written == 5 * (2 * pairs + many * l * d_v)


def test_self_attention_is_the_papers_sum():
    parts = get_formula("self_attention").parts(
        n=2, heads=3, l=7, c=12, bias=1, b_x=2, b_w=3, b_y=5
    )
    assert [cost.macs for cost in parts.values()] == [2 * 7 * 3 * 144, 2 * 2 * 49 * 12, 2 * 7 * 144]
    assert [cost.parameters for cost in parts.values()] == [3 * 144 + 36, 0, 144 + 12]
    book = get_formula("self_attention").textbook.macs(l=7, c=12)
    assert sum(cost.macs for cost in parts.values()) == 2 * book
    assert parts["attention"].bytes_written == 5 * 2 * 7 * 12
    assert parts["attention"].bytes_read == 2 * 3 * 2 * 7 * 12


@few
@given(tiny, tiny, small, small, tiny, tiny, st.integers(0, 3))
def test_linear_attention(b, heads, l, s, d, d_v, f):
    macs = other = 0
    for _ in range(b * heads):
        other += f * (l + s) * d
        for _ in range(s):
            for _ in range(d):
                other += 1  # the sum of keys
                macs += sum(1 for _ in range(d_v))
        for _ in range(l):
            macs += d  # the divisor
            for _ in range(d_v):
                macs += sum(1 for _ in range(d))
                other += PRIMITIVE_FLOPS["div"]
    cost = cost_of("linear_attention", b=b, heads=heads, l=l, s=s, d=d, d_v=d_v, f=f)
    assert (cost.macs, cost.other_flops) == (macs, other)
    assert cost.bytes_read == 2 * b * heads * (s * (d + d_v) + l * d)
    assert cost.bytes_written == 5 * b * heads * l * d_v


def flash_loop(l, d, on_chip, b_x):
    """Algorithm 1 of FlashAttention: (elements of width b_x read, of b_y read, written each)."""
    memory = on_chip / b_x
    b_c = math.ceil(memory / (4 * d))
    b_r = min(b_c, d)
    read = out_read = 0
    written, out_written = 2 * l, l * d  # line 2: l, m and O start in memory
    for first in range(0, l, b_c):
        keys = min(b_c, l - first)
        read += 2 * keys * d
        for row in range(0, l, b_r):
            rows = min(b_r, l - row)
            read += rows * d + 2 * rows
            out_read += rows * d
            written += 2 * rows
            out_written += rows * d
    return read, out_read, written, out_written


@few
@given(st.integers(1, 2), tiny, st.integers(1, 40), st.integers(1, 6), st.integers(8, 400))
def test_flash_attention(b, heads, l, d, on_chip):
    read, out_read, written, out_written = flash_loop(l, d, on_chip, 2)
    cost = cost_of("flash_attention", b=b, heads=heads, l=l, d=d, on_chip=on_chip)
    assert cost.bytes_read == b * heads * (2 * read + 5 * out_read)
    assert cost.bytes_written == b * heads * (2 * written + 5 * out_written)
    plain = cost_of(
        "attention", b=b, heads=heads, heads_kv=heads, l=l, s=l, d=d, d_v=d, causal=0, e_mask=0
    )
    second = cost_of("flash_attention_2", b=b, heads=heads, l=l, d=d, on_chip=on_chip)
    for flash in (cost, second):
        assert (flash.macs, flash.other_flops) == (plain.macs, plain.other_flops)
    rows, passes = int(blocks(on_chip, d, 2).queries), 0
    for _ in range(0, l, rows):
        passes += 1
    assert second.bytes_read == b * heads * 2 * (l * d + passes * 2 * l * d)
    assert second.bytes_written == b * heads * (5 * l * d + 2 * l)


def test_flash_attention_traffic_falls_with_on_chip_memory():
    # Theorem 2: Θ(l² d² / M): half the memory, about twice the traffic, once M is small.
    values = {"b": 1, "heads": 1, "l": 2**16, "d": 64}
    traffic = [cost_of("flash_attention", on_chip=2**e, **values).bytes for e in (15, 16, 17)]
    assert traffic[0] / traffic[1] == pytest.approx(2, rel=0.02)
    assert traffic[1] / traffic[2] == pytest.approx(2, rel=0.02)
    book = get_formula("flash_attention").textbook
    assert book.accesses(l=8, d=4, on_chip=32, b_x=2) == 64 * 16 * 2 / 32
    assert book.macs(l=8, d=4) == 2 * 64 * 4


# ----------------------------------------------------- rows, planes, elements


@few
@given(small, small)
def test_softmax(m, c):
    forward, backward = cost_of("softmax", m=m, c=c), cost_of("softmax_backward", m=m, c=c)
    assert forward.other_flops == (SCORE - 1) * m * c
    assert (forward.bytes_read, forward.bytes_written) == (2 * m * c, 5 * m * c)
    # Σ y dy (2), then y (dy - Σ) (2)
    assert backward.other_flops == 4 * m * c
    assert (backward.bytes_read, backward.bytes_written) == (4 * m * c, 5 * m * c)
    forward, backward = cost_of("log_softmax", m=m, c=c), cost_of("log_softmax_backward", m=m, c=c)
    assert forward.other_flops == m * c * (1 + 1 + 8 + 1 + 1) + 8 * m
    assert (forward.bytes_read, forward.bytes_written) == (2 * m * c, 5 * m * c)
    assert backward.other_flops == m * c * (1 + 8 + 1 + 1)
    assert (backward.bytes_read, backward.bytes_written) == (4 * m * c, 5 * m * c)


@few
@given(tiny, tiny, small, st.integers(0, 1))
def test_norms(n, c, p, affine):
    elements = n * c * p
    inference = cost_of("batch_norm", n=n, c=c, p=p, affine=affine)
    # Per channel: add ε, root, reciprocal, times the mean; with affine times and plus; then 2 each.
    assert inference.other_flops == 2 * elements + c * (1 + 4 + 4 + 1 + 2 * affine)
    assert inference.bytes_read == 2 * elements + 3 * c * (4 if affine else 2)
    assert inference.bytes_written == 5 * elements
    assert inference.weight_bytes == 3 * c * (4 if affine else 2)
    assert inference.parameters == 2 * c * affine
    training = cost_of("batch_norm_training", n=n, c=c, p=p, affine=affine)
    # Statistics 4, normalise 2, affine 2; per channel 9, and a lerp for both running statistics.
    assert training.other_flops == elements * (6 + 2 * affine) + c * (9 + 6)
    assert training.bytes_read == 4 * elements + 3 * c * (4 if affine else 2)
    assert training.bytes_written == 5 * elements + 2 * c * 5 + 2 * c * 3
    assert training.weight_bytes == inference.weight_bytes
    assert training.parameters == inference.parameters
    layer = cost_of("layer_norm", m=n, c=c, affine=affine)
    assert layer.other_flops == n * c * (6 + 2 * affine) + n * 9
    assert (layer.bytes_read, layer.bytes_written) == (2 * n * c + 6 * c * affine, 5 * n * c)
    assert (layer.weight_bytes, layer.parameters) == (6 * c * affine, 2 * c * affine)
    group = cost_of("group_norm", n=n, c=c, p=p, g=c, affine=affine)
    assert group.other_flops == elements * (6 + 2 * affine) + n * c * 9
    assert group.bytes_read == 2 * elements + 6 * c * affine
    assert (group.bytes_written, group.parameters) == (5 * elements, 2 * c * affine)
    assert group.weight_bytes == 6 * c * affine
    rms = cost_of("rms_norm", m=n, c=c, affine=affine)
    assert rms.other_flops == n * c * (3 + affine) + n * 9
    assert (rms.bytes_read, rms.bytes_written) == (2 * n * c + 3 * c * affine, 5 * n * c)
    assert (rms.weight_bytes, rms.parameters) == (3 * c * affine, c * affine)
    back = cost_of("rms_norm_backward", m=n, c=c, affine=affine)
    assert back.other_flops == n * c * (6 + 3 * affine)
    assert back.bytes_read == 2 * (2 * n * c + n) + 3 * c * affine
    assert back.bytes_written == 5 * (n * c + c * affine)
    assert (back.weight_bytes, back.parameters) == (3 * c * affine, 0)
    back = cost_of("normalization_backward", e_x=elements, c=c, m=n, affine=affine)
    assert back.other_flops == elements * (10 + 4 * affine)
    assert back.bytes_read == 2 * (2 * elements + 2 * n) + 3 * c * affine
    assert back.bytes_written == 5 * (elements + 2 * c * affine)
    assert (back.weight_bytes, back.parameters) == (3 * c * affine, 0)


@few
@given(st.integers(1, 9), st.integers(1, 9))
def test_adaptive_windows(size, out):
    windows = [
        range(math.floor(i * size / out), math.ceil((i + 1) * size / out)) for i in range(out)
    ]
    assert adaptive_elements(size, out) == sum(map(len, windows))


def test_pooling():
    cost = cost_of("pooling", e_x=100, e_y=10, k=9)
    assert (cost.other_flops, cost.bytes_read, cost.bytes_written) == (90, 200, 50)
    cost = cost_of("pooling_indices", e_x=100, e_y=10, k=9)
    assert (cost.other_flops, cost.bytes_read, cost.bytes_written) == (90, 200, 100)
    cost = cost_of("adaptive_pooling", m=6, p_in=49, p_out=9, v=81)
    assert (cost.other_flops, cost.bytes_read, cost.bytes_written) == (486, 588, 270)
    cost = cost_of("max_pooling_backward", e_x=10, e_y=100)
    assert (cost.other_flops, cost.bytes_read, cost.bytes_written) == (10, 90, 500)
    cost = cost_of("mean_pooling_backward", e_x=10, e_y=100, k=9)
    assert (cost.other_flops, cost.bytes_read, cost.bytes_written) == (100, 20, 500)


@few
@given(st.integers(1, 16), st.integers(1, 20))
def test_resize(k, e_y):
    products = sums = 0
    for _ in range(e_y):
        products += k
        sums += k - 1
    cost = cost_of("resize", e_x=30, e_y=e_y, k=k)
    assert cost.other_flops == products + sums
    assert (cost.bytes_read, cost.bytes_written) == (60, 5 * e_y)
    back = cost_of("resize_backward", e_x=30, e_y=e_y, k=k)
    assert back.other_flops == sum(2 for _ in range(30 * k))
    assert (back.bytes_read, back.bytes_written) == (60, 5 * e_y)


def test_grid_sample():
    # Two images of three channels, four places: 2 coordinates of 4 FLOPs, 4 weights of 1 product,
    # then 4 products and 3 sums per channel.
    cost = cost_of("grid_sample", n=2, c=3, p_in=25, p_out=4, d=2, k=4)
    assert cost.other_flops == 8 * (2 * 4 + 4) + 8 * 3 * 7
    assert cost.bytes_read == 2 * (2 * 3 * 25 + 8 * 2)
    assert cost.bytes_written == 5 * 24


def test_movement_and_casts():
    cost = cost_of("movement", e_x=10, e_w=4, e_y=14)
    assert (cost.flops, cost.bytes_read, cost.bytes_written, cost.weight_bytes) == (0, 32, 70, 12)
    cost = cost_of("cast", e_x=10)
    assert (cost.flops, cost.bytes_read, cost.bytes_written) == (0, 20, 50)
    cost = cost_of("elementwise", e_x=10, e_w=4, e_y=14, f=3)
    assert (cost.flops, cost.bytes_read, cost.bytes_written, cost.weight_bytes) == (42, 32, 70, 12)
    cost = cost_of("reduction", e_x=10, e_y=2, f=3)
    assert (cost.flops, cost.bytes_read, cost.bytes_written) == (30, 20, 10)


@few
@given(st.integers(1, 12), st.integers(1, 6), st.lists(st.integers(0, 11), min_size=1, max_size=8))
def test_lookup_touches_rows_not_the_table(rows, c, picks):
    picks = [i % rows for i in picks]
    m = len(picks)
    table = np.zeros((rows, c))
    looked_up = table[picks]
    cost = cost_of("embedding", m=m, c=c)
    assert cost.bytes_read == 7 * m + 3 * looked_up.size
    assert (cost.flops, cost.bytes_written, cost.weight_bytes) == (0, 5 * looked_up.size, 0)
    cost = cost_of("gather", e_i=m, e_y=looked_up.size)
    assert (cost.bytes_read, cost.bytes_written) == (7 * m + 2 * m * c, 5 * m * c)
    cost = cost_of("gather_constant", e_i=m, e_w=looked_up.size)
    assert (cost.bytes_read, cost.bytes_written) == (7 * m + 3 * m * c, 5 * m * c)
    assert cost.weight_bytes == cost.bytes_read
    put = cost_of("scatter", e_i=m, e_x=m * c, e_y=0, f=0)
    assert (put.flops, put.bytes_read, put.bytes_written) == (0, 7 * m + 2 * m * c, 5 * m * c)
    add = cost_of("scatter", e_i=m, e_x=m * c, e_y=table.size, f=1)
    assert add.flops == m * c
    assert add.bytes_read == 7 * m + 4 * m * c + 2 * table.size
    assert add.bytes_written == 5 * (m * c + table.size)
    grad = cost_of("embedding_backward", m=m, c=c, e_w=table.size)
    assert grad.flops == m * c
    assert grad.bytes_read == 7 * m + (2 + 5) * m * c
    assert grad.bytes_written == 5 * (table.size + m * c)


def test_loss():
    cost = cost_of("nll_loss", m=6)
    assert (cost.flops, cost.bytes_read, cost.bytes_written) == (6, 6 * 9, 10)
    cost = cost_of("nll_loss_backward", m=6, c=10)
    assert (cost.flops, cost.bytes_read, cost.bytes_written) == (0, 42, 5 * 66)


def test_sorting():
    cost = cost_of("sort", m=3, c=8)
    assert cost.other_flops == pytest.approx(3 * 8 * 3)
    assert (cost.bytes_read, cost.bytes_written) == (48, 2 * 24 * 5)
    cost = cost_of("topk", m=3, c=8, k=4)
    assert cost.other_flops == pytest.approx(3 * 8 * 3)
    assert (cost.bytes_read, cost.bytes_written) == (48, 2 * 12 * 5)


def test_quantisation():
    cost = cost_of("quantize", e_x=10, e_w=4)
    assert (cost.flops, cost.bytes_read, cost.bytes_written) == (50, 32, 50)
    assert cost.weight_bytes == 12
    cost = cost_of("dequantize", e_x=10, e_w=4)
    assert (cost.flops, cost.bytes_read, cost.bytes_written) == (20, 32, 50)
    assert cost.weight_bytes == 12
    cost = cost_of("fake_quantize", e_x=10, e_w=4)
    assert (cost.flops, cost.bytes_read, cost.bytes_written) == (70, 32, 50)
    assert cost.weight_bytes == 12


# -------------------------------------------------------- sequences and scans


@pytest.mark.parametrize(
    ("name", "gates", "states", "work"),
    [
        ("rnn", 1, 1, 1 + (8 + 2 + 4)),
        ("gru", 3, 1, 2 * (1 + 13) + 2 + 14 + 3),
        ("lstm", 4, 2, 4 + 3 * 13 + 2 * 14 + 4),
    ],
)
@few
@given(n=tiny, l=tiny, c_in=tiny, c_mid=tiny, layers=tiny, directions=st.integers(1, 2),
       bias=st.integers(0, 1))  # fmt: skip
def test_recurrent(name, gates, states, work, n, l, c_in, c_mid, layers, directions, bias):
    macs = other = parameters = read = written = 0
    for layer in range(layers):
        width = c_in if layer == 0 else directions * c_mid
        read += n * l * width * (2 if layer == 0 else 5)
        for _ in range(directions):
            parameters += gates * c_mid * (width + c_mid + 2 * bias)
            read += 2 * states * n * c_mid
            written += states * n * c_mid
            for _ in range(n * l):
                macs += gates * c_mid * (width + c_mid)
                other += c_mid * (work + 2 * bias * gates)
        written += n * l * directions * c_mid
    cost = cost_of(
        name, n=n, l=l, c_in=c_in, c_mid=c_mid, layers=layers, directions=directions, bias=bias
    )
    assert (cost.macs, cost.other_flops, cost.parameters) == (macs, other, parameters)
    assert cost.bytes_read == read + 3 * parameters
    assert (cost.weight_bytes, cost.bytes_written) == (3 * parameters, 5 * written)


@few
@given(tiny, tiny, tiny, tiny)
def test_selective_scan(n, l, c, states):
    macs = other = 0
    read, constants = set(), set()
    for image, step, channel in product(range(n), range(l), range(c)):
        read |= {("x", image, step, channel), ("Δ", image, step, channel)}
        constants.add(("D", channel))
        other += 1  # Δ x
        macs += 1  # D x
        for state in range(states):
            read |= {("B", image, step, state), ("C", image, step, state)}
            constants.add(("A", channel, state))
            other += 1 + 8 + 1  # Δ A, its exponential, (Δ x) B
            macs += 2  # into h, into y
    cost = cost_of("selective_scan", n=n, l=l, c=c, states=states)
    assert (cost.macs, cost.other_flops, cost.parameters) == (macs, other, len(constants))
    assert cost.bytes_read == 2 * len(read) + 3 * len(constants)
    assert (cost.weight_bytes, cost.bytes_written) == (3 * len(constants), 5 * n * l * c)


# -------------------------------------------------- detection, Fourier, links


def test_roi_align():
    # Two regions of three channels to 2 x 2, four samples each.
    macs = other = 0
    for _ in range(2 * 4 * 4):
        other += 2 * 4 + 4  # two coordinates, four weights
        for _ in range(3):
            macs += 4
            other += 1  # into the mean
    cost = cost_of("roi_align", m=2, c=3, e_x=50, p_out=4, k=4)
    assert (cost.macs, cost.other_flops) == (macs, other)
    assert (cost.bytes_read, cost.bytes_written) == (2 * (50 + 10), 5 * 24)


def test_non_maximum_suppression():
    pairs = len(list(combinations(range(8), 2)))
    cost = cost_of("nms", n=1, m=8)
    # Corners 4 comparisons, sides 2 differences and 2 comparisons, area 1 product, union 2 sums,
    # division, threshold.
    work = pairs * (4 + 2 + 2 + 1 + 2 + 4 + 1) + 8 * 3 + 8 * 3
    assert cost.other_flops == pytest.approx(work)
    assert (cost.bytes_read, cost.bytes_written) == (80, 40)
    assert cost_of("nms", n=3, m=8).other_flops == pytest.approx(3 * work)  # image by image


@pytest.mark.parametrize("c", [2, 8, 64])
def test_fourier_transform_by_butterflies(c):
    def butterflies(size):
        """Cooley and Tukey: two halves, then one product and two sums of complex numbers each."""
        return 0 if size == 1 else 2 * butterflies(size // 2) + size // 2

    cost = cost_of("fft", m=3, c=c, e_x=10, e_y=20, real=0)
    assert cost.other_flops == pytest.approx(3 * butterflies(c) * (6 + 2 + 2))
    assert (cost.bytes_read, cost.bytes_written) == (20, 100)
    half = cost_of("fft", m=3, c=c, e_x=10, e_y=20, real=1)
    assert half.other_flops == pytest.approx(cost.other_flops / 2)


def ring(devices, share, steps, add):
    """Each device passes one share to its neighbour in each step: (sent, received, additions)."""
    sent = received = sums = 0
    for _ in range(steps):
        sent += share
        received += share
        sums += share if add else 0
    return sent, received, sums


@few
@given(st.integers(1, 8), st.integers(1, 5))
def test_collectives_on_a_ring(devices, share):
    e_x = devices * share
    reduce = ring(devices, share, devices - 1, add=True)
    gather = ring(devices, share, devices - 1, add=False)
    both = tuple(a + b for a, b in zip(reduce, gather, strict=True))
    for name, (sent, received, sums) in (
        ("reduce_scatter", reduce),
        ("all_gather", gather),
        ("all_reduce", both),
        ("all_to_all", gather),
    ):
        cost = cost_of(name, e_x=e_x, devices=devices)
        assert cost.other_flops == pytest.approx(sums)
        assert cost.bytes_written == pytest.approx(2 * sent)
        assert cost.bytes_read == pytest.approx(2 * received)
    for name in ("broadcast", "send_receive"):
        cost = cost_of(name, e_x=e_x)
        assert (cost.flops, cost.bytes_read, cost.bytes_written) == (0, 2 * e_x, 2 * e_x)


# ------------------------------------------------------------------ optimisers


def test_optimisers():
    cost = cost_of("adam", e_w=10)
    # m: 2 products and a sum; v: 3 and 1; the step: root, product, sum, division, product, sum;
    # weight decay: product and sum.
    assert cost.other_flops == 10 * (3 + 4 + 4 + 1 + 1 + 4 + 2 + 2)
    assert (cost.bytes_read, cost.bytes_written, cost.weight_bytes) == (120, 90, 120)
    plain, momentum = cost_of("sgd", e_w=10, f=0), cost_of("sgd", e_w=10, f=1)
    assert (plain.other_flops, plain.bytes_read, plain.bytes_written) == (40, 60, 30)
    assert (momentum.other_flops, momentum.bytes_read, momentum.bytes_written) == (60, 90, 60)
    assert (plain.weight_bytes, momentum.weight_bytes) == (60, 90)
