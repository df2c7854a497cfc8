"""Convolution in one, two and three dimensions: dense, grouped, depthwise, pointwise, dilated.

One grouped formula covers all: dense is g = 1, depthwise g = c_in = c_out, pointwise k = 1;
dilation and stride show in the output size only. Taps that fall on padding are counted, as every
common counter does and as GPU kernels compute; `valid_taps` has the variant that leaves them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from costmodel.formulas.cost import Cost, S
from costmodel.formulas.registry import (
    Binding,
    Inputs,
    Kind,
    Outputs,
    Textbook,
    binds,
    formula,
    required,
)
from costmodel.graph import Op, TensorSpec

SOURCE = "Dumoulin and Visin, A guide to convolution arithmetic for deep learning (2016)"


def read_along(size: S, size_out: S, k: S) -> S:
    """Input rows read along one axis: all of them, or k for each output if strides skip some.

    With k > 1, rows behind the last window (fewer than the stride) are counted as read.
    """
    import sympy

    return sympy.Min(size, size_out * k)


def convolve(
    n: S, c_in: S, c_out: S, p_in: S, p_out: S, taps: S, g: S, bias: S, b_x: S, b_w: S, b_y: S
) -> Cost:
    """n images: p_out outputs per channel, each from `taps` x c_in/g inputs; p_in are read."""
    weights = taps * c_in * c_out / g
    parameters = weights + bias * c_out
    outputs = n * c_out * p_out
    return Cost(
        macs=n * p_out * weights,
        other_flops=bias * outputs,
        bytes_read=n * c_in * p_in * b_x + parameters * b_w,
        bytes_written=outputs * b_y,
        weight_bytes=parameters * b_w,
        parameters=parameters,
    )


@formula(
    "conv1d",
    kind="convolution",
    source=SOURCE,
    gemm=lambda n, c_in, c_out, w_out, k_w, g, **_: (g, n * w_out, c_out / g, c_in / g * k_w),
)
def conv1d(
    n: S, c_in: S, c_out: S, w_in: S, w_out: S, k_w: S, g: S, bias: S, b_x: S, b_w: S, b_y: S
) -> Cost:
    """Convolution along a sequence.

    Every output element takes k_w taps of the c_in/g channels of its group.
    """
    p_in = read_along(w_in, w_out, k_w)
    return convolve(n, c_in, c_out, p_in, w_out, k_w, g, bias, b_x, b_w, b_y)


@formula(
    "conv2d",
    kind="convolution",
    source=SOURCE,
    textbook=Textbook(
        macs=lambda h_out, w_out, k_h, k_w, c_in, c_out, **_: (
            h_out * w_out * k_h * k_w * c_in * c_out
        ),
        accesses=lambda h_out, w_out, c_in, k_h, k_w, **_: (
            h_out * w_out * 2 * c_in + k_h * k_w * c_in**2
        ),
        citation="Chen et al., Run, Don't Walk (CVPR 2023), section 3.2",
        difference="one image, no groups, no bias, stride 1 and as many channels out as in",
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
    p_in = read_along(h_in, h_out, k_h) * read_along(w_in, w_out, k_w)
    return convolve(n, c_in, c_out, p_in, h_out * w_out, k_h * k_w, g, bias, b_x, b_w, b_y)


@formula(
    "conv3d",
    kind="convolution",
    source=SOURCE,
    gemm=lambda n, c_in, c_out, d_out, h_out, w_out, k_d, k_h, k_w, g, **_: (
        g,
        n * d_out * h_out * w_out,
        c_out / g,
        c_in / g * k_d * k_h * k_w,
    ),
)
def conv3d(
    n: S, c_in: S, c_out: S, d_in: S, h_in: S, w_in: S, d_out: S, h_out: S, w_out: S,
    k_d: S, k_h: S, k_w: S, g: S, bias: S, b_x: S, b_w: S, b_y: S,
) -> Cost:  # fmt: skip
    """Convolution over a volume or a video.

    Every output element takes k_d x k_h x k_w taps of the c_in/g channels of its group.
    """
    p_in = (
        read_along(d_in, d_out, k_d) * read_along(h_in, h_out, k_h) * read_along(w_in, w_out, k_w)
    )
    p_out, taps = d_out * h_out * w_out, k_d * k_h * k_w
    return convolve(n, c_in, c_out, p_in, p_out, taps, g, bias, b_x, b_w, b_y)


def kind_of(groups: Any, c_in: Any) -> Kind:
    """Which sort of convolution so many groups make it."""
    if groups == 1:
        return "convolution"
    return "depthwise convolution" if groups == c_in else "grouped convolution"


def axis_sizes(prefix: str, suffix: str, sizes: Sequence[Any]) -> dict[str, Any]:
    """Symbol values of spatial sizes, last axis first named w: {"h_in": 5, "w_in": 7}."""
    axes = ("d", "h", "w")[-len(sizes) :]
    return {f"{prefix}{axis}{suffix}": size for axis, size in zip(axes, sizes, strict=True)}


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
    values = {
        "n": n, "c_in": c_in, "c_out": c_out, "g": groups, "bias": int(bias),
        **axis_sizes("", "_in", space_in), **axis_sizes("", "_out", space_out),
        **axis_sizes("k_", "", kernel),
    }  # fmt: skip
    name = f"conv_transpose{len(kernel)}d" if transposed else f"conv{len(kernel)}d"
    return Binding(name, values, kind_of(groups, c_in))


@binds("aten::convolution", "aten::_convolution")
def bind_convolution(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    x, weight = required(op, inputs, 0, 1)
    bias = inputs[2] if len(inputs) > 2 else None
    transposed = bool(op.attrs.get("transposed", False))
    groups = op.attrs.get("groups", 1)
    return bind_convolution_of(x, weight, outputs[0], groups, bias is not None, transposed)
