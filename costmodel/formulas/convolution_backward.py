"""Gradients of a convolution, by reuse: each is a convolution of transposed shapes.

The gradient of the input spreads the output's gradient through the same weights, a transposed
convolution. The gradient of the weights convolves the input with the output's gradient, channels
and samples having changed places. Groups are carried in both, so the whole takes twice the
forward's multiply-accumulates for any number of groups.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

from costmodel.formulas.convolution import SOURCE, conv2d, kind_of
from costmodel.formulas.cost import Cost, S
from costmodel.formulas.reduction import reduction
from costmodel.formulas.registry import Binding, Inputs, Outputs, bind, binds, composition, required
from costmodel.formulas.transposed_convolution import conv_transpose2d
from costmodel.graph import Op, TensorSpec


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
    """All gradients, or the one that is asked for: as a kernel of its own if it is a product."""
    grad, x, weight = required(op, inputs, 0, 1, 2)
    wanted = tuple(int(w) for w in op.attrs.get("output_mask", (True, True, True)))
    transposed = op.attrs.get("transposed", False)
    kernel, g = weight.shape[2:], op.attrs.get("groups", 1)
    rank = len(kernel)
    kind = kind_of(g, x.shape[-rank - 1])
    taps = {"k_h": prod(kernel[:-1]), "k_w": kernel[-1], "g": g}
    data = {"n": prod(x.shape[: -rank - 1]), **_sizes("in", x, rank), **_sizes("out", grad, rank)}
    if wanted == (0, 0, 1):
        return bind(
            "reduction", e_x=grad.numel, e_y=grad.shape[-rank - 1], f=1, follows=frozenset({"e_x"})
        )
    if wanted == (1, 0, 0):
        name = "conv_transpose_input_gradient" if transposed else "convolution_input_gradient"
        return bind(name, kind=kind, **data, **taps)
    if wanted == (0, 1, 0):
        # That of a transposed convolution is one of its mirror image, input for output.
        mirror = {"n": data["n"], **_sizes("in", grad, rank), **_sizes("out", x, rank)}
        sizes = mirror if transposed else data
        return bind("convolution_weight_gradient", kind=kind, **sizes, **taps)
    return bind(
        "conv_transpose_backward" if transposed else "convolution_backward",
        kind=kind,
        **data,
        **taps,
        grad_x=wanted[0],
        grad_w=wanted[1],
        grad_b=wanted[2],
    )


def _sizes(side: str, spec: TensorSpec, rank: int) -> dict[str, Any]:
    """Channels and space; only products matter: one dimension has height 1, depth is in height."""
    return {
        f"c_{side}": spec.shape[-rank - 1],
        f"h_{side}": prod(spec.shape[-rank:-1]),
        f"w_{side}": spec.shape[-1],
    }
