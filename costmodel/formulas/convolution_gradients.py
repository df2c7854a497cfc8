"""Each gradient of a convolution by itself, as the kernel of its own that a library runs for it.

A recorded backward is split into these (`tracing.training_graph`), since the products behind them
have different shapes: the gradient of the weights contracts over all positions of the batch.
Sizes are those of the forward pass; both take its multiply-accumulates, for any groups.
"""

from __future__ import annotations

from typing import Any

from costmodel.formulas.convolution import SOURCE, conv2d
from costmodel.formulas.cost import Cost, S
from costmodel.formulas.registry import formula
from costmodel.formulas.transposed_convolution import conv_transpose2d

_CHAPTER = SOURCE + ", chapter 4"


def _input_gemm(
    n: S, c_in: S, c_out: S, h_in: S, w_in: S, h_out: S, w_out: S, k_h: S, k_w: S, g: S, **_: Any
) -> tuple[S, S, S, S]:
    taps = k_h * k_w * h_out * w_out / (h_in * w_in)  # of a pixel: a stride leaves some out
    return g, n * h_in * w_in, c_in / g, c_out / g * taps


@formula("convolution_input_gradient", kind="convolution", source=_CHAPTER, gemm=_input_gemm)
def convolution_input_gradient(
    n: S, c_in: S, c_out: S, h_in: S, w_in: S, h_out: S, w_out: S, k_h: S, k_w: S, g: S,
    b_x: S, b_w: S, b_y: S,
) -> Cost:  # fmt: skip
    """The output's gradient spread through the weights over the input, a transposed convolution."""
    work = conv_transpose2d.function(
        n=n, c_in=c_out, c_out=c_in, h_in=h_out, w_in=w_out, h_out=h_in, w_out=w_in,
        k_h=k_h, k_w=k_w, g=g, bias=0, b_x=b_x, b_w=b_w, b_y=b_y,
    )  # fmt: skip
    return Cost(
        macs=work.macs,
        bytes_read=work.bytes_read,
        bytes_written=work.bytes_written,
        weight_bytes=work.weight_bytes,
    )


@formula(
    "convolution_weight_gradient",
    kind="convolution",
    source=_CHAPTER,
    gemm=lambda n, c_in, c_out, h_out, w_out, k_h, k_w, g, **_: (
        g,
        c_out / g,
        c_in / g * k_h * k_w,
        n * h_out * w_out,
    ),
)
def convolution_weight_gradient(
    n: S, c_in: S, c_out: S, h_in: S, w_in: S, h_out: S, w_out: S, k_h: S, k_w: S, g: S,
    b_x: S, b_y: S,
) -> Cost:  # fmt: skip
    """Every weight is the product of what it met, summed over samples and output positions."""
    work = conv2d.function(
        n=n, c_in=c_in, c_out=c_out, h_in=h_in, w_in=w_in, h_out=h_out, w_out=w_out,
        k_h=k_h, k_w=k_w, g=g, bias=0, b_x=b_x, b_w=0, b_y=b_x,
    )  # fmt: skip
    return Cost(
        macs=work.macs,
        bytes_read=work.bytes_read + n * c_out * h_out * w_out * b_x,
        bytes_written=c_out * c_in / g * k_h * k_w * b_y,
    )


@formula(
    "conv_transpose_input_gradient",
    kind="convolution",
    source=_CHAPTER,
    gemm=lambda n, c_in, c_out, h_in, w_in, k_h, k_w, g, **_: (
        g,
        n * h_in * w_in,
        c_in / g,
        c_out / g * k_h * k_w,
    ),
)
def conv_transpose_input_gradient(
    n: S, c_in: S, c_out: S, h_in: S, w_in: S, h_out: S, w_out: S, k_h: S, k_w: S, g: S,
    b_x: S, b_w: S, b_y: S,
) -> Cost:  # fmt: skip
    """Of a transposed convolution: a convolution of the output's gradient."""
    work = conv2d.function(
        n=n, c_in=c_out, c_out=c_in, h_in=h_out, w_in=w_out, h_out=h_in, w_out=w_in,
        k_h=k_h, k_w=k_w, g=g, bias=0, b_x=b_x, b_w=b_w, b_y=b_y,
    )  # fmt: skip
    return Cost(
        macs=work.macs,
        bytes_read=work.bytes_read,
        bytes_written=work.bytes_written,
        weight_bytes=work.weight_bytes,
    )
