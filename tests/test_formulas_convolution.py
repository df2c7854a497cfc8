"""Convolutions against loops that count every multiply-accumulate and every element touched."""

from __future__ import annotations

from collections import Counter
from itertools import product
from math import prod
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.formulas import get_formula
from costmodel.formulas.columns import bind_op
from costmodel.formulas.valid_taps import (
    bind_valid_convolution,
    positions_read,
    same_valid_taps,
    valid_taps,
)
from costmodel.graph import Op, TensorSpec

BYTES = {"b_x": 2, "b_w": 3, "b_y": 5}
"""Three widths that no product confuses."""


class Setting(NamedTuple):
    n: int
    g: int
    c_in: int
    c_out: int
    bias: int
    size: tuple[int, ...]
    k: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]

    @property
    def size_out(self):
        return tuple(
            (s + 2 * p - d * (k - 1) - 1) // t + 1
            for s, k, t, p, d in zip(
                self.size, self.k, self.stride, self.padding, self.dilation, strict=True
            )
        )


@st.composite
def convolutions(draw, rank=None):
    rank = rank or draw(st.integers(1, 3))
    g = draw(st.integers(1, 3))
    axis = [
        draw(
            st.tuples(
                st.integers(1, 6), st.integers(1, 3), st.integers(1, 4), st.integers(0, 2),
                st.integers(1, 2),
            ).filter(lambda a: a[0] + 2 * a[3] - a[4] * (a[1] - 1) - 1 >= 0)
        )
        for _ in range(rank)
    ]  # fmt: skip
    size, k, stride, padding, dilation = zip(*axis, strict=True)
    return Setting(
        draw(st.integers(1, 2)), g, g * draw(st.integers(1, 2)), g * draw(st.integers(1, 2)),
        draw(st.integers(0, 1)), size, k, stride, padding, dilation,
    )  # fmt: skip


class Loops(NamedTuple):
    """What loops over every output, channel and tap count."""

    macs: int
    valid_macs: int
    read: int
    weights: int
    outputs: int


