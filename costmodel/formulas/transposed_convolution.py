"""Transposed convolution: every *input* element is spread over a window of outputs.

The same multiply-accumulates as the convolution whose gradient it is. Outputs that padding crops
are counted, as kernels compute them.
"""

from __future__ import annotations

from costmodel.formulas.convolution import SOURCE
from costmodel.formulas.cost import Cost, S
from costmodel.formulas.registry import formula

_CHAPTER = SOURCE + ", chapter 4"


def spread(
    n: S, c_in: S, c_out: S, p_in: S, p_out: S, taps: S, g: S, bias: S, b_x: S, b_w: S, b_y: S
) -> Cost:
    """n images: p_in inputs per channel, each added to `taps` x c_out/g of the p_out outputs."""
    weights = taps * c_in * c_out / g
    parameters = weights + bias * c_out
    outputs = n * c_out * p_out
    return Cost(
        macs=n * p_in * weights,
        other_flops=bias * outputs,
        bytes_read=n * c_in * p_in * b_x + parameters * b_w,
        bytes_written=outputs * b_y,
        weight_bytes=parameters * b_w,
        parameters=parameters,
    )


@formula(
    "conv_transpose1d",
    kind="convolution",
    source=_CHAPTER,
    gemm=lambda n, c_in, c_out, w_in, k_w, g, **_: (g, n * w_in, c_out / g * k_w, c_in / g),
)
def conv_transpose1d(
    n: S, c_in: S, c_out: S, w_in: S, w_out: S, k_w: S, g: S, bias: S, b_x: S, b_w: S, b_y: S
) -> Cost:
    """Transposed convolution along a sequence."""
    return spread(n, c_in, c_out, w_in, w_out, k_w, g, bias, b_x, b_w, b_y)


@formula(
    "conv_transpose2d",
    kind="convolution",
    source=_CHAPTER,
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
    """Transposed convolution over an image."""
    p_in, p_out = h_in * w_in, h_out * w_out
    return spread(n, c_in, c_out, p_in, p_out, k_h * k_w, g, bias, b_x, b_w, b_y)


@formula(
    "conv_transpose3d",
    kind="convolution",
    source=_CHAPTER,
    gemm=lambda n, c_in, c_out, d_in, h_in, w_in, k_d, k_h, k_w, g, **_: (
        g,
        n * d_in * h_in * w_in,
        c_out / g * k_d * k_h * k_w,
        c_in / g,
    ),
)
def conv_transpose3d(
    n: S, c_in: S, c_out: S, d_in: S, h_in: S, w_in: S, d_out: S, h_out: S, w_out: S,
    k_d: S, k_h: S, k_w: S, g: S, bias: S, b_x: S, b_w: S, b_y: S,
) -> Cost:  # fmt: skip
    """Transposed convolution over a volume or a video."""
    p_in, p_out = d_in * h_in * w_in, d_out * h_out * w_out
    return spread(n, c_in, c_out, p_in, p_out, k_d * k_h * k_w, g, bias, b_x, b_w, b_y)
