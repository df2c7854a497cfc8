"""Every worked number of the sources this project started from, each with its place.

"Lesson" is the lesson Efficient Model Architectures (Hardware-Aware Deep Learning); its FLOPs are
multiply-accumulates. Two comments in it are wrong; the right values are tested, and it is said so.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import sympy

from costmodel.formulas import get_formula
from costmodel.formulas.flash_attention import blocks
from costmodel.formulas.partial import kappa, printed_split_ratio, split_ratio, zeta
from costmodel.formulas.scaling import CompoundScaling
from costmodel.formulas.symbols import symbol

FP32 = {"b_x": 4, "b_w": 4, "b_y": 4}
FP16 = {"b_x": 2, "b_w": 2, "b_y": 2}


def conv(c_in, c_out, size, k, g=1, widths=FP32):
    return get_formula("conv2d")(
        n=1, c_in=c_in, c_out=c_out, h_in=size, w_in=size, h_out=size, w_out=size,
        k_h=k, k_w=k, g=g, bias=0, **widths,
    )  # fmt: skip


# ------------------------------------------------- Lesson, chapters 0, 1 and 9


def test_standard_convolution_of_chapter_0_and_1():
    cost = conv(256, 256, 56, 3)
    assert cost.macs == 1_849_688_064
    assert cost.parameters == 589_824


def test_doubling_the_channels_takes_four_times_the_work():
    # Lesson, chapter 0, question: "If you double the channel count from 128 to 256".
    assert conv(256, 256, 56, 3).macs == 4 * conv(128, 128, 56, 3).macs


def test_separable_convolution_of_chapter_1():
    values = dict(n=1, c_in=256, c_out=256, h=56, w=56, k=3, **FP32)
    parts = get_formula("separable").parts(**values)
    assert parts["depthwise"].macs == 7_225_344
    assert parts["pointwise"].macs == 205_520_896
    whole = get_formula("separable")(**values)
    assert whole.macs == 212_746_240
    assert whole.parameters == 2_304 + 65_536 == 67_840
    assert conv(256, 256, 56, 3).macs / whole.macs == pytest.approx(8.7, abs=0.05)
    assert conv(256, 256, 56, 3).parameters / whole.parameters == pytest.approx(8.7, abs=0.05)


SAME = {
    "h_in": "h",
    "h_out": "h",
    "w_in": "w",
    "w_out": "w",
    "k_h": "k",
    "k_w": "k",
    "g": 1,
    "bias": 0,
}


def savings():
    """Standard over separable, in symbols."""
    return 1 / get_formula("separable").ratio_to("conv2d", **SAME).macs


def test_savings_of_a_separable_convolution_in_symbols():
    # Lesson, chapters 1 and 9: 1 / (1/C_out + 1/K²).
    c_out, k = symbol("c_out"), symbol("k")
    assert sympy.simplify(savings() - 1 / (1 / c_out + 1 / k**2)) == 0


@pytest.mark.parametrize(("c_out", "factor"), [(256, 8.7), (64, 7.9), (512, 8.84)])
def test_savings_of_a_separable_convolution(c_out, factor):
    # Lesson, chapter 1 (256), chapter 9 (256 and 64) and its closing question (512).
    value = savings().subs({symbol("k"): 3, symbol("c_out"): c_out})
    assert float(value) == pytest.approx(factor, abs=0.05)


def test_savings_are_at_most_the_square_of_the_kernel():
    # Lesson, chapter 9: "as C_out grows, the ratio tends to K²; for K = 3, 9".
    assert sympy.limit(savings().subs(symbol("k"), 3), symbol("c_out"), sympy.oo) == 9


# ---------------------------------------------------------- Lesson, chapter 2


def test_inverted_residual_of_chapter_2():
    values = dict(
        n=1, c_in=24, c_out=24, t=6, h_in=56, w_in=56, h_out=56, w_out=56, k=3, shortcut=1, **FP32
    )
    parts = get_formula("inverted-residual").parts(**values)
    assert parts["expand"].macs == 10_838_016
    assert parts["depthwise"].macs == 4_064_256
    assert parts["project"].macs == 10_838_016
    whole = get_formula("inverted-residual")(**values)
    assert whole.macs == 25_740_288
    standard = conv(144, 144, 56, 3)
    assert standard.macs == 585_252_864
    assert standard.macs / whole.macs == pytest.approx(23, abs=0.5)


# ---------------------------------------------------------- Lesson, chapter 3


def test_compound_scaling_constraint_of_chapter_3():
    scaling = CompoundScaling()
    assert scaling.macs(1) == pytest.approx(1.92, abs=0.005)
    assert scaling.macs(0) == 1


def test_compound_scaling_from_b0_to_b3():
    scaling = CompoundScaling()
    assert scaling.depth(3) == pytest.approx(1.728)
    assert scaling.width(3) == pytest.approx(1.331)
    assert scaling.resolution(3) == pytest.approx(1.521, abs=0.0005)
    # The text rounds 18 layers to 31, its program rounds up to 32; channels and size agree.
    assert round(18 * scaling.depth(3)) == 31
    assert math.ceil(18 * scaling.depth(3)) == 32
    assert round(32 * scaling.width(3)) == math.ceil(32 * scaling.width(3)) == 43
    assert round(224 * scaling.resolution(3)) == math.ceil(224 * scaling.resolution(3)) == 341
    # "FLOP increase: 2³ = 8x" takes the constraint as 2; with these α, β, γ it is 7.1.
    assert scaling.macs(3) == pytest.approx(1.92027**3, rel=1e-4)
    assert replace(scaling, alpha=2 / (1.1**2 * 1.15**2)).macs(3) == pytest.approx(8)


# ---------------------------------------------------------- Lesson, chapter 6


@pytest.mark.parametrize("size", [128, 512, 4096])
def test_intensity_of_a_square_matrix_product(size):
    # The comment in the lesson says "≈ N/2 for large square"; its own expression
    # 2 N³ / (3 N² x 4 B) is N/6 FLOP/B in fp32.
    cost = get_formula("matmul")(b=1, m=size, c_in=size, c_out=size, b_x=4, b_y=4)
    assert cost.intensity == pytest.approx(size / 6)


def test_matrix_product_of_any_shape():
    # Lesson, chapter 6: FLOPs 2 M K N, bytes (M K + K N + M N) x 4.
    cost = get_formula("matmul")(b=1, m=5, c_in=7, c_out=11, b_x=4, b_y=4)
    assert cost.flops == 2 * 5 * 7 * 11
    assert cost.bytes == (5 * 7 + 7 * 11 + 5 * 11) * 4


def test_intensity_of_a_depthwise_convolution():
    # The comment in the lesson writes 9CHW / (2CHW + 9C) · 4 ≈ 9/8: the 4 belongs under the
    # fraction, as in its function, and a multiply-accumulate is two FLOPs:
    # 2 · 9CHW / ((2CHW + 9C) · 4) ≈ 9/4 FLOP/B, or 9/8 multiply-accumulates per byte.
    c, h, w = 32, 56, 56
    cost = get_formula("dwconv")(n=1, c=c, h=h, w=w, k=3, **FP32)
    assert cost.macs == 9 * c * h * w
    assert cost.bytes == (2 * c * h * w + 9 * c) * 4
    assert cost.macs / cost.bytes == pytest.approx(9 / 8, rel=0.002)
    assert cost.intensity == pytest.approx(9 / 4, rel=0.002)


def test_roofline_of_chapter_6():
    # Attainable = min(peak, bandwidth x intensity): a depthwise convolution on an A100
    # (312 TFLOP/s, chapter 6's table; 1,555 GB/s) is limited by memory, a large product is not.
    depthwise = get_formula("dwconv")(n=1, c=256, h=56, w=56, k=3, **FP16)
    product = get_formula("matmul")(b=1, m=4096, c_in=4096, c_out=4096, b_x=2, b_y=2)
    assert depthwise.intensity * 1555e9 < 312e12 < product.intensity * 1555e9


# ---------------------------------------------------------- Lesson, chapter 8


def test_materialised_scores_of_chapter_8():
    # "Standard: 4096 x 4096 x 2 bytes = 32 MB per head": binary megabytes.
    parts = get_formula("attention_materialised").parts(
        b=1, heads=1, l=4096, s=4096, d=64, d_v=64, b_x=2, b_y=2
    )
    assert parts["scores"].bytes_written == 32 * 2**20


def test_flash_attention_of_chapter_8():
    # "Never materializes the N x N matrix … ≈ 256 KB per head": its blocks fit on chip, and what
    # it writes to memory grows with N, not N².
    on_chip, d = 256 * 1024, 64
    rows, columns = (int(x) for x in blocks(on_chip, d, 2))
    assert (2 * rows * d + 2 * columns * d + rows * columns) * 2 <= on_chip
    flash = get_formula("flash_attention_2")
    values = {"b": 1, "heads": 1, "d": d, "on_chip": on_chip, "b_x": 2, "b_y": 2}
    short, long = flash(l=4096, **values), flash(l=8192, **values)
    assert long.bytes_written == 2 * short.bytes_written
    assert short.bytes_written < 32 * 2**20 / 50
    standard = get_formula("attention_materialised")(
        b=1, heads=1, l=4096, s=4096, d=d, d_v=d, b_x=2, b_y=2
    )
    assert standard.macs == short.macs
    assert short.bytes < standard.bytes


def test_swin_is_linear_and_global_attention_quadratic():
    # Lesson, chapter 8: 224 x 224 in 16 x 16 patches is N = 196; windows of 7 x 7.
    assert (224 // 16) ** 2 == 196
    window = get_formula("window_attention")
    values = {"b": 1, "heads": 3, "window": 49, "d": 32, "b_x": 4, "b_y": 4}
    assert window(l=4 * 196, **values).macs == 4 * window(l=196, **values).macs
    full = get_formula("attention")
    values = {
        "b": 1,
        "heads": 3,
        "heads_kv": 3,
        "d": 32,
        "d_v": 32,
        "causal": 0,
        "e_mask": 0,
        "b_x": 4,
        "b_y": 4,
    }
    assert full(l=784, s=784, **values).macs == 16 * full(l=196, s=196, **values).macs


# --------------------------- Run, Don't Walk (FasterNet) and its summary


def test_pconv_macs_and_memory_accesses():
    # Equations 5 and 6: h w k² c_p² and ≈ h w · 2 c_p.
    pconv = get_formula("pconv")
    h, w, k, c_p = (symbol(s) for s in ("h", "w", "k", "c_p"))
    assert pconv.textbook.macs(h=h, w=w, k=k, c_p=c_p) == h * w * k**2 * c_p**2
    assert pconv.textbook.accesses(h=h, w=w, k=k, c_p=c_p) == 2 * h * w * c_p
    cost = pconv(n=1, c_p=64, h=56, w=56, k=3, **FP32)
    assert cost.macs == 56 * 56 * 9 * 64**2
    # The exact count adds the weights.
    assert cost.bytes / 4 == 56 * 56 * 2 * 64 + 9 * 64**2


def test_a_quarter_of_the_channels_takes_a_sixteenth_of_the_work():
    # Section 3.2 there: with r = 1/4, 1/16 of the FLOPs and 1/4 of the memory access.
    ratio = get_formula("pconv").ratio_to("conv", c_p="c/4")
    assert ratio.macs == sympy.Rational(1, 16)
    assert ratio.parameters == sympy.Rational(1, 16)
    activations = [
        book.accesses(h=1, w=1, k=0, c=4, c_p=1)  # k = 0 leaves the weights out
        for book in (get_formula("pconv").textbook, get_formula("conv").textbook)
    ]
    assert activations[0] / activations[1] == 1 / 4


def test_depthwise_memory_accesses():
    # Equations 1 and 2: h w k² c and ≈ h w · 2 c', the wider c' that keeps the accuracy.
    dwconv = get_formula("dwconv")
    assert dwconv.textbook.macs(h=5, w=7, k=3, c=6) == 5 * 7 * 9 * 6
    assert dwconv.textbook.accesses(h=5, w=7, k=3, c=6) == 5 * 7 * 2 * 6
    exact = dwconv(n=1, c=6, h=5, w=7, k=3, **FP32)
    assert exact.macs == 5 * 7 * 9 * 6
    assert exact.bytes / 4 == 5 * 7 * 2 * 6 + 9 * 6


def test_regular_convolution_memory_accesses():
    # Section 3.2 there: h w · 2 c + k² c².
    book = get_formula("conv").textbook
    assert book.macs(h=5, w=7, k=3, c=6) == 5 * 7 * 9 * 36
    assert book.accesses(h=5, w=7, k=3, c=6) == 5 * 7 * 12 + 9 * 36
    cost = get_formula("conv")(n=1, c=6, h=5, w=7, k=3, **FP32)
    assert (cost.macs, cost.bytes / 4) == (5 * 7 * 9 * 36, 5 * 7 * 12 + 9 * 36)


def test_latency_is_flops_over_flops_per_second():
    # The summary's first equation; a depthwise convolution has fewer FLOPs at a lower rate.
    peak, bandwidth = 15.7e12, 900e9  # V100
    times, rates = {}, {}
    for name, values in (("pconv", {"c_p": 64}), ("dwconv", {"c": 1024})):
        cost = get_formula(name)(n=1, h=14, w=14, k=3, **values, **FP32)
        times[name] = max(cost.flops / peak, cost.bytes / bandwidth)
        rates[name] = cost.flops / times[name]
    assert rates["pconv"] > 2 * rates["dwconv"]


# ------------------------------------------- Partial Channel Network


@pytest.mark.parametrize("gates", range(7))
def test_dpconv_is_a_pconv_of_a_power_of_two_channels(gates):
    # Equations 2 to 7, counted on the matrix U = U_1 ⊗ … ⊗ U_6 itself, identities first.
    total = 6
    relation = np.ones((1, 1), dtype=int)
    for index in range(total):
        factor = np.ones((2, 2)) if index >= total - gates else np.eye(2)
        relation = np.kron(relation, factor)
    channels, connected = len(relation), relation.sum()
    active = relation[0].sum()
    assert split_ratio(gates, channels) == active / channels
    assert printed_split_ratio(gates, channels) == 1 / active
    assert zeta(gates) == active**2
    assert connected == channels * active
    cost = get_formula("dpconv")(n=1, gates=gates, h=7, w=5, k=3, **FP32)
    assert cost.macs == 7 * 5 * 9 * active**2
    assert get_formula("dpconv").textbook.macs(h=7, w=5, k=3, gates=gates) == cost.macs


def test_dpconv_budget():
    # κ = Σ c²/θ below equation 7.
    assert kappa([64, 128], 4) == (64**2 + 128**2) / 4
    assert kappa([64], 16) == zeta(4)
