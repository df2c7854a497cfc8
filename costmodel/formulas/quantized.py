"""Operators on small integers, as torch's int8 kernels name them: `quantized::conv2d_relu`.

Products and sums run on the integers themselves; each output is brought to its own scale and zero
point once. A fused ReLU is the lower clamp of that, and costs nothing more.
"""

from __future__ import annotations

from math import prod

from costmodel.formulas.activation import ACTIVATION_FLOPS
from costmodel.formulas.convolution import conv2d, kind_of
from costmodel.formulas.cost import Cost, S
from costmodel.formulas.elementwise import bind_pointwise
from costmodel.formulas.matmul import linear
from costmodel.formulas.movement import bind_copy
from costmodel.formulas.primitives import flops
from costmodel.formulas.quantization import DEQUANTIZE_FLOPS, QUANTIZE_FLOPS
from costmodel.formulas.registry import Binding, Inputs, Outputs, bind, binds, formula, required
from costmodel.graph import Op

_SOURCE = (
    "Jacob et al., Quantization and training of neural networks for efficient "
    "integer-arithmetic-only inference (2018), sections 2.2 and 2.4"
)


def requantized(cost: Cost, outputs: S) -> Cost:
    """The same work with so many 32-bit sums brought to the output's scale and zero point."""
    return cost + Cost(other_flops=QUANTIZE_FLOPS * outputs)


@formula(
    "quantized_conv2d",
    kind="convolution",
    source=_SOURCE,
    gemm=lambda n, c_in, c_out, h_out, w_out, k_h, k_w, g, **_: (
        g,
        n * h_out * w_out,
        c_out / g,
        c_in / g * k_h * k_w,
    ),
)
def quantized_conv2d(
    n: S, c_in: S, c_out: S, h_in: S, w_in: S, h_out: S, w_out: S,
    k_h: S, k_w: S, g: S, bias: S, b_x: S, b_w: S, b_y: S,
) -> Cost:  # fmt: skip
    """A convolution of integers whose outputs are requantised."""
    cost = conv2d.function(
        n=n, c_in=c_in, c_out=c_out, h_in=h_in, w_in=w_in, h_out=h_out, w_out=w_out,
        k_h=k_h, k_w=k_w, g=g, bias=bias, b_x=b_x, b_w=b_w, b_y=b_y,
    )  # fmt: skip
    return requantized(cost, n * c_out * h_out * w_out)


@formula(
    "quantized_linear",
    kind="matmul",
    source=_SOURCE,
    gemm=lambda m, c_in, c_out, **_: (1, m, c_out, c_in),
)
def quantized_linear(m: S, c_in: S, c_out: S, bias: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """A linear layer of integers whose outputs are requantised."""
    cost = linear.function(m=m, c_in=c_in, c_out=c_out, bias=bias, b_x=b_x, b_w=b_w, b_y=b_y)
    return requantized(cost, m * c_out)


@binds("quantized::conv2d", "quantized::conv2d_relu")
def bind_quantized_conv2d(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    x, weight = required(op, inputs, 0, 1)
    n, c_in, h_in, w_in = x.shape
    c_out, h_out, w_out = outputs[0].shape[1:]
    groups = c_in // weight.shape[1]
    return bind(
        "quantized_conv2d", kind=kind_of(groups, c_in), n=n, c_in=c_in, c_out=c_out, h_in=h_in,
        w_in=w_in, h_out=h_out, w_out=w_out, k_h=weight.shape[2], k_w=weight.shape[3], g=groups,
        bias=int(len(inputs) > 2 and inputs[2] is not None),
    )  # fmt: skip


@binds("quantized::linear", "quantized::linear_relu")
def bind_quantized_linear(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    x, weight = required(op, inputs, 0, 1)
    bias = len(inputs) > 2 and inputs[2] is not None
    return bind(
        "quantized_linear",
        m=prod(x.shape[:-1]),
        c_in=x.shape[-1],
        c_out=weight.shape[0],
        bias=int(bias),
    )


def _through_reals(operands: int, arithmetic: int) -> int:
    """FLOPs per element of an operator that brings its operands to reals and its result back."""
    return operands * DEQUANTIZE_FLOPS + arithmetic + QUANTIZE_FLOPS


QUANTIZED_FLOPS: dict[str, int] = {
    "add": _through_reals(2, flops(add=1)),
    "add_relu": _through_reals(2, flops(add=1)),
    "mul": _through_reals(2, flops(mul=1)),
    "mul_relu": _through_reals(2, flops(mul=1)),
    "add_scalar": 0,  # moves the zero point
    "mul_scalar": 0,  # changes the scale
    "hardswish": _through_reals(1, ACTIVATION_FLOPS["hardswish"]),
    "sigmoid": _through_reals(1, ACTIVATION_FLOPS["sigmoid"]),
    "leaky_relu": _through_reals(1, ACTIVATION_FLOPS["leaky_relu"]),
    "relu6": flops(compare=2),
}
"""FLOPs per output element of pointwise operators on integers."""

for _name, _flops in QUANTIZED_FLOPS.items():
    binds(f"quantized::{_name}")(bind_pointwise(f"quantized {_name}", _flops))
binds("quantized::cat", "aten::int_repr")(bind_copy)
