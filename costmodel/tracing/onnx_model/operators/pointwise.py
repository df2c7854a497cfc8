"""Pointwise operators."""

from __future__ import annotations

from costmodel.tracing.onnx_model.graph_builder import OpBuilder
from costmodel.tracing.onnx_model.operators.table import finish, need, optional, rule
from costmodel.tracing.onnx_model.shapes import broadcast
from costmodel.tracing.onnx_model.step import Step
from costmodel.tracing.onnx_model.values import Value

_UNARY = {
    "Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Erf": "erf", "Exp": "exp",
    "Log": "log", "Sqrt": "sqrt", "Reciprocal": "reciprocal", "Neg": "neg", "Abs": "abs",
    "Sign": "sign", "Floor": "floor", "Ceil": "ceil", "Round": "round", "Sin": "sin",
    "Cos": "cos", "Tan": "tan", "Asin": "asin", "Acos": "acos", "Atan": "atan", "Sinh": "sinh",
    "Cosh": "cosh", "Asinh": "asinh", "Acosh": "acosh", "Atanh": "atanh", "Softplus": "softplus",
    "Elu": "elu", "Selu": "elu", "Celu": "elu", "LeakyRelu": "leaky_relu",
    "ThresholdedRelu": "threshold", "HardSigmoid": "hardsigmoid", "HardSwish": "hardswish",
    "Gelu": "gelu", "Mish": "mish", "Swish": "silu", "Not": "logical_not",
    "BitwiseNot": "bitwise_not", "IsNaN": "isnan", "IsInf": "isinf", "Cast": "_to_copy",
    "CastLike": "_to_copy", "Dropout": "dropout", "Bernoulli": "bernoulli",
    "QLinearSigmoid": "sigmoid", "QLinearLeakyRelu": "leaky_relu",
    "com.microsoft::Gelu": "gelu", "com.microsoft::FastGelu": "gelu",
    "com.microsoft::QLinearSigmoid": "sigmoid", "com.microsoft::QLinearLeakyRelu": "leaky_relu",
}  # fmt: skip

_BINARY = {
    "Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Pow": "pow", "Mod": "remainder",
    "Max": "maximum", "Min": "minimum", "Sum": "add", "Equal": "eq", "Less": "lt",
    "Greater": "gt", "LessOrEqual": "le", "GreaterOrEqual": "ge", "And": "logical_and",
    "Or": "logical_or", "Xor": "logical_xor", "BitwiseAnd": "bitwise_and",
    "BitwiseOr": "bitwise_or", "BitwiseXor": "bitwise_xor", "BitShift": "bitwise_left_shift",
}  # fmt: skip


@rule(*_UNARY)
def _unary(builder: OpBuilder, step: Step) -> None:
    x = builder.id_of(need(step, 0))
    y = step.outputs[0]
    attrs = {"dtype": y.dtype} if step.name.startswith("Cast") else {}
    if step.name == "Gelu":
        attrs = {"approximate": str(step.attrs.get("approximate", "none"))}
    (made,) = builder.emit(
        f"aten::{_UNARY[step.name]}", (x,), [(y.shape, y.dtype)], attrs,
        builder.layout_of((x,), y.shape),
    )  # fmt: skip
    builder.bind(y, made)


@rule(*_BINARY)
def _binary(builder: OpBuilder, step: Step) -> None:
    """Two operands, or several folded one after another; a known number is an attribute."""
    name, y = _BINARY[step.name], step.outputs[0]
    operands = [need(step, i) for i in range(len(step.inputs))]
    if len(operands) == 1:
        builder.bind(y, builder.id_of(operands[0]))
        return
    result, shape = operands[0], operands[0].shape
    left = _number(result)
    current: int | None = None if left is not None else builder.id_of(result)
    for other in operands[1:]:
        shape = tuple(broadcast(shape, other.shape))
        right = _number(other)
        if current is None and right is not None:
            right = None  # both are numbers: keep one as a tensor
        target, attrs = name, {}
        inputs: list[int | None]
        if current is None:
            target = {"sub": "rsub", "div": "reciprocal"}.get(name, name)
            attrs, inputs = {"other": left}, [builder.id_of(other)]
        elif right is not None:
            attrs = {"exponent" if name == "pow" else "other": right}
            inputs = [current]
        else:
            inputs = [current, builder.id_of(other)]
        (current,) = builder.emit(
            f"aten::{target}", inputs, [(shape, y.dtype)], attrs,
            builder.layout_of(inputs, shape),
        )  # fmt: skip
    assert current is not None
    builder.bind(y, current)


