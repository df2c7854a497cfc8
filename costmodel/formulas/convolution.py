"""Convolution in one, two and three dimensions: dense, grouped, depthwise, dilated, transposed.

One grouped formula covers all: dense is g = 1, depthwise g = c_in = c_out, pointwise k = 1. The
count includes taps that fall on padding, as every common counter does and as GPU kernels compute.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from costmodel.formulas.cost import Cost, S
from costmodel.formulas.registry import Binding, Kind, Textbook, binds, formula
from costmodel.graph import Op, TensorSpec

_SOURCE = "Dumoulin and Visin, A guide to convolution arithmetic for deep learning (2016)"


def _touched(size: S, size_out: S, k: S) -> S:
    """Input rows read along one axis: with k < stride some rows are skipped."""
    import sympy

    return sympy.Min(size, size_out * k)


@formula(
    "conv1d",
    kind="convolution",
    source=_SOURCE,
    gemm=lambda n, c_in, c_out, w_in, w_out, k_w, g, **_: (
        g,
        n * w_out,
        c_out / g,
        c_in / g * k_w,
    ),
)
def conv1d(
    n: S, c_in: S, c_out: S, w_in: S, w_out: S, k_w: S, g: S, bias: S,
    b_x: S, b_w: S, b_y: S,
) -> Cost:  # fmt: skip
    """Convolution along a sequence.

    Every output element takes k_w taps of the c_in/g channels of its group.
    """
    weights = k_w * c_in * c_out / g
    parameters = weights + bias * c_out
    outputs = n * c_out * w_out
    return Cost(
        macs=n * w_out * weights,
        other_flops=bias * outputs,
        bytes_read=n * c_in * _touched(w_in, w_out, k_w) * b_x + parameters * b_w,
        bytes_written=outputs * b_y,
        weight_bytes=parameters * b_w,
        parameters=parameters,
    )


@formula(
    "conv2d",
    kind="convolution",
    source=_SOURCE,
    textbook=Textbook(
        macs=lambda h_out, w_out, k_h, k_w, c_in, c_out, **_: (
            h_out * w_out * k_h * k_w * c_in * c_out
        ),
        accesses=lambda h_out, w_out, c_in, k_h, k_w, **_: (
            h_out * w_out * 2 * c_in + k_h * k_w * c_in**2
        ),
        citation="Chen et al., Run, Don't Walk (CVPR 2023), section 3.2, for one image, "
        "c_in = c_out, stride 1",
    ),
    gemm=lambda n, c_in, c_out, h_out, w_out, k_h, k_w, g, **_: (
        g,
        n * h_out * w_out,
        c_out / g,
        c_in / g * k_h * k_w,
    ),
)
def conv2d(
    n: S, c_in: S, c_out: S, h_in: S, w_in: S, h_out: S, w_out: S,
    k_h: S, k_w: S, g: S, bias: S, b_x: S, b_w: S, b_y: S,
) -> Cost:  # fmt: skip
    """Convolution over an image: dense (g = 1), grouped, depthwise (g = c_in) or pointwise (k = 1).

    Every output element takes k_h x k_w taps of the c_in/g channels of its group.
    """
    weights = k_h * k_w * c_in * c_out / g
    parameters = weights + bias * c_out
    outputs = n * c_out * h_out * w_out
    inputs = n * c_in * _touched(h_in, h_out, k_h) * _touched(w_in, w_out, k_w)
    return Cost(
        macs=n * h_out * w_out * weights,
        other_flops=bias * outputs,
        bytes_read=inputs * b_x + parameters * b_w,
        bytes_written=outputs * b_y,
        weight_bytes=parameters * b_w,
        parameters=parameters,
    )


@formula(
    "conv3d",
    kind="convolution",
    source=_SOURCE,
    gemm=lambda n, c_in, c_out, d_out, h_out, w_out, k_d, k_h, k_w, g, **_: (
        g,
        n * d_out * h_out * w_out,
        c_out / g,
        c_in / g * k_d * k_h * k_w,
    ),
)
def conv3d(
    n: S, c_in: S, c_out: S, d_in: S, h_in: S, w_in: S,
    d_out: S, h_out: S, w_out: S, k_d: S, k_h: S, k_w: S, g: S, bias: S,
    b_x: S, b_w: S, b_y: S,
) -> Cost:  # fmt: skip
    """Convolution over a volume or a video.

    Every output element takes k_d x k_h x k_w taps of the c_in/g channels of its group.
    """
    weights = k_d * k_h * k_w * c_in * c_out / g
    parameters = weights + bias * c_out
    outputs = n * c_out * d_out * h_out * w_out
    inputs = (
        n * c_in * _touched(d_in, d_out, k_d) * _touched(h_in, h_out, k_h)
        * _touched(w_in, w_out, k_w)
    )  # fmt: skip
    return Cost(
        macs=n * d_out * h_out * w_out * weights,
        other_flops=bias * outputs,
        bytes_read=inputs * b_x + parameters * b_w,
        bytes_written=outputs * b_y,
        weight_bytes=parameters * b_w,
        parameters=parameters,
    )


@formula(
    "conv_transpose2d",
    kind="convolution",
    source=_SOURCE + ", chapter 4",
    gemm=lambda n, c_in, c_out, h_in, w_in, k_h, k_w, g, **_: (
        g,
        n * h_in * w_in,
        c_out / g * k_h * k_w,
        c_in / g,
    ),
)
def conv_transpose2d(
    n: S, c_in: S, c_out: S, h_in: S, w_in: S, h_out: S, w_out: S,
    k_h: S, k_w: S, g: S, bias: S, b_x: S, b_w: S, b_y: S,
) -> Cost:  # fmt: skip
    """Transposed convolution: every *input* element is spread over k_h x k_w outputs."""
    weights = k_h * k_w * c_in * c_out / g
    parameters = weights + bias * c_out
    outputs = n * c_out * h_out * w_out
    return Cost(
        macs=n * h_in * w_in * weights,
        other_flops=bias * outputs,
        bytes_read=n * c_in * h_in * w_in * b_x + parameters * b_w,
        bytes_written=outputs * b_y,
        weight_bytes=parameters * b_w,
        parameters=parameters,
    )


def _kind(groups: Any, c_in: Any, c_out: Any) -> Kind:
    if groups == 1:
        return "convolution"
    return "depthwise convolution" if groups == c_in else "grouped convolution"


def bind_convolution_of(
    x: TensorSpec, weight: TensorSpec, y: TensorSpec, groups: Any, bias: bool, transposed: bool
) -> Binding:
    """Bind a convolution from its tensors: x (n, c_in, ...), weight, y (n, c_out, ...)."""
    n, c_in, *space_in = x.shape if len(x.shape) == len(weight.shape) else (1, *x.shape)
    space_out = y.shape[-len(space_in) :]
    c_out = y.shape[-len(space_in) - 1]
    kernel = weight.shape[2:]
    if weight.batched:
        # Per-sample weights ride on groups, one set per sample: count the sets as samples.
        n, c_in, c_out, groups = n * groups, c_in // groups, c_out // groups, 1
    kind = _kind(groups, c_in, c_out)
    common = {"n": n, "c_in": c_in, "c_out": c_out, "g": groups, "bias": int(bias)}
    sizes = {}
    for axes, values in (("_in", space_in), ("_out", space_out), ("k_", kernel)):
        for axis, value in zip(("d", "h", "w")[-len(values) :], values, strict=True):
            sizes[axes + axis if axes == "k_" else axis + axes] = value
    if transposed:
        # One dimension is a height of 1; three fold depth into height (only products matter).
        return Binding("conv_transpose2d", {**common, **_as_plane(sizes)}, kind)
    return Binding(f"conv{len(kernel)}d", {**common, **sizes}, kind)


def _as_plane(sizes: dict[str, Any]) -> dict[str, Any]:
    return {
        "h_in": sizes.get("h_in", 1) * sizes.get("d_in", 1),
        "w_in": sizes["w_in"],
        "h_out": sizes.get("h_out", 1) * sizes.get("d_out", 1),
        "w_out": sizes["w_out"],
        "k_h": sizes.get("k_h", 1) * sizes.get("k_d", 1),
        "k_w": sizes["k_w"],
    }


@binds("aten::convolution", "aten::_convolution")
def bind_convolution(
    op: Op, inputs: Sequence[TensorSpec | None], outputs: Sequence[TensorSpec]
) -> Binding:
    x, weight, bias = inputs[0], inputs[1], inputs[2] if len(inputs) > 2 else None
    assert x is not None and weight is not None
    transposed = bool(op.attrs.get("transposed", False))
    groups = op.attrs.get("groups", 1)
    return bind_convolution_of(x, weight, outputs[0], groups, bias is not None, transposed)

