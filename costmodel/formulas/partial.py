"""Operators that work on part of the channels, and the compositions they are compared with."""

from __future__ import annotations

from costmodel.formulas.convolution import conv2d
from costmodel.formulas.cost import Cost, S
from costmodel.formulas.registry import Textbook, formula


@formula(
    "pconv",
    kind="composition",
    source="Chen et al., Run, Don't Walk: Chasing Higher FLOPS for Faster Neural Networks "
    "(CVPR 2023), section 3.3",
    textbook=Textbook(
        macs=lambda h, w, k, c_p, **_: h * w * k**2 * c_p**2,
        accesses=lambda h, w, c_p, **_: h * w * 2 * c_p,
        citation="Chen et al., Run, Don't Walk (CVPR 2023), equations 5 and 6, for one image",
    ),
)
def pconv(n: S, c_p: S, h: S, w: S, k: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """Partial convolution: a k x k convolution on c_p of the channels, the others untouched.

    Written in place, so that untouched channels cost nothing; stride 1.
    """
    return conv2d.function(
        n=n, c_in=c_p, c_out=c_p, h_in=h, w_in=w, h_out=h, w_out=w, k_h=k, k_w=k, g=1, bias=0,
        b_x=b_x, b_w=b_w, b_y=b_y,
    )  # fmt: skip


@formula(
    "dwconv",
    kind="composition",
    source="Howard et al., MobileNets (2017), section 3.1",
    textbook=Textbook(
        macs=lambda h, w, k, c, **_: h * w * k**2 * c,
        accesses=lambda h, w, c, **_: h * w * 2 * c,
        citation="Chen et al., Run, Don't Walk (CVPR 2023), equations 1 and 2, for one image; "
        "c is written c' there, since depthwise layers are widened",
    ),
)
def dwconv(n: S, c: S, h: S, w: S, k: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """Depthwise convolution: one k x k filter per channel, stride 1."""
    return conv2d.function(
        n=n, c_in=c, c_out=c, h_in=h, w_in=w, h_out=h, w_out=w, k_h=k, k_w=k, g=c, bias=0,
        b_x=b_x, b_w=b_w, b_y=b_y,
    )  # fmt: skip


@formula(
    "conv",
    kind="composition",
    source="Dumoulin and Visin, A guide to convolution arithmetic for deep learning (2016)",
    textbook=Textbook(
        macs=lambda h, w, k, c, **_: h * w * k**2 * c**2,
        accesses=lambda h, w, k, c, **_: h * w * 2 * c + k**2 * c**2,
        citation="Chen et al., Run, Don't Walk (CVPR 2023), section 3.2, for one image",
    ),
)
def conv(n: S, c: S, h: S, w: S, k: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """Regular convolution of c to c channels, stride 1: what the others are compared with."""
    return conv2d.function(
        n=n, c_in=c, c_out=c, h_in=h, w_in=w, h_out=h, w_out=w, k_h=k, k_w=k, g=1, bias=0,
        b_x=b_x, b_w=b_w, b_y=b_y,
    )  # fmt: skip


@formula(
    "separable",
    kind="composition",
    source="Howard et al., MobileNets (2017), section 3.1",
    textbook=Textbook(
        macs=lambda h, w, k, c_in, c_out, **_: h * w * (k**2 * c_in + c_in * c_out),
        accesses=None,
        citation="Howard et al., MobileNets (2017), equation 5, for one image",
    ),
)
def separable(
    n: S, c_in: S, c_out: S, h: S, w: S, k: S, b_x: S, b_w: S, b_y: S
) -> Cost:
    """Depthwise separable convolution: depthwise k x k, then pointwise to c_out channels."""
    pointwise = conv2d.function(
        n=n, c_in=c_in, c_out=c_out, h_in=h, w_in=w, h_out=h, w_out=w, k_h=1, k_w=1, g=1, bias=0,
        b_x=b_x, b_w=b_w, b_y=b_y,
    )  # fmt: skip
    return dwconv.function(n=n, c=c_in, h=h, w=w, k=k, b_x=b_x, b_w=b_w, b_y=b_y) + pointwise
