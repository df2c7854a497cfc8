"""Normalisations that exporters write out: layer norm, group norm, variance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from costmodel.tracing.onnx_model.fusing.rewriting import (
    Rewriter,
    contents,
    fused,
    other_operand,
    with_scalar,
)
from costmodel.tracing.onnx_model.step import Step
from costmodel.tracing.onnx_model.values import Value


def _axes(step: Step) -> list[int] | None:
    x = step.inputs[0]
    known = step.inputs[1].known if len(step.inputs) > 1 and step.inputs[1] is not None else None
    axes = step.attrs.get("axes", known)
    if axes is None or x is None:
        return None
    return sorted(int(a) % x.rank for a in np.ravel(axes))


def layer_norm(rewriter: Rewriter, step: Step) -> bool:
    """(x − mean) / √(var + ε) · weight + bias over the last dimensions."""
    x, axes = step.inputs[0], _axes(step)
    if x is None or axes is None or axes != list(range(x.rank - len(axes), x.rank)):
        return False
    centred = rewriter.only_user(step.outputs[0], "Sub")
    if centred is None or centred.inputs[0] is not x:
        return False
    deviation = centred.outputs[0]
    squares = [s for s in rewriter.users(deviation) if s.name in ("Pow", "Mul")]
    quotients = [s for s in rewriter.users(deviation) if s.name == "Div"]
    if not squares or not quotients:
        return False
    square, quotient = squares[0], quotients[0]
    if square.name == "Pow" and with_scalar(square) != (deviation, 2.0):
        return False
    if square.name == "Mul" and square.inputs != [deviation, deviation]:
        return False
    variance = rewriter.only_user(square.outputs[0], "ReduceMean")
    if variance is None or _axes(variance) != axes:
        return False
    plus = rewriter.only_user(variance.outputs[0], "Add")
    if plus is None or with_scalar(plus) is None:
        return False
    root = rewriter.only_user(plus.outputs[0], "Sqrt")
    if root is None or quotient.inputs != [deviation, root.outputs[0]]:
        return False
    matched = [step, centred, square, variance, plus, root, quotient]
    shape = x.shape[axes[0] :]
    last, parameters = _affine(rewriter, quotient, lambda v: v.is_weight and v.shape == shape)
    matched += last
    attrs = {"axis": axes[0]}
    return rewriter.replace(
        matched, fused("LayerNormalization", [x, *parameters], matched[-1], **attrs)
    )


def deviation(rewriter: Rewriter, step: Step) -> bool:
    """Variance, or its root: mean of (x − mean)², times n / (n − 1) for the unbiased one."""
    x, axes = step.inputs[0], _axes(step)
    centred = rewriter.only_user(step.outputs[0], "Sub")
    if x is None or centred is None or centred.inputs[0] is not x:
        return False
    square = next(iter(rewriter.users(centred.outputs[0])), None)
    if square is None or square.name != "Mul" or square.inputs != [centred.outputs[0]] * 2:
        return False
    last = rewriter.only_user(square.outputs[0], "ReduceMean")
    if last is None or _axes(last) != axes:
        return False
    matched = [step, centred, square, last]
    for name in ("Mul", "Div"):
        factor = rewriter.only_user(last.outputs[0], name)
        if factor is not None and with_scalar(factor) is not None:
            matched.append(factor)
            last = factor
    name, root = "Variance", rewriter.only_user(last.outputs[0], "Sqrt")
    if root is not None:
        matched.append(root)
        name, last = "StandardDeviation", root
    return rewriter.replace(matched, fused(name, [x], last, axes=axes))


def _affine(
    rewriter: Rewriter, step: Step, fits: Callable[[Value], bool]
) -> tuple[list[Step], list[Value]]:
    """A multiplication by a weight and an addition of a bias that follow a step, if they do."""
    product = rewriter.only_user(step.outputs[0], "Mul")
    weight = None if product is None else other_operand(product, step.outputs[0])
    if product is None or weight is None or not fits(weight):
        return [], []
    total = rewriter.only_user(product.outputs[0], "Add")
    bias = None if total is None else other_operand(total, product.outputs[0])
    if total is None or bias is None or not fits(bias):
        return [product], [weight]
    return [product, total], [weight, bias]


def group_norm(rewriter: Rewriter, step: Step) -> bool:
    """Reshape to groups, instance norm with trivial weights, reshape back, then scale and shift."""
    before = rewriter.producer(step.inputs[0], "Reshape")
    after = rewriter.only_user(step.outputs[0], "Reshape")
    if before is None or after is None or before.inputs[0] is None:
        return False
    x, grouped = before.inputs[0], before.outputs[0]
    if grouped.rank != 3 or x.rank < 3 or x.shape != after.outputs[0].shape:
        return False
    trivial = [None if v is None else contents(v, 2**16) for v in step.inputs[1:3]]
    if trivial[0] is None or trivial[1] is None:
        return False
    if not (np.all(trivial[0] == 1) and np.all(trivial[1] == 0)):
        return False
    channels = x.shape[1]

    def per_channel(value: Value) -> bool:
        if value.scalar() in (0, 1):  # no weight or no bias
            return True
        stored = _stored(rewriter, value)
        return stored is not None and stored.is_weight and value.numel == channels

    last, parameters = _affine(rewriter, after, per_channel)
    reshapes = [s for v in parameters if (s := rewriter.producer(v, "Unsqueeze", "Reshape"))]
    stored = [None if v.scalar() in (0, 1) else _stored(rewriter, v) for v in parameters]
    end = (last or [after])[-1]
    new = fused("GroupNormalization", [x, *stored], end, num_groups=grouped.shape[1])
    return rewriter.replace([before, step, after, *reshapes, *last], new, keep=reshapes)


def _stored(rewriter: Rewriter, value: Value) -> Value | None:
    """The tensor behind an unsqueezed or reshaped one."""
    reshaped = rewriter.producer(value, "Unsqueeze", "Reshape")
    return value if reshaped is None else reshaped.inputs[0]
