"""Normalisation: batch, layer, group, instance and root-mean-square norms."""

from __future__ import annotations

from math import prod

from costmodel.formulas.cost import Cost, S
from costmodel.formulas.primitives import flops
from costmodel.formulas.registry import Binding, Inputs, Outputs, bind, binds, formula, required
from costmodel.graph import Op, TensorSpec

STATISTICS_FLOPS = flops(add=3, mul=1)
"""Per element: add to the mean; subtract it, square and add to the variance."""

NORMALIZE_FLOPS = flops(add=1, mul=1)
"""Per element: subtract the mean, times the reciprocal of the deviation."""

SCALE_FLOPS = flops(mul=1, add=1)
"""Per element: times the learnt scale, plus the learnt shift."""

DEVIATION_FLOPS = flops(add=1, sqrt=1, div=1)
"""Per statistic: 1 / √(variance + ε)."""


@formula(
    "batch_norm",
    kind="normalization",
    source="Ioffe and Szegedy, Batch normalization (2015), algorithm 2",
)
def batch_norm(n: S, c: S, p: S, affine: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """Inference: y = x · scale + shift, worked out per channel from two or four vectors.

    Running mean and variance are buffers; weight and bias (`affine`) are parameters.
    """
    elements = n * c * p
    vectors = (2 + 2 * affine) * c
    fold = DEVIATION_FLOPS + flops(mul=1) + affine * flops(mul=1, add=1)
    return Cost(
        other_flops=SCALE_FLOPS * elements + fold * c,
        bytes_read=elements * b_x + vectors * b_w,
        bytes_written=elements * b_y,
        weight_bytes=vectors * b_w,
        parameters=2 * affine * c,
    )


@formula(
    "batch_norm_training",
    kind="normalization",
    source="Ioffe and Szegedy, Batch normalization (2015), algorithm 1",
)
def batch_norm_training(n: S, c: S, p: S, affine: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """Training: mean and variance of each channel over the batch, then normalised with them.

    The batch is read twice, since its statistics are known only at the end of the first pass;
    running statistics are updated in place and the batch's own are kept for the gradient.
    """
    elements = n * c * p
    vectors = (2 + 2 * affine) * c
    update = 2 * flops(mul=2, add=1)
    return Cost(
        other_flops=elements * (STATISTICS_FLOPS + NORMALIZE_FLOPS + affine * SCALE_FLOPS)
        + c * (DEVIATION_FLOPS + update),
        bytes_read=2 * elements * b_x + vectors * b_w,
        bytes_written=elements * b_y + 2 * c * b_y + 2 * c * b_w,
        weight_bytes=vectors * b_w,
        parameters=2 * affine * c,
    )


@formula(
    "layer_norm",
    kind="normalization",
    source="Ba, Kiros and Hinton, Layer normalization (2016), equation 4",
)
def layer_norm(m: S, c: S, affine: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """m rows of c elements, each row brought to zero mean and unit variance, on chip."""
    return Cost(
        other_flops=m * c * (STATISTICS_FLOPS + NORMALIZE_FLOPS + affine * SCALE_FLOPS)
        + m * DEVIATION_FLOPS,
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
def group_norm(n: S, c: S, p: S, g: S, affine: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """n samples of c channels at p positions, statistics over each of g groups of channels.

    Instance norm is g = c: one channel a group.
    """
    elements = n * c * p
    return Cost(
        other_flops=elements * (STATISTICS_FLOPS + NORMALIZE_FLOPS + affine * SCALE_FLOPS)
        + n * g * DEVIATION_FLOPS,
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
        other_flops=m * c * (flops(mul=1, add=1) + flops(mul=1) + affine * flops(mul=1))
        + m * DEVIATION_FLOPS,
        bytes_read=m * c * b_x + affine * c * b_w,
        bytes_written=m * c * b_y,
        weight_bytes=affine * c * b_w,
        parameters=affine * c,
    )


@formula(
    "normalization_backward",
    kind="normalization",
    source="Ioffe and Szegedy, Batch normalization (2015), section 3, which layer and group norm "
    "share: dx = (g - mean g - x̂ · mean(g · x̂)) / σ with g = scale · dy",
)
def normalization_backward(e_x: S, c: S, m: S, affine: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """Gradients of a norm of e_x elements with m pairs of statistics and c learnt scales.

    Per element: x̂ again (2 FLOPs), the two sums (3), dx (5), and with `affine` g (1) and the sums
    that are the gradients of scale and shift (3). Input and gradient are read once.
    """
    return Cost(
        other_flops=e_x * (flops(add=5, mul=5) + affine * flops(add=2, mul=2)),
        bytes_read=(2 * e_x + 2 * m) * b_x + affine * c * b_w,
        bytes_written=(e_x + 2 * affine * c) * b_y,
        weight_bytes=affine * c * b_w,
    )


@formula(
    "rms_norm_backward",
    kind="normalization",
    source="Zhang and Sennrich, Root mean square layer normalization (2019), section 4: "
    "dx = (g - x̂ · mean(g · x̂)) / rms with g = scale · dy",
)
def rms_norm_backward(m: S, c: S, affine: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """Gradients of m rows of c elements, each with one statistic.

    Per element: x̂ again (1 FLOP), the sum (2), dx (3), and with `affine` g (1) and the sum that
    is the gradient of the scale (2).
    """
    return Cost(
        other_flops=m * c * (flops(add=2, mul=4) + affine * flops(add=1, mul=2)),
        bytes_read=(2 * m * c + m) * b_x + affine * c * b_w,
        bytes_written=(m * c + affine * c) * b_y,
        weight_bytes=affine * c * b_w,
    )


def _affine(spec: TensorSpec | None) -> int:
    return int(spec is not None)


_TRAINING = ("training", "train")


@binds(
    "aten::batch_norm",
    "aten::native_batch_norm",
    "aten::_native_batch_norm_legit",
    "aten::_native_batch_norm_legit_no_training",
    "aten::_native_batch_norm_legit_functional",
    "aten::cudnn_batch_norm",
    "aten::_batch_norm_no_update",
    "aten::_batch_norm_with_update",
)
def bind_batch_norm(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    (x,) = required(op, inputs, 0)
    n, c, *space = x.shape
    training = any(op.attrs.get(name, False) for name in _TRAINING)
    return bind(
        "batch_norm_training" if training else "batch_norm",
        n=n,
        c=c,
        p=prod(space),
        affine=_affine(inputs[1]),
    )


@binds("aten::layer_norm", "aten::native_layer_norm")
def bind_layer_norm(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    (x,) = required(op, inputs, 0)
    c = prod(op.attrs["normalized_shape"])
    return bind("layer_norm", m=x.numel // c, c=c, affine=_affine(inputs[1]))


@binds("aten::rms_norm", "aten::_fused_rms_norm")
def bind_rms_norm(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    (x,) = required(op, inputs, 0)
    c = prod(op.attrs["normalized_shape"])
    weight = inputs[1] if len(inputs) > 1 else None
    return bind("rms_norm", m=x.numel // c, c=c, affine=_affine(weight))


@binds("aten::group_norm", "aten::native_group_norm", "aten::instance_norm")
def bind_group_norm(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    (x,) = required(op, inputs, 0)
    n, c, *space = x.shape
    g = op.attrs.get("num_groups", op.attrs.get("group", c))
    return bind("group_norm", n=n, c=c, p=prod(space), g=g, affine=_affine(inputs[1]))


@binds("aten::native_batch_norm_backward", "aten::batch_norm_backward")
def bind_batch_norm_backward(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    (x,) = required(op, inputs, 1)
    c = x.shape[1]
    return bind(
        "normalization_backward",
        e_x=x.numel, c=c, m=c, affine=_affine(inputs[2]), follows=frozenset({"e_x"}),
    )  # fmt: skip


@binds("aten::cudnn_batch_norm_backward", "aten::miopen_batch_norm_backward")
def bind_library_batch_norm_backward(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    """The native one's work, with the input before the gradient."""
    grad, x = inputs[1], inputs[0]
    return bind_batch_norm_backward(op, [grad, x, *inputs[2:]], outputs)


@binds("aten::_fused_rms_norm_backward")
def bind_rms_norm_backward(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    (x,) = required(op, inputs, 1)
    c = prod(op.attrs["normalized_shape"])
    affine = _affine(inputs[3] if len(inputs) > 3 else None)
    return bind("rms_norm_backward", m=x.numel // c, c=c, affine=affine)


@binds("aten::native_layer_norm_backward")
def bind_layer_norm_backward(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    (x,) = required(op, inputs, 1)
    c = prod(op.attrs["normalized_shape"])
    affine = _affine(inputs[4] if len(inputs) > 4 else None)
    return bind("normalization_backward", e_x=x.numel, c=c, m=x.numel // c, affine=affine)


@binds("aten::native_group_norm_backward")
def bind_group_norm_backward(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    (x,) = required(op, inputs, 1)
    m = op.attrs["N"] * op.attrs["group"]
    return bind("normalization_backward", e_x=x.numel, c=x.shape[1], m=m, affine=_affine(inputs[4]))
