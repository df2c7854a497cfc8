"""Activations that exporters write out: SiLU, hard swish, Mish, GELU."""

from __future__ import annotations

from costmodel.tracing.onnx_model.fusing.rewriting import (
    Rewriter,
    fused,
    near,
    other_operand,
    with_scalar,
)
from costmodel.tracing.onnx_model.step import Step
from costmodel.tracing.onnx_model.values import Value


def _gated(rewriter: Rewriter, x: Value, gate: Step, matched: list[Step], name: str) -> bool:
    """x times the gate's output."""
    product = rewriter.only_user(gate.outputs[0], "Mul")
    if product is None or other_operand(product, gate.outputs[0]) is not x:
        return False
    return rewriter.replace([*matched, gate, product], fused(name, [x], product))


def silu(rewriter: Rewriter, step: Step) -> bool:
    """x · sigmoid(x)."""
    x = step.inputs[0]
    return x is not None and _gated(rewriter, x, step, [], "Swish")


def hardswish(rewriter: Rewriter, step: Step) -> bool:
    """x · hardsigmoid(x) with slope 1/6."""
    x = step.inputs[0]
    if x is None or not near(step.attrs.get("alpha", 0.2), 1 / 6):
        return False
    return _gated(rewriter, x, step, [], "HardSwish")


def mish(rewriter: Rewriter, step: Step) -> bool:
    """x · tanh(softplus(x))."""
    x, tanh = step.inputs[0], rewriter.only_user(step.outputs[0], "Tanh")
    return x is not None and tanh is not None and _gated(rewriter, x, tanh, [step], "Mish")


def _half_of_gelu(
    rewriter: Rewriter, x: Value, function: Step, matched: list[Step], approximate: str
) -> bool:
    """From erf or tanh on: add 1, then times x and a half in any order."""
    plus = rewriter.only_user(function.outputs[0], "Add")
    if plus is None or (pair := with_scalar(plus)) is None or pair[1] != 1:
        return False
    matched = [*matched, function, plus]
    value, times_x, halved, last = plus.outputs[0], False, False, plus
    while not (times_x and halved):
        product = rewriter.only_user(value, "Mul")
        if product is None:
            return False
        other = other_operand(product, value)
        inner = rewriter.producer(other, "Mul")
        if other is x and not times_x:
            times_x = True
        elif other is not None and other.scalar() == 0.5 and not halved:
            halved = True
        elif inner is not None and not (times_x or halved) and with_scalar(inner) == (x, 0.5):
            matched.append(inner)
            times_x = halved = True
        else:
            return False
        matched.append(product)
        value, last = product.outputs[0], product
    return rewriter.replace(matched, fused("Gelu", [x], last, approximate=approximate))


def gelu(rewriter: Rewriter, step: Step) -> bool:
    """x/2 · (1 + erf(x/√2))."""
    scaled = rewriter.producer(step.inputs[0], "Div", "Mul")
    if scaled is None or (pair := with_scalar(scaled)) is None:
        return False
    expected = 2**0.5 if scaled.name == "Div" else 0.5**0.5
    if not near(pair[1], expected):
        return False
    return _half_of_gelu(rewriter, pair[0], step, [scaled], "none")


def tanh_gelu(rewriter: Rewriter, step: Step) -> bool:
    """x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))."""
    inside: list[Step] = []
    leaves: set[Value] = set()
    numbers: list[float] = []
    waiting = [v for v in step.inputs if v is not None]
    while waiting and len(inside) <= 8:
        value = waiting.pop()
        number = value.scalar()
        maker = rewriter.producer(value, "Mul", "Add", "Pow")
        if number is not None:
            numbers.append(number)
        elif maker is None or (len(leaves) == 1 and value in leaves):
            leaves.add(value)
        elif maker not in inside:
            inside.append(maker)
            waiting.extend(v for v in maker.inputs if v is not None)
    if len(leaves) != 1 or not any(near(n, 0.044715) for n in numbers):
        return False
    return _half_of_gelu(rewriter, leaves.pop(), step, inside, "tanh")
