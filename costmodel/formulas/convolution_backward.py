"""Gradients of a convolution, by reuse: each is a convolution of transposed shapes.

The gradient of the input spreads the output's gradient through the same weights, a transposed
convolution. The gradient of the weights convolves the input with the output's gradient, channels
and samples having changed places. Groups are carried in both, so the whole takes twice the
forward's multiply-accumulates for any number of groups.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from costmodel.formulas.convolution import SOURCE, conv2d, kind_of
from costmodel.formulas.cost import Cost, S
from costmodel.formulas.reduction import reduction
from costmodel.formulas.registry import Binding, Inputs, Outputs, bind, binds, composition, required
from costmodel.formulas.transposed_convolution import conv_transpose2d
from costmodel.graph import Op


@composition("convolution_backward", source=SOURCE + ", chapter 4")
def convolution_backward(
    n: S, c_in: S, c_out: S, h_in: S, w_in: S, h_out: S, w_out: S, k_h: S, k_w: S, g: S,
    grad_x: S, grad_w: S, grad_b: S, b_x: S, b_w: S, b_y: S,
) -> dict[str, Cost]:  # fmt: skip
    """Gradients of input, weights and bias, each if wanted; sizes are those of the forward pass."""
    spread = conv_transpose2d.function(
        n=n, c_in=c_out, c_out=c_in, h_in=h_out, w_in=w_out, h_out=h_in, w_out=w_in,
        k_h=k_h, k_w=k_w, g=g, bias=0, b_x=b_x, b_w=b_w, b_y=b_y,
    )  # fmt: skip
    # Channels of a group are the samples, samples the channels, and the gradient is the kernel.
    correlate = conv2d.function(
        n=c_in / g, c_in=n * g, c_out=c_out, h_in=h_in, w_in=w_in, h_out=k_h, w_out=k_w,
        k_h=h_out, k_w=w_out, g=g, bias=0, b_x=b_x, b_w=b_x, b_y=b_y,
    )  # fmt: skip
    summed = reduction.function(e_x=n * c_out * h_out * w_out, e_y=c_out, f=1, b_x=b_x, b_y=b_y)
    return {
        "input gradient": replace(spread, parameters=0) * grad_x,
        "weight gradient": replace(correlate, parameters=0, weight_bytes=0) * grad_w,
        "bias gradient": summed * grad_b,
    }


@composition("conv_transpose_backward", source=SOURCE + ", chapter 4")
def conv_transpose_backward(
    n: S, c_in: S, c_out: S, h_in: S, w_in: S, h_out: S, w_out: S, k_h: S, k_w: S, g: S,
    grad_x: S, grad_w: S, grad_b: S, b_x: S, b_w: S, b_y: S,
) -> dict[str, Cost]:  # fmt: skip
    """Gradients of a transposed convolution: the mirror image, with a convolution for the input."""
    convolve = conv2d.function(
        n=n, c_in=c_out, c_out=c_in, h_in=h_out, w_in=w_out, h_out=h_in, w_out=w_in,
        k_h=k_h, k_w=k_w, g=g, bias=0, b_x=b_x, b_w=b_w, b_y=b_y,
    )  # fmt: skip
    correlate = conv2d.function(
        n=c_out / g, c_in=n * g, c_out=c_in, h_in=h_out, w_in=w_out, h_out=k_h, w_out=k_w,
        k_h=h_in, k_w=w_in, g=g, bias=0, b_x=b_x, b_w=b_x, b_y=b_y,
    )  # fmt: skip
    summed = reduction.function(e_x=n * c_out * h_out * w_out, e_y=c_out, f=1, b_x=b_x, b_y=b_y)
    return {
        "input gradient": replace(convolve, parameters=0) * grad_x,
        "weight gradient": replace(correlate, parameters=0, weight_bytes=0) * grad_w,
        "bias gradient": summed * grad_b,
    }


@binds("aten::convolution_backward")
def bind_convolution_backward(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    grad, x, weight = required(op, inputs, 0, 1, 2)
    wanted = op.attrs.get("output_mask", (True, True, True))
    transposed = op.attrs.get("transposed", False)
    kernel, g = weight.shape[2:], op.attrs.get("groups", 1)
    rank = len(kernel)
    c_in = x.shape[-rank - 1]
    return bind(
        "conv_transpose_backward" if transposed else "convolution_backward",
        kind=kind_of(g, c_in),
        n=prod(x.shape[: -rank - 1]),
        c_in=c_in,
        c_out=grad.shape[-rank - 1],
        # Only products matter: one dimension has height 1, three fold depth into height.
        h_in=prod(x.shape[-rank:-1]),
        w_in=x.shape[-1],
        h_out=prod(grad.shape[-rank:-1]),
        w_out=grad.shape[-1],
        k_h=prod(kernel[:-1]),
        k_w=kernel[-1],
        g=g,
        grad_x=int(wanted[0]),
        grad_w=int(wanted[1]),
        grad_b=int(wanted[2]),
    )
