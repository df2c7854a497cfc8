"""Sampling an image at new places: resizing, grid sampling, and their gradients.

An output is a weighted sum of its k nearest inputs: 2 linear, 4 bilinear, 8 trilinear, 16 bicubic;
nearest-neighbour resizing only copies.
"""

from __future__ import annotations

from math import prod
from typing import Any

from costmodel.formulas.cost import Cost, S
from costmodel.formulas.primitives import flops
from costmodel.formulas.registry import (
    Binder,
    Binding,
    Inputs,
    Outputs,
    bind,
    binds,
    formula,
    required,
)
from costmodel.formulas.sizes import ceiling, is_symbolic, smallest
from costmodel.graph import Op, TensorSpec

_SOURCE = "Keys, Cubic convolution interpolation for digital image processing (1981)"

COORDINATE_FLOPS = flops(add=2, mul=1, compare=1)
"""Per axis and place: bring a coordinate to pixels, round it down, keep the fraction."""


@formula("resize", kind="elementwise", source=_SOURCE)
def resize(e_x: S, e_y: S, k: S, b_x: S, b_y: S) -> Cost:
    """Interpolation on a regular grid: k multiplications and k - 1 additions per output."""
    return Cost(
        other_flops=(2 * k - 1) * e_y,
        bytes_read=e_x * b_x,
        bytes_written=e_y * b_y,
    )


@formula("resize_backward", kind="elementwise", source=_SOURCE)
def resize_backward(e_x: S, e_y: S, k: S, b_x: S, b_y: S) -> Cost:
    """e_x gradients, each times k weights and added to as many of e_y inputs."""
    return Cost(
        other_flops=2 * k * e_x,
        bytes_read=e_x * b_x,
        bytes_written=e_y * b_y,
    )


@formula(
    "grid_sample",
    kind="elementwise",
    source="Jaderberg et al., Spatial transformer networks (2015), section 3.3",
)
def grid_sample(n: S, c: S, p_in: S, p_out: S, d: S, k: S, b_x: S, b_y: S) -> Cost:
    """c channels sampled at p_out places of n images, each place given by d coordinates.

    Coordinates and the k weights of a place (d - 1 products each) serve all channels.
    """
    places = n * p_out
    return Cost(
        other_flops=places * (d * COORDINATE_FLOPS + (d - 1) * k) + places * c * (2 * k - 1),
        bytes_read=(n * c * p_in + places * d) * b_x,
        bytes_written=places * c * b_y,
    )


@formula(
    "grid_sample_backward",
    kind="elementwise",
    source="Jaderberg et al., Spatial transformer networks (2015), equations 6 and 7",
)
def grid_sample_backward(
    n: S, c: S, p_in: S, p_out: S, d: S, k: S, grad_x: S, b_x: S, b_y: S
) -> Cost:
    """Gradients of the coordinates, and with grad_x = 1 of the image, for p_out places each.

    Places and weights are made again. Per channel and neighbour: its weight times the gradient is
    added to the image's; its value times the gradient times the slope of the weight to each of the
    d coordinates', which are scaled to pixels at the end.
    """
    places = n * p_out
    return Cost(
        other_flops=places * (d * COORDINATE_FLOPS + (d - 1) * k + d)
        + places * c * k * (2 * grad_x + d * flops(mul=2, add=1)),
        bytes_read=(places * c + n * c * p_in + places * d) * b_x,
        bytes_written=(grad_x * n * c * p_in + places * d) * b_y,
    )


def _resize(neighbours: int) -> Binder:
    def binder(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
        x, y = required(op, inputs, 0)[0], outputs[0]
        read = smallest(x.distinct, y.numel * neighbours)
        if neighbours == 1:
            return bind("movement", e_x=read, e_w=0, e_y=y.numel)
        return bind("resize", e_x=read, e_y=y.numel, k=neighbours)

    return binder


def _taps(width: int, image: TensorSpec, resized: TensorSpec) -> Any:
    """Inputs that an output of an antialiased resizing weighs.

    Shrinking widens the filter: `width` x scale inputs along each axis.
    """
    return prod(
        width if not is_symbolic(a, b) and a <= b else smallest(a, ceiling(width * a, b))
        for a, b in zip(image.shape[2:], resized.shape[2:], strict=True)
    )


def _antialiased(width: int) -> Binder:
    def binder(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
        x, y = required(op, inputs, 0)[0], outputs[0]
        return bind("resize", e_x=x.distinct, e_y=y.numel, k=_taps(width, x, y))

    return binder


def _antialiased_gradient(width: int) -> Binder:
    """Each gradient of an output is added to the inputs that the output weighed."""

    def binder(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
        grad, x = required(op, inputs, 0)[0], outputs[0]
        return bind("resize_backward", e_x=grad.distinct, e_y=x.numel, k=_taps(width, x, grad))

    return binder


def _gradient(neighbours: int) -> Binder:
    def binder(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
        (grad,) = required(op, inputs, 0)
        return bind("resize_backward", e_x=grad.distinct, e_y=outputs[0].numel, k=neighbours)

    return binder


for _name, _neighbours in {
    "upsample_nearest1d": 1,
    "upsample_nearest2d": 1,
    "upsample_nearest3d": 1,
    "_upsample_nearest_exact1d": 1,
    "_upsample_nearest_exact2d": 1,
    "_upsample_nearest_exact3d": 1,
    "upsample_linear1d": 2,
    "upsample_bilinear2d": 4,
    "upsample_trilinear3d": 8,
    "upsample_bicubic2d": 16,
}.items():
    binds(f"aten::{_name}")(_resize(_neighbours))
    binds(f"aten::{_name}_backward")(_gradient(_neighbours))
for _name, _width in {"_upsample_bilinear2d_aa": 2, "_upsample_bicubic2d_aa": 4}.items():
    binds(f"aten::{_name}")(_antialiased(_width))
    binds(f"aten::{_name}_backward")(_antialiased_gradient(_width))


def _sampled(op: Op, x: TensorSpec, places: int) -> dict[str, Any]:
    """Sizes of a sampling of x at so many places per image. Modes: 0 linear, 1 nearest, 2 cubic."""
    n, c, *space = x.shape
    rank = len(space)
    k = {0: 2, 1: 1, 2: 4}[op.attrs.get("interpolation_mode", 0)] ** rank
    p_in = smallest(prod(space), places * k)
    return {"n": n, "c": c, "p_in": p_in, "p_out": places, "d": rank, "k": k}


@binds("aten::grid_sampler_2d", "aten::grid_sampler_3d", "aten::grid_sampler")
def bind_grid_sample(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    x = required(op, inputs, 0)[0]
    return bind("grid_sample", **_sampled(op, x, prod(outputs[0].shape[2:])))


@binds("aten::grid_sampler_2d_backward", "aten::grid_sampler_3d_backward")
def bind_grid_sample_backward(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    grad, x = required(op, inputs, 0, 1)
    wanted = op.attrs.get("output_mask", (True, True))[0]
    sizes = _sampled(op, x, prod(grad.shape[2:]))
    return bind("grid_sample_backward", **sizes, grad_x=int(wanted))
