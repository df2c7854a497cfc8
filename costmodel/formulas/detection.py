"""Detection: pooling regions of interest, and suppressing boxes that overlap."""

from __future__ import annotations

from math import prod

from costmodel.formulas.convolution import conv2d
from costmodel.formulas.cost import Cost, S
from costmodel.formulas.primitives import flops
from costmodel.formulas.registry import (
    Binding,
    Inputs,
    Outputs,
    bind,
    binds,
    composition,
    formula,
    required,
)
from costmodel.formulas.resize import COORDINATE_FLOPS
from costmodel.formulas.sizes import largest, smallest
from costmodel.graph import Op

BOX_PAIR_FLOPS = flops(compare=7, add=4, mul=1, div=1)
"""Intersection over union of two boxes: four corners, two sides clamped at 0, their product, the
union of the areas, a division and the comparison with the threshold."""

BOX_FLOPS = flops(add=2, mul=1)
"""Area of one box."""


@formula("roi_align", kind="pooling", source="He et al., Mask R-CNN (2017), section 3")
def roi_align(m: S, c: S, e_x: S, p_out: S, k: S, b_x: S, b_y: S) -> Cost:
    """m regions of c channels brought to p_out positions, each the mean of k bilinear samples.

    A sample takes 4 MACs per channel; its place and four weights serve all channels. e_x input
    elements are read, and five numbers per region.
    """
    samples = m * p_out * k
    return Cost(
        macs=4 * samples * c,
        other_flops=samples * (2 * COORDINATE_FLOPS + flops(mul=4)) + samples * c,
        bytes_read=(e_x + 5 * m) * b_x,
        bytes_written=m * c * p_out * b_y,
    )


@formula("nms", kind="reduction", source="Girshick et al., R-CNN (2014), section 2: the worst case")
def nms(n: S, m: S, b_x: S, b_y: S) -> Cost:
    """Non-maximum suppression of m boxes that all survive: sorted, then compared pair by pair.

    The boxes of each of n images are compared among themselves.

    How many pairs are compared depends on the values; fewer survive in practice.
    """
    import sympy

    pairs = m * (m - 1) / 2
    return Cost(
        other_flops=n * (pairs * BOX_PAIR_FLOPS + m * BOX_FLOPS + m * sympy.log(m, 2)),
        bytes_read=5 * n * m * b_x,
        bytes_written=n * m * b_y,
    )


@composition(
    "deformable_convolution", source="Dai et al., Deformable convolutional networks (2017), eq. 2"
)
def deformable_convolution(
    n: S, c_in: S, c_out: S, h_in: S, w_in: S, h_out: S, w_out: S, k_h: S, k_w: S, g: S, bias: S,
    e_i: S, b_i: S, b_x: S, b_w: S, b_y: S,
) -> dict[str, Cost]:  # fmt: skip
    """A convolution whose taps are sampled bilinearly at e_i learnt offsets (and weights)."""
    taps = n * c_in * h_out * w_out * k_h * k_w
    return {
        "sampling": Cost(macs=4 * taps, bytes_read=e_i * b_i),
        "convolution": conv2d.function(
            n=n, c_in=c_in, c_out=c_out, h_in=h_in, w_in=w_in, h_out=h_out, w_out=w_out,
            k_h=k_h, k_w=k_w, g=g, bias=bias, b_x=b_x, b_w=b_w, b_y=b_y,
        ),
    }  # fmt: skip


@binds("torchvision::roi_align")
def bind_roi_align(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    """A sampling ratio below 1 adapts to the region: 2 x 2 samples, Mask R-CNN's own, are taken."""
    x, y = required(op, inputs, 0)[0], outputs[0]
    ratio = op.attrs.get("sampling_ratio", -1)
    k = ratio**2 if ratio > 0 else 4
    m, c = y.shape[:2]
    p_out = prod(y.shape[2:])
    return bind("roi_align", m=m, c=c, e_x=smallest(x.distinct, 4 * k * y.numel), p_out=p_out, k=k)


@binds("torchvision::nms")
def bind_nms(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    (boxes,) = required(op, inputs, 0)
    # No boxes cost as much as one, which is next to nothing; the logarithm of 0 would be infinite.
    return bind("nms", n=1, m=largest(boxes.shape[0], 1), follows=frozenset({"n"}))


@binds("torchvision::deform_conv2d")
def bind_deformable_convolution(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    x, weight, offset = required(op, inputs, 0, 1, 2)
    mask, bias, y = inputs[3], inputs[4], outputs[0]
    offsets = offset.distinct + (mask.distinct if mask is not None else 0)
    return bind(
        "deformable_convolution",
        kind="convolution",
        n=x.shape[0],
        c_in=x.shape[1],
        c_out=weight.shape[0],
        h_in=x.shape[2],
        w_in=x.shape[3],
        h_out=y.shape[2],
        w_out=y.shape[3],
        k_h=weight.shape[2],
        k_w=weight.shape[3],
        g=x.shape[1] // weight.shape[1],
        bias=int(bias is not None),
        e_i=offsets,
        b_i=4,
        indices=frozenset({2, 3}),
    )