def loop(s: Setting) -> Loops:
    macs = valid = 0
    read, weights, outputs = set(), set(), set()
    per_in, per_out = s.c_in // s.g, s.c_out // s.g
    for image in range(s.n):
        for out in range(s.c_out):
            for place in product(*map(range, s.size_out)):
                outputs.add((image, out, place))
                for inner in range(per_in):
                    for tap in product(*map(range, s.k)):
                        macs += 1
                        weights.add((out, inner, tap))
                        where = tuple(
                            o * t + d * a - p
                            for o, t, d, a, p in zip(
                                place, s.stride, s.dilation, tap, s.padding, strict=True
                            )
                        )
                        if all(0 <= i < z for i, z in zip(where, s.size, strict=True)):
                            valid += 1
                            read.add((image, out // per_out * per_in + inner, where))
    return Loops(macs, valid, len(read), len(weights), len(outputs))


def spec(shape, name="x", batched=True, kind="activation", dtype="float32"):
    return TensorSpec(0, tuple(shape), dtype, kind, None, 0, batched, name)


def operator(s: Setting, transposed=False):
    """The operator with its tensors, as a tracer records it."""
    attrs = {
        "stride": list(s.stride), "padding": list(s.padding), "dilation": list(s.dilation),
        "groups": s.g, "transposed": transposed,
    }  # fmt: skip
    op = Op("aten::convolution", (0, 1, 2), (3,), attrs, "")
    bias = spec((s.c_out,), kind="parameter", batched=False) if s.bias else None
    small, large = s.size_out, s.size
    if transposed:
        x, y = spec((s.n, s.c_in, *small)), spec((s.n, s.c_out, *large))
        weight = (s.c_in, s.c_out // s.g, *s.k)
    else:
        x, y = spec((s.n, s.c_in, *large)), spec((s.n, s.c_out, *small))
        weight = (s.c_out, s.c_in // s.g, *s.k)
    return op, [x, spec(weight, kind="parameter", batched=False), bias], [y]


def cost_of(binding):
    formula = get_formula(binding.formula)
    widths = {name: value for name, value in BYTES.items() if name in formula.symbols}
    return formula(**binding.values, **widths)


@settings(max_examples=120, deadline=None)
@given(convolutions())
def test_convolution_counts_what_loops_count(s):
    counted = loop(s)
    row = bind_op(*operator(s))
    cost = cost_of(row.binding)
    parameters = counted.weights + s.bias * s.c_out
    assert row.binding.formula == f"conv{len(s.size)}d"
    assert cost.macs == counted.macs
    assert cost.other_flops == s.bias * counted.outputs
    assert cost.parameters == parameters
    assert cost.weight_bytes == 3 * parameters
    assert cost.bytes_written == 5 * counted.outputs
    read = (cost.bytes_read - cost.weight_bytes) / 2
    assert counted.read <= read <= s.n * s.c_in * prod(s.size)
    reach = all(
        (o - 1) * t + k - p >= z if t <= k else p == 0
        for o, t, k, p, z in zip(s.size_out, s.stride, s.k, s.padding, s.size, strict=True)
    )
    if reach and set(s.dilation) == {1} and (counted.read or not read):
        assert read == counted.read


@settings(max_examples=120, deadline=None)
@given(convolutions())
def test_valid_taps_count_what_loops_count(s):
    counted = loop(s)
    binding = bind_valid_convolution(*operator(s))
    cost = cost_of(binding)
    parameters = counted.weights + s.bias * s.c_out
    assert cost.macs == counted.valid_macs
    assert cost.other_flops == s.bias * counted.outputs
    assert cost.parameters == parameters
    assert cost.weight_bytes == 3 * parameters
    assert cost.bytes_read == 2 * counted.read + 3 * parameters
    assert cost.bytes_written == 5 * counted.outputs


@settings(max_examples=60, deadline=None)
@given(convolutions())
def test_transposed_convolution_is_the_mirror_image(s):
    counted = loop(s)
    row = bind_op(*operator(s, transposed=True))
    cost = cost_of(row.binding)
    parameters = counted.weights + s.bias * s.c_out
    outputs = s.n * s.c_out * prod(s.size)
    assert row.binding.formula == f"conv_transpose{len(s.size)}d"
    assert cost.macs == counted.macs
    assert cost.other_flops == s.bias * outputs
    assert cost.parameters == parameters
    assert cost.weight_bytes == 3 * parameters
    assert cost.bytes_read == 2 * s.n * s.c_in * prod(s.size_out) + 3 * parameters
    assert cost.bytes_written == 5 * outputs
    valid = cost_of(bind_valid_convolution(*operator(s, transposed=True)))
    assert valid.macs == counted.valid_macs
    assert valid.bytes_read == cost.bytes_read
    assert valid.parameters == parameters


@settings(max_examples=80, deadline=None)
@given(convolutions(rank=1))
def test_valid_taps_and_positions_along_one_axis(s):
    axis = (s.size[0], s.size_out[0], s.k[0], s.stride[0], s.padding[0], s.dilation[0])
    where = [
        o * axis[3] + tap * axis[5] - axis[4] for o in range(axis[1]) for tap in range(axis[2])
    ]
    inside = [i for i in where if 0 <= i < axis[0]]
    assert valid_taps(*axis) == len(inside)
    assert positions_read(*axis) == len(set(inside))


@pytest.mark.parametrize("k", [1, 3, 5, 7])
@pytest.mark.parametrize("size", [3, 4, 9])
def test_valid_taps_of_same_padding_in_closed_form(size, k):
    assert same_valid_taps(size, k) == valid_taps(size, size, k, 1, k // 2, 1)


@settings(max_examples=80, deadline=None)
@given(convolutions(), st.tuples(*[st.booleans()] * 3), st.booleans())
def test_gradients_take_as_much_as_the_forward_pass_each(s, wanted, transposed):
    op, (x, weight, _), (y,) = operator(s, transposed)
    attrs = {**op.attrs, "output_mask": list(wanted)}
    backward = Op("aten::convolution_backward", (0, 1, 2), (3,), attrs, "")
    grads = [t for t, w in zip((x, weight, spec((s.c_out,))), wanted, strict=True) if w]
    row = bind_op(backward, [y, x, weight], grads)
    forward = cost_of(bind_op(op, [x, weight, None], [y]).binding)
    cost = cost_of(row.binding)
    grad_x, grad_w, grad_b = map(int, wanted)
    assert cost.macs == (grad_x + grad_w) * forward.macs
    assert cost.parameters == 0
    weights = prod(weight.shape)
    assert cost.bytes_written == 5 * (grad_x * x.numel + grad_w * weights + grad_b * s.c_out)
    assert cost.other_flops == grad_b * y.numel
    assert cost.weight_bytes == 3 * grad_x * weights
    if sum(wanted) == 1:  # by a kernel of its own, whose product is that of the same work
        if row.binding.formula != "reduction":
            formula, known = get_formula(row.binding.formula), {**row.binding.values, **BYTES}
            many, rows, columns, depth = formula.gemm(*[known[name] for name in formula.symbols])
            assert many * rows * columns * depth == pytest.approx(forward.macs)
        return
    parts = get_formula(row.binding.formula).parts(**row.binding.values, **BYTES)
    grad = parts["bias gradient"]
    assert grad.bytes_read == 2 * grad_b * y.numel
    small, large = (x, y) if transposed else (y, x)
    spread = parts["input gradient"]
    read = (spread.bytes_read - spread.weight_bytes) / 2
    correlated = parts["weight gradient"].bytes_read / 2 - grad_w * small.numel
    if transposed:  # a convolution of the large gradient, which strides may skip parts of
        assert read <= grad_x * large.numel
    else:
        assert read == grad_x * small.numel
    assert correlated <= grad_w * large.numel
    if all(k >= t for k, t in zip(s.k, s.stride, strict=True)) and max(s.size) <= 3:
        assert correlated >= 0


@pytest.mark.parametrize("g", [1, 8])
def test_backward_is_twice_the_forward_for_any_number_of_groups(g):
    s = Setting(2, g, 16, 32, 1, (9, 9), (3, 3), (1, 1), (1, 1), (1, 1))
    op, inputs, outputs = operator(s)
    forward = cost_of(bind_op(op, inputs, outputs).binding)
    backward = Op("aten::convolution_backward", (0, 1, 2), (3,), {**op.attrs}, "")
    grads = [inputs[0], inputs[1], spec((32,))]
    cost = cost_of(bind_op(backward, [outputs[0], inputs[0], inputs[1]], grads).binding)
    assert cost.macs == 2 * forward.macs
    # Both gradients read the output's; one the weights, one the input; the bias once more.
    y, x, weights = outputs[0].numel, inputs[0].numel, inputs[1].numel
    assert cost.bytes_read == 2 * (3 * y + x) + 3 * weights


def test_kinds_of_convolution():
    kinds = {
        (1, 4, 4): "convolution",
        (2, 4, 4): "grouped convolution",
        (4, 4, 8): "depthwise convolution",
        (1, 1, 4): "convolution",
    }
    for (g, c_in, c_out), kind in kinds.items():
        s = Setting(1, g, c_in, c_out, 0, (4, 4), (3, 3), (1, 1), (1, 1), (1, 1))
        assert bind_op(*operator(s)).kind == kind
        assert bind_valid_convolution(*operator(s)).kind == kind


def test_per_sample_weights_count_as_samples():
    # Weights that depend on the data ride on groups: n sets of weights, one image of n·c channels.
    op, (x, weight, _), (y,) = operator(
        Setting(1, 3, 6, 12, 0, (5, 5), (3, 3), (1, 1), (1, 1), (1, 1))
    )
    binding = bind_op(op, [x, weight._replace(batched=True, kind="activation"), None], [y]).binding
    assert {key: binding.values[key] for key in ("n", "c_in", "c_out", "g")} == {
        "n": 3, "c_in": 2, "c_out": 4, "g": 1
    }  # fmt: skip
    assert cost_of(binding).macs == 3 * 25 * 9 * 2 * 4


def test_an_image_without_a_batch():
    op, (x, weight, _), (y,) = operator(
        Setting(1, 1, 2, 3, 0, (5, 4), (3, 3), (1, 1), (1, 1), (1, 1))
    )
    bare = [x._replace(shape=x.shape[1:]), weight, None], [y._replace(shape=y.shape[1:])]
    assert cost_of(bind_op(op, *bare).binding).macs == 5 * 4 * 9 * 2 * 3
    assert cost_of(bind_valid_convolution(op, *bare)).macs == (3 * 5 - 2) * (3 * 4 - 2) * 2 * 3


def test_a_bias_that_is_not_even_mentioned():
    op, (x, weight, _), outputs = operator(
        Setting(1, 1, 2, 3, 0, (5, 4), (3, 3), (1, 1), (1, 1), (1, 1))
    )
    assert bind_op(op, [x, weight], outputs).binding.values["bias"] == 0
    assert bind_valid_convolution(op, [x, weight], outputs).values["bias"] == 0


def test_settings_that_are_not_given():
    op, inputs, outputs = operator(Setting(1, 1, 2, 3, 0, (6, 5), (3, 3), (1, 1), (0, 0), (1, 1)))
    bare = bind_valid_convolution(op._replace(attrs={}), inputs, outputs)
    assert bare == bind_valid_convolution(op, inputs, outputs)
    assert bare.values["v"] == 4 * 3 * 3 * 3


def test_padding_given_as_one_number():
    s = Setting(1, 1, 1, 1, 0, (5, 5), (3, 3), (1, 1), (1, 1), (1, 1))
    op, inputs, outputs = operator(s)
    short = {**op.attrs, "stride": 1, "padding": [1], "dilation": 1}
    assert bind_valid_convolution(op._replace(attrs=short), inputs, outputs).values["v"] == 13**2


def test_matrix_product_behind_a_convolution():
    # (batches, rows, columns, contraction): their product is the multiply-accumulates.
    seen = Counter()
    for rank, transposed in product((1, 2, 3), (False, True)):
        s = Setting(
            2, 2, 4, 6, 0, (7, 5, 6)[:rank], (3, 2, 2)[:rank], (2, 1, 1)[:rank], (1, 0, 0)[:rank],
            (1,) * 3,
        )  # fmt: skip
        s = s._replace(dilation=(1,) * rank)
        binding = bind_op(*operator(s, transposed)).binding
        formula = get_formula(binding.formula)
        values = {**binding.values, **BYTES}
        batches, rows, columns, contraction = formula.gemm(*(values[n] for n in formula.symbols))
        small = 2 * prod(s.size_out)
        assert batches == 2
        assert rows == small
        taps = prod(s.k)
        assert (columns, contraction) == ((3 * taps, 2) if transposed else (3, 2 * taps))
        assert batches * rows * columns * contraction == cost_of(binding).macs
        seen[binding.formula] += 1
    assert len(seen) == 6


# ---------------------------------------------------------------- identities


IMAGE = dict(n=2, h_in=6, w_in=5, h_out=6, w_out=5, **BYTES)


def test_linear_is_a_pointwise_convolution():
    pointwise = get_formula("conv2d")(c_in=7, c_out=3, k_h=1, k_w=1, g=1, bias=1, **IMAGE)
    assert get_formula("linear")(m=2 * 6 * 5, c_in=7, c_out=3, bias=1, **BYTES) == pointwise


def test_depthwise_is_a_grouped_convolution_of_one_channel():
    grouped = get_formula("conv2d")(c_in=8, c_out=8, k_h=3, k_w=3, g=8, bias=0, **IMAGE)
    assert get_formula("dwconv")(n=2, c=8, h=6, w=5, k=3, **BYTES) == grouped


def test_pconv_of_all_channels_is_a_convolution():
    values = dict(n=2, h=6, w=5, k=3, **BYTES)
    assert get_formula("pconv")(c_p=8, **values) == get_formula("conv")(c=8, **values)


def test_separable_is_depthwise_then_pointwise():
    depthwise = get_formula("dwconv")(n=2, c=8, h=6, w=5, k=3, **BYTES)
    pointwise = get_formula("conv2d")(c_in=8, c_out=4, k_h=1, k_w=1, g=1, bias=0, **IMAGE)
    whole = get_formula("separable")(n=2, c_in=8, c_out=4, h=6, w=5, k=3, **BYTES)
    assert whole == depthwise + pointwise


def test_one_dimension_is_a_plane_of_height_one():
    line = get_formula("conv1d")(n=2, c_in=4, c_out=6, w_in=9, w_out=4, k_w=3, g=2, bias=1, **BYTES)
    plane = get_formula("conv2d")(
        n=2, c_in=4, c_out=6, h_in=1, w_in=9, h_out=1, w_out=4, k_h=1, k_w=3, g=2, bias=1, **BYTES
    )
    volume = get_formula("conv3d")(
        n=2, c_in=4, c_out=6, d_in=1, h_in=1, w_in=9, d_out=1, h_out=1, w_out=4,
        k_d=1, k_h=1, k_w=3, g=2, bias=1, **BYTES,
    )  # fmt: skip
    assert line == plane == volume


def test_a_deformable_convolution_samples_each_tap_bilinearly():
    values = dict(c_in=4, c_out=6, k_h=3, k_w=3, g=2, bias=1, **IMAGE)
    plain = get_formula("conv2d")(**values)
    cost = get_formula("deformable_convolution")(e_i=11, b_i=7, **values)
    taps = 2 * 30 * 4 * 9
    assert cost.macs == plain.macs + 4 * taps
    assert cost.bytes_read == plain.bytes_read + 77
    assert cost.parameters == plain.parameters
