"""Partial attention convolution (PATConv): convolve c_p channels, attend to the other c - c_p.

Its three blocks differ in the attention: of channels, of positions, of positions to each other.
Both halves write into one output, so that joining them costs nothing.
"""

from __future__ import annotations

from costmodel.formulas.attention import attention_materialised
from costmodel.formulas.blocks import (
    activation,
    gaussian_channel_attention,
    pointwise_convolution,
    scaled,
)
from costmodel.formulas.cost import Cost, S
from costmodel.formulas.elementwise import elementwise
from costmodel.formulas.gather import gather_constant
from costmodel.formulas.matmul import linear
from costmodel.formulas.normalization import batch_norm, layer_norm
from costmodel.formulas.partial import pconv
from costmodel.formulas.registry import composition

_SOURCE = (
    "Huang et al., Partial Channel Network: Compute Fewer, Perform Better, section 3.1; norms as "
    "in the authors' released code"
)


@composition("pat_ch", source=_SOURCE)
def pat_ch(n: S, c: S, c_p: S, h: S, w: S, k: S, b_x: S, b_w: S, b_y: S) -> dict[str, Cost]:
    """k x k convolution of c_p channels; channel attention and batch norm on the others."""
    rest, p = c - c_p, h * w
    attend = gaussian_channel_attention.function(n=n, c=rest, p=p, b_x=b_x, b_w=b_w, b_y=b_y)
    return {
        "convolution": pconv.function(n=n, c_p=c_p, h=h, w=w, k=k, b_x=b_x, b_w=b_w, b_y=b_y),
        "channel attention": attend,
        "norm": batch_norm.function(n=n, c=rest, p=p, affine=1, b_x=b_x, b_w=b_w, b_y=b_y),
    }


@composition("pat_sp", source=_SOURCE)
def pat_sp(n: S, c: S, c_p: S, h: S, w: S, b_x: S, b_w: S, b_y: S) -> dict[str, Cost]:
    """1x1 convolution of c_p channels; a hard-sigmoid map of positions gates the others.

    At inference norm and convolution of the first part merge into the 1x1 convolution before.
    """
    rest, p = c - c_p, h * w
    norm = {"n": n, "p": p, "affine": 1, "b_x": b_x, "b_w": b_w, "b_y": b_y}
    return {
        "norm before": batch_norm.function(c=c_p, **norm),
        "convolution": pointwise_convolution(n, c_p, c_p, p, 0, b_x, b_w, b_y),
        "squeeze": pointwise_convolution(n, rest, 1, p, 0, b_x, b_w, b_y),
        "hard sigmoid": activation("hardsigmoid", n * p, b_x, b_y),
        "gate": scaled(n, rest, p, n * p, b_x, b_y),
        "norm": batch_norm.function(c=rest, **norm),
    }


@composition("pat_sf", source=_SOURCE + "; Wu et al., Rethinking and improving relative position "
             "encoding for vision transformer (2021)")  # fmt: skip
def pat_sf(
    n: S, c: S, c_p: S, h: S, w: S, k: S, heads: S, buckets: S, b_i: S, b_x: S, b_w: S, b_y: S
) -> dict[str, Cost]:
    """k x k convolution of c_p channels; the others attend to each other over all positions.

    Scores are materialised, since a learnt bias per head and bucket of distances is added to them.
    """
    rest, p = c - c_p, h * w
    pairs = p**2
    bias = gather_constant.function(e_i=pairs, e_w=heads * pairs, b_i=b_i, b_w=b_w, b_y=b_w) + Cost(
        parameters=heads * buckets
    )
    width = {"b_x": b_x, "b_w": b_w, "b_y": b_y}
    return {
        "convolution": pconv.function(n=n, c_p=c_p, h=h, w=w, k=k, **width),
        "norm": layer_norm.function(m=n * p, c=rest, affine=1, **width),
        "query, key, value": linear.function(m=n * p, c_in=rest, c_out=3 * rest, bias=0, **width),
        "position bias": bias,
        "add bias": elementwise.function(
            e_x=n * heads * pairs, e_w=heads * pairs, e_y=n * heads * pairs, f=1, **width
        ),
        "attention": attention_materialised.function(
            b=n, heads=heads, l=p, s=p, d=rest / heads, d_v=rest / heads, b_x=b_x, b_y=b_y
        ),
        "projection": linear.function(m=n * p, c_in=rest, c_out=rest, bias=1, **width),
    }