def _number(value: Value) -> float | int | None:
    """The number a constant operand is, as a Python scalar would be in the model's code."""
    if value.kind != "constant" or value.rank > 1:
        return None
    number = value.scalar()
    if number is None or number != number or number in (float("inf"), float("-inf")):
        return None
    return int(number) if value.dtype.startswith("int") else number


@rule("Mean")
def _mean_of_inputs(builder: OpBuilder, step: Step) -> None:
    y = step.outputs[0]
    total = Value(y.shape, y.dtype)
    _binary(builder, Step("Sum", step.inputs, [total], {}, step.module, step.label))
    finish(builder, step, "aten::div", (builder.id_of(total),), {"other": len(step.inputs)})


@rule("Softsign")
def _softsign(builder: OpBuilder, step: Step) -> None:
    x, y = builder.id_of(need(step, 0)), step.outputs[0]
    shape = [(y.shape, y.dtype)]
    (size,) = builder.emit("aten::abs", (x,), shape)
    (size,) = builder.emit("aten::add", (size,), shape, {"other": 1})
    finish(builder, step, "aten::div", (x, size))


@rule("Clip")
def _clip(builder: OpBuilder, step: Step) -> None:
    x, y = builder.id_of(need(step, 0)), step.outputs[0]
    bounds: list[float | None] = []
    for index, name in ((1, "min"), (2, "max")):
        value = optional(step, index)
        bounds.append(step.attrs.get(name) if value is None else value.scalar())
    low, high = bounds
    strides = builder.layout_of((x,), y.shape)
    if low == 0 and high == 6:
        finish(builder, step, "aten::hardtanh", (x,), {"min_val": 0.0, "max_val": 6.0}, strides)
    elif low is None or high is None:
        target = "aten::clamp_max" if low is None else "aten::clamp_min"
        finish(builder, step, target, (x,), {"min": low, "max": high}, strides)
    else:
        finish(builder, step, "aten::clamp", (x,), {"min": low, "max": high}, strides)


@rule("PRelu")
def _prelu(builder: OpBuilder, step: Step) -> None:
    x, slope = builder.id_of(need(step, 0)), builder.id_of(need(step, 1))
    strides = builder.layout_of((x,), step.outputs[0].shape)
    finish(builder, step, "aten::_prelu_kernel", (x, slope), {}, strides)


@rule("Where")
def _where(builder: OpBuilder, step: Step) -> None:
    values = [need(step, i) for i in range(3)]
    tensors = [builder.id_of(v) for v in values if _number(v) is None]
    strides = builder.layout_of(tensors, step.outputs[0].shape)
    finish(builder, step, "aten::where", tensors, {}, strides)


@rule("com.microsoft::BiasGelu")
def _bias_gelu(builder: OpBuilder, step: Step) -> None:
    y = step.outputs[0]
    inputs = [builder.id_of(need(step, i)) for i in range(2)]
    (total,) = builder.emit("aten::add", inputs, [(y.shape, y.dtype)])
    finish(builder, step, "aten::gelu", (total,))


@rule("com.microsoft::QuickGelu")
def _quick_gelu(builder: OpBuilder, step: Step) -> None:
    x, y = builder.id_of(need(step, 0)), step.outputs[0]
    shape = [(y.shape, y.dtype)]
    (gate,) = builder.emit("aten::mul", (x,), shape, {"other": step.attrs.get("alpha", 1.702)})
    (gate,) = builder.emit("aten::sigmoid", (gate,), shape)
    finish(builder, step, "aten::mul", (x, gate))
