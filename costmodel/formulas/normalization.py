"""Normalisation: batch, layer, group, instance and root-mean-square norms."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from costmodel.formulas.cost import Cost, S
from costmodel.formulas.elementwise import flops
from costmodel.formulas.registry import Binding, bind, binds, formula
from costmodel.graph import Op, TensorSpec

_STATISTICS = flops(add=2, mul=1)
"""Per element: add to the mean; subtract it, square and add to the variance (one MAC = 2)."""


@formula(
    "batch_norm",
    kind="normalization",
    source="Ioffe and Szegedy, Batch normalization (2015), algorithm 2",
)
def batch_norm(n: S, c: S, p: S, affine: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """Inference: y = x·scale + shift, scale and shift from four vectors of c channels.

    Running mean and variance are buffers; weight and bias (`affine`) are parameters.
    """
    elements = n * c * p
    vectors = (2 + 2 * affine) * c
    return Cost(
        other_flops=flops(mul=1, add=1) * elements + flops(sqrt=1, div=1, mul=2, add=2) * c,
        bytes_read=elements * b_x + vectors * b_w,
        bytes_written=elements * b_y,
        weight_bytes=vectors * b_w,
        parameters=2 * affine * c,
    )


@formula(
    "layer_norm",
    kind="normalization",
    source="Ba, Kiros and Hinton, Layer normalization (2016), equation 4",
)
def layer_norm(m: S, c: S, affine: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """m rows of c elements, each row brought to zero mean and unit variance."""
    return Cost(
        other_flops=m * c * (_STATISTICS + flops(add=1, mul=1) + affine * flops(mul=1, add=1)),
        bytes_read=m * c * b_x + 2 * affine * c * b_w,
        bytes_written=m * c * b_y,
        weight_bytes=2 * affine * c * b_w,
        parameters=2 * affine * c,
    )


@formula(
    "group_norm",
    kind="normalization",
    source="Wu and He, Group normalization (2018), equation 6",
)
def group_norm(n: S, c: S, p: S, affine: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """n samples of c channels at p positions, statistics over groups of channels and positions.

    The number of groups does not change the count; instance norm is one channel a group.
    """
    elements = n * c * p
    return Cost(
        other_flops=elements * (_STATISTICS + flops(add=1, mul=1) + affine * flops(mul=1, add=1)),
        bytes_read=elements * b_x + 2 * affine * c * b_w,
        bytes_written=elements * b_y,
        weight_bytes=2 * affine * c * b_w,
        parameters=2 * affine * c,
    )


@formula(
    "rms_norm",
    kind="normalization",
    source="Zhang and Sennrich, Root mean square layer normalization (2019), equation 4",
)
def rms_norm(m: S, c: S, affine: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """m rows of c elements, each row divided by its root mean square."""
    return Cost(
        other_flops=m * c * (flops(mul=1, add=1) + flops(mul=1) + affine * flops(mul=1)),
        bytes_read=m * c * b_x + affine * c * b_w,
        bytes_written=m * c * b_y,
        weight_bytes=affine * c * b_w,
        parameters=affine * c,
    )


def _affine(spec: TensorSpec | None) -> int:
    return int(spec is not None)


@binds(
    "aten::batch_norm",
    "aten::native_batch_norm",
    "aten::_native_batch_norm_legit",
    "aten::_native_batch_norm_legit_no_training",
    "aten::cudnn_batch_norm",
    "aten::_batch_norm_no_update",
)
def bind_batch_norm(
    op: Op, inputs: Sequence[TensorSpec | None], outputs: Sequence[TensorSpec]
) -> Binding:
    x = inputs[0]
    assert x is not None
    n, c, *space = x.shape
    return bind("batch_norm", n=n, c=c, p=prod(space), affine=_affine(inputs[1]))


@binds("aten::layer_norm", "aten::native_layer_norm")
def bind_layer_norm(
    op: Op, inputs: Sequence[TensorSpec | None], outputs: Sequence[TensorSpec]
) -> Binding:
    x = inputs[0]
    assert x is not None
    c = prod(op.attrs["normalized_shape"])
    return bind("layer_norm", m=prod(x.shape) // c, c=c, affine=_affine(inputs[1]))


@binds("aten::rms_norm", "aten::_fused_rms_norm")
def bind_rms_norm(
    op: Op, inputs: Sequence[TensorSpec | None], outputs: Sequence[TensorSpec]
) -> Binding:
    x = inputs[0]
    assert x is not None
    c = prod(op.attrs["normalized_shape"])
    weight = inputs[1] if len(inputs) > 1 else None
    return bind("rms_norm", m=prod(x.shape) // c, c=c, affine=_affine(weight))


@binds("aten::group_norm", "aten::native_group_norm", "aten::instance_norm")
def bind_group_norm(
    op: Op, inputs: Sequence[TensorSpec | None], outputs: Sequence[TensorSpec]
) -> Binding:
    x = inputs[0]
    assert x is not None
    n, c, *space = x.shape
    return bind("group_norm", n=n, c=c, p=prod(space), affine=_affine(inputs[1]))
