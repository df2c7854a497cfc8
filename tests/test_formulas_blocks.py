"""Blocks: every part added up by hand on small sizes, element by element."""

from __future__ import annotations

import pytest

from costmodel.formulas import get_formula
from costmodel.formulas.cost import Cost

BYTES = {"b_x": 2, "b_w": 3, "b_y": 5, "b_i": 7}
"""Four widths that no product confuses."""

PLANE = {"n": 2, "c": 8, "c_p": 2, "h": 2, "w": 5}
"""Two images, 2 of 8 channels convolved, 10 positions: 6 channels and 120 elements attended."""

CASES = {
    # n 2, 6 positions: depthwise 4 channels, then 4 to 6.
    "separable": (
        {"n": 2, "c_in": 4, "c_out": 6, "h": 3, "w": 2, "k": 3},
        {
            "depthwise": Cost(432, 0, 96 + 108, 240, 108, 36),
            "pointwise": Cost(288, 0, 96 + 72, 360, 72, 24),
        },
    ),
    # Stride 2 from 4x4 to 2x2, 2 channels widened to 6.
    "inverted_residual": (
        {"n": 1, "c_in": 2, "c_out": 2, "t": 3, "h_in": 4, "w_in": 4, "h_out": 2, "w_out": 2,
         "k": 3, "shortcut": 1},
        {
            "expand": Cost(192, 0, 64 + 36, 480, 36, 12),
            "depthwise": Cost(216, 0, 192 + 162, 120, 162, 54),
            "project": Cost(48, 0, 48 + 36, 40, 36, 12),
            "shortcut": Cost(0, 8, 32, 40, 0, 0),
        },
    ),
    "squeeze_excitation": (
        {"n": 2, "c": 6, "c_mid": 3, "p": 10},
        {
            "squeeze": Cost(0, 120, 240, 60, 0, 0),
            "reduce": Cost(36, 6, 24 + 63, 30, 63, 21),
            "relu": Cost(0, 6, 12, 30, 0, 0),
            "expand": Cost(36, 12, 12 + 72, 60, 72, 24),
            "sigmoid": Cost(0, 156, 24, 60, 0, 0),
            "scale": Cost(0, 120, 240 + 24, 600, 0, 0),
        },
    ),
    "srm": (
        {"n": 2, "c": 6, "p": 10},
        {
            "mean": Cost(0, 120, 240, 60, 0, 0),
            "deviation": Cost(0, 480, 240, 60, 0, 0),
            "mix": Cost(24, 0, 48 + 36, 60, 36, 12),
            "norm": Cost(0, 24 + 72, 24 + 72, 60, 72, 12),
            "gate": Cost(0, 156, 24, 60, 0, 0),
            "scale": Cost(0, 120, 264, 600, 0, 0),
        },
    ),
    "gaussian_channel_attention": (
        {"n": 2, "c": 6, "p": 10},
        {
            "mean": Cost(0, 120, 240, 60, 0, 0),
            "deviation": Cost(0, 480, 240, 60, 0, 0),
            "mix": Cost(144, 0, 48 + 216, 60, 216, 72),
            "norm": Cost(0, 24 + 72, 24 + 72, 60, 72, 12),
            "gate": Cost(0, 48, 24, 60, 0, 0),
            "scale": Cost(0, 120, 264, 600, 0, 0),
        },
    ),
    "pat_ch": (
        {**PLANE, "k": 3},
        {
            "convolution": Cost(720, 0, 80 + 108, 200, 108, 36),
            "channel attention": Cost(144, 864, 840 + 288, 900, 288, 84),
            "norm": Cost(0, 240 + 72, 240 + 72, 600, 72, 12),
        },
    ),
    "pat_sp": (
        PLANE,
        {
            "norm before": Cost(0, 80 + 24, 80 + 24, 200, 24, 4),
            "convolution": Cost(80, 0, 80 + 12, 200, 12, 4),
            "squeeze": Cost(120, 0, 240 + 18, 100, 18, 6),
            "hard sigmoid": Cost(0, 80, 40, 100, 0, 0),
            "gate": Cost(0, 120, 240 + 40, 600, 0, 0),
            "norm": Cost(0, 240 + 72, 240 + 72, 600, 72, 12),
        },
    ),
    # Three heads of 2 over 10 positions: 600 scores.
    "pat_sf": (
        {**PLANE, "k": 3, "heads": 3, "buckets": 4},
        {
            "convolution": Cost(720, 0, 80 + 108, 200, 108, 36),
            "norm": Cost(0, 960 + 180, 240 + 36, 600, 36, 12),
            "query, key, value": Cost(2160, 0, 240 + 324, 1800, 324, 108),
            "position bias": Cost(0, 0, 700 + 900, 900, 1600, 12),
            "add bias": Cost(0, 600, 1200 + 900, 3000, 900, 0),
            "attention": Cost(2400, 9600, 480 + 3000 + 3600, 6600, 0, 0),
            "projection": Cost(720, 120, 240 + 126, 600, 126, 42),
        },
    ),
    # Six heads' worth of one: 2 samples, 4 positions, 6 features in 3 heads.
    "self_attention": (
        {"n": 2, "heads": 3, "l": 4, "c": 6, "bias": 1},
        {
            "query, key, value": Cost(864, 144, 96 + 378, 720, 378, 126),
            "attention": Cost(384, 96 * 16, 288, 240, 0, 0),
            "projection": Cost(288, 48, 96 + 126, 240, 126, 42),
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CASES))
def test_parts_of_a_block(name):
    values, expected = CASES[name]
    formula = get_formula(name)
    widths = {width: value for width, value in BYTES.items() if width in formula.symbols}
    parts = formula.parts(**values, **widths)
    assert dict(parts) == expected
    assert formula(**values, **widths) == sum(expected.values(), Cost())
    assert formula.kind == "composition"


def test_a_block_without_its_shortcut():
    values, expected = CASES["inverted_residual"]
    widths = {width: value for width, value in BYTES.items() if width != "b_i"}
    cost = get_formula("inverted_residual")(**{**values, "shortcut": 0}, **widths)
    assert cost == sum((part for name, part in expected.items() if name != "shortcut"), Cost())


@pytest.mark.parametrize(
    ("name", "values", "macs"),
    [
        ("separable", {"h": 7, "w": 5, "k": 3, "c_in": 4, "c_out": 6}, 35 * (36 + 24)),
        (
            "inverted_residual",
            {"h_in": 7, "w_in": 5, "c_in": 2, "c_out": 3, "t": 6, "k": 3},
            35 * 12 * (2 + 9 + 3),
        ),
        ("conv2d", {"h_out": 7, "w_out": 5, "k_h": 3, "k_w": 2, "c_in": 4, "c_out": 6}, 35 * 144),
    ],
)
def test_textbook_multiply_accumulates(name, values, macs):
    assert get_formula(name).textbook.macs(**values) == macs


def test_textbook_memory_accesses_of_a_convolution():
    accesses = get_formula("conv2d").textbook.accesses
    assert accesses(h_out=7, w_out=5, k_h=3, k_w=2, c_in=4, c_out=4) == 35 * 8 + 6 * 16


def test_a_single_operator_is_its_own_part():
    linear = get_formula("linear")
    values = {"m": 2, "c_in": 3, "c_out": 4, "bias": 0, "b_x": 1, "b_w": 1, "b_y": 1}
    assert linear.parts(**values) == {"linear": linear(**values)}
