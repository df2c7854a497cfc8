"""The ONNX operators in ATen's vocabulary.

Each rule takes a step of the walk and emits the operators that torch runs for it, so that a
formula sees the same tensors and attributes whichever way a network came. An operator without a
rule keeps its own name ("onnx::Name"), is charged its bytes, and is listed as uncovered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from costmodel.graph import Dim
from costmodel.tracing.onnx_model.graph_builder import OpBuilder
from costmodel.tracing.onnx_model.layout import explicit
from costmodel.tracing.onnx_model.shapes import broadcast, window_attributes
from costmodel.tracing.onnx_model.values import NodeError, Value
from costmodel.tracing.onnx_model.walking import Step

Rule = Callable[[OpBuilder, Step], None]
OPERATORS: dict[str, Rule] = {}
"""Rule by ONNX name."""


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register the rule of one or more operators."""

    def register(function: Rule) -> Rule:
        for name in names:
            if name in OPERATORS:
                raise ValueError(f"{name} has two rules")
            OPERATORS[name] = function
        return function

    return register


def need(step: Step, index: int) -> Value:
    """An input that must be there."""
    value = step.inputs[index] if index < len(step.inputs) else None
    if value is None:
        raise NodeError(f"input {index} is missing")
    return value


def optional(step: Step, index: int) -> Value | None:
    """An input, or None."""
    return step.inputs[index] if index < len(step.inputs) else None


def finish(
    builder: OpBuilder,
    step: Step,
    target: str,
    inputs: Sequence[int | None],
    attrs: dict[str, Any] | None = None,
    strides: Any = None,
) -> None:
    """Emit one operator that makes all outputs of the step."""
    made = builder.emit(
        target, inputs, [(y.shape, y.dtype) for y in step.outputs], attrs, strides
    )
    for value, tensor in zip(step.outputs, made, strict=True):
        builder.bind(value, tensor)


# ---------------------------------------------------------------------- pointwise

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


# -------------------------------------------------------------------- convolution


def _convolve(
    builder: OpBuilder, step: Step, x: Value, weight: Value, bias: Value | None, transposed: bool
) -> None:
    y = step.outputs[0]
    kernel = [int(k) for k in weight.shape[2:]]
    attrs = {k: v for k, v in step.attrs.items() if not (transposed and k == "auto_pad")}
    strides, dilations, before, after = window_attributes(attrs, x.shape[2:], kernel)
    source = builder.id_of(x)
    finish(
        builder,
        step,
        "aten::convolution",
        (source, builder.id_of(weight), builder.optional(bias)),
        {
            "stride": strides,
            "padding": before if before == after else [*before, *after],
            "dilation": dilations,
            "groups": int(step.attrs.get("group", 1)),
            "transposed": transposed,
        },
        builder.image_layout(source, y.shape),
    )


@rule("Conv")
def _conv(builder: OpBuilder, step: Step) -> None:
    _convolve(builder, step, need(step, 0), need(step, 1), optional(step, 2), False)


@rule("ConvInteger")
def _conv_integer(builder: OpBuilder, step: Step) -> None:
    _convolve(builder, step, need(step, 0), need(step, 1), None, False)


@rule("QLinearConv")
def _qlinear_conv(builder: OpBuilder, step: Step) -> None:
    _convolve(builder, step, need(step, 0), need(step, 3), optional(step, 8), False)


@rule("ConvTranspose")
def _conv_transpose(builder: OpBuilder, step: Step) -> None:
    _convolve(builder, step, need(step, 0), need(step, 1), optional(step, 2), True)


@rule("DeformConv")
def _deform_conv(builder: OpBuilder, step: Step) -> None:
    x, weight, offset = (builder.id_of(need(step, i)) for i in range(3))
    bias, mask = builder.optional(optional(step, 3)), builder.optional(optional(step, 4))
    finish(
        builder, step, "torchvision::deform_conv2d", (x, weight, offset, mask, bias),
        {"groups": int(step.attrs.get("group", 1)), "use_mask": mask is not None},
    )  # fmt: skip


# ------------------------------------------------------------------------ pooling


@rule("MaxPool", "AveragePool", "QLinearAveragePool", "com.microsoft::QLinearAveragePool")
def _pool(builder: OpBuilder, step: Step) -> None:
    x, y = need(step, 0), step.outputs[0]
    kernel = [int(k) for k in step.attrs["kernel_shape"]]
    strides, dilations, before, after = window_attributes(step.attrs, x.shape[2:], kernel)
    name = "max_pool" if step.name == "MaxPool" else "avg_pool"
    indices = "_with_indices" if len(step.outputs) > 1 else ""
    source = builder.id_of(x)
    attrs = {
        "kernel_size": kernel,
        "stride": strides,
        "padding": before if before == after else [*before, *after],
        "ceil_mode": bool(step.attrs.get("ceil_mode", 0)),
    }
    if name == "max_pool":
        attrs["dilation"] = dilations
    finish(
        builder, step, f"aten::{name}{len(kernel)}d{indices}", (source,), attrs,
        builder.image_layout(source, y.shape),
    )  # fmt: skip


@rule(
    "GlobalAveragePool", "QLinearGlobalAveragePool", "com.microsoft::QLinearGlobalAveragePool"
)
def _global_average(builder: OpBuilder, step: Step) -> None:
    x = need(step, 0)
    dims = list(range(2, x.rank))
    finish(builder, step, "aten::mean", (builder.id_of(x),), {"dim": dims, "keepdim": True})


@rule("GlobalMaxPool")
def _global_max(builder: OpBuilder, step: Step) -> None:
    x = need(step, 0)
    attrs = {"dim": list(range(2, x.rank)), "keepdim": True}
    finish(builder, step, "aten::amax", (builder.id_of(x),), attrs)


# ------------------------------------------------------------------ normalisation


@rule("BatchNormalization")
def _batch_norm(builder: OpBuilder, step: Step) -> None:
    x, weight, bias, mean, var = (builder.id_of(need(step, i)) for i in range(5))
    strides = builder.layout_of((x,), step.outputs[0].shape)
    training = bool(step.attrs.get("training_mode", 0))
    finish(
        builder, step, "aten::batch_norm", (x, weight, bias, mean, var), {"training": training},
        strides,
    )  # fmt: skip


@rule("LayerNormalization")
def _layer_norm(builder: OpBuilder, step: Step) -> None:
    _normalize_last(builder, step, "aten::layer_norm")


@rule("RMSNormalization", "SimplifiedLayerNormalization")
def _rms_norm(builder: OpBuilder, step: Step) -> None:
    _normalize_last(builder, step, "aten::rms_norm")


def _normalize_last(builder: OpBuilder, step: Step, target: str) -> None:
    x = need(step, 0)
    axis = int(step.attrs.get("axis", -1)) % x.rank
    weights = [builder.optional(optional(step, i)) for i in (1, 2)]
    inputs = (builder.id_of(x), *(weights if target == "aten::layer_norm" else weights[:1]))
    finish(builder, step, target, inputs, {"normalized_shape": list(x.shape[axis:])})


@rule("GroupNormalization")
def _group_norm(builder: OpBuilder, step: Step) -> None:
    inputs = [builder.id_of(need(step, 0)), *(builder.optional(optional(step, i)) for i in (1, 2))]
    finish(
        builder, step, "aten::group_norm", inputs, {"num_groups": step.attrs.get("num_groups", 1)}
    )


@rule("InstanceNormalization")
def _instance_norm(builder: OpBuilder, step: Step) -> None:
    inputs = [builder.id_of(need(step, i)) for i in range(3)]
    finish(builder, step, "aten::instance_norm", inputs)


# ---------------------------------------------------------------- matrix products


@rule("MatMul", "MatMulInteger")
def _matmul(builder: OpBuilder, step: Step) -> None:
    _multiply(builder, step, need(step, 0), need(step, 1))


@rule("QLinearMatMul")
def _qlinear_matmul(builder: OpBuilder, step: Step) -> None:
    _multiply(builder, step, need(step, 0), need(step, 3))


def _multiply(builder: OpBuilder, step: Step, left: Value, right: Value) -> None:
    y = step.outputs[0]
    a, b = builder.id_of(left), builder.id_of(right)
    if right.rank == 2 and left.rank >= 2 and not builder.tensors[b].batched:
        finish(builder, step, "aten::linear", (a, _columns_first(builder, b), None))
        return
    if left.rank == 1:
        a = builder.reshape(a, (1, *left.shape))
    if right.rank == 1:
        b = builder.reshape(b, (*right.shape, 1))
    shape_a, shape_b = builder.tensors[a].shape, builder.tensors[b].shape
    if len(shape_b) == 2 and len(shape_a) > 2:
        # One matrix for all: rows of the batch are rows of one product.
        rows = y.numel if right.rank == 1 else _quotient(y, shape_b[-1])
        flat = builder.reshape(a, (rows, shape_a[-1]))
        (made,) = builder.emit("aten::mm", (flat, b), [((rows, shape_b[-1]), y.dtype)])
        builder.bind(y, builder.reshape(made, y.shape))
        return
    lead = broadcast(shape_a[:-2], shape_b[:-2])
    if list(shape_a[:-2]) != lead:
        a = builder.expand(a, (*lead, *shape_a[-2:]))
    if list(shape_b[:-2]) != lead:
        b = builder.expand(b, (*lead, *shape_b[-2:]))
    shape = (*lead, shape_a[-2], shape_b[-1])
    target = "aten::mm" if len(shape) == 2 else "aten::matmul"
    (made,) = builder.emit(target, (a, b), [(shape, y.dtype)])
    builder.bind(y, builder.reshape(made, y.shape))


def _quotient(y: Value, columns: Dim) -> Dim:
    from costmodel.tracing.onnx_model.shapes import floor_divide

    return floor_divide(y.numel, columns)


def _columns_first(builder: OpBuilder, weight: int) -> int:
    """A (c_in, c_out) matrix as the (c_out, c_in) one a linear layer holds."""
    return builder.transpose(weight)


@rule("Linear")
def _linear(builder: OpBuilder, step: Step) -> None:
    x, weight, bias = (builder.id_of(need(step, i)) for i in range(3))
    finish(builder, step, "aten::linear", (x, _columns_first(builder, weight), bias))


@rule("Gemm")
def _gemm(builder: OpBuilder, step: Step) -> None:
    a, b = builder.id_of(need(step, 0)), builder.id_of(need(step, 1))
    bias = optional(step, 2)
    if step.attrs.get("transA"):
        a = builder.transpose(a)
    linear = not builder.tensors[b].batched and (bias is None or bias.rank <= 1)
    if linear:
        weight = b if step.attrs.get("transB") else builder.transpose(b)
        finish(builder, step, "aten::linear", (a, weight, builder.optional(bias)))
        return
    if step.attrs.get("transB"):
        b = builder.transpose(b)
    if bias is None:
        finish(builder, step, "aten::mm", (a, b))
    else:
        finish(builder, step, "aten::addmm", (builder.id_of(bias), a, b))


@rule("Einsum")
def _einsum(builder: OpBuilder, step: Step) -> None:
    inputs = [builder.id_of(need(step, i)) for i in range(len(step.inputs))]
    finish(builder, step, "aten::einsum", inputs, {"equation": str(step.attrs["equation"])})


# ---------------------------------------------------------------------- attention


@rule("FusedAttention")
def _fused_attention(builder: OpBuilder, step: Step) -> None:
    q, k, v = (builder.id_of(need(step, i)) for i in range(3))
    if step.attrs["keys_transposed"]:
        k = builder.transpose(k)
    mask = builder.optional(optional(step, 3))
    attrs = {"is_causal": bool(step.attrs["is_causal"]), "scale": step.attrs["scale"]}
    finish(builder, step, "aten::scaled_dot_product_attention", (q, k, v, mask), attrs)


@rule("Attention")
def _attention(builder: OpBuilder, step: Step) -> None:
    """The operator of opset 23: heads side by side in three dimensions, or apart in four."""
    values = [need(step, i) for i in range(3)]
    tensors = [builder.id_of(v) for v in values]
    heads = [step.attrs.get("q_num_heads"), *[step.attrs.get("kv_num_heads")] * 2]
    if values[0].rank == 3:
        from costmodel.tracing.onnx_model.shapes import floor_divide

        for i, (value, count) in enumerate(zip(values, heads, strict=True)):
            n, length, width = value.shape
            apart = builder.reshape(
                tensors[i], (n, length, int(count), floor_divide(width, int(count)))
            )
            tensors[i] = builder.permute(apart, (0, 2, 1, 3))
    mask = builder.optional(optional(step, 3))
    q, v = builder.tensors[tensors[0]].shape, builder.tensors[tensors[2]].shape
    y = step.outputs[0]
    (made,) = builder.emit(
        "aten::scaled_dot_product_attention", (*tensors, mask), [((*q[:-1], v[-1]), y.dtype)],
        {"is_causal": bool(step.attrs.get("is_causal", 0)), "scale": step.attrs.get("scale")},
    )  # fmt: skip
    if values[0].rank == 3:
        made = builder.reshape(builder.permute(made, (0, 2, 1, 3)), y.shape)
    builder.bind(y, made)


# ---------------------------------------------------------------- recurrent cells


@rule("LSTM", "GRU", "RNN")
def _recurrent(builder: OpBuilder, step: Step) -> None:
    x, w, r = need(step, 0), need(step, 1), need(step, 2)
    bias, hidden = optional(step, 3), optional(step, 5)
    directions = w.shape[0]
    first = bool(step.attrs.get("layout", 0))
    n = x.shape[0] if first else x.shape[1]
    state = hidden or Value((directions, n, r.shape[2]), x.dtype, "constant")
    states = [builder.id_of(state)]
    if step.name == "LSTM":
        cell = optional(step, 6) or Value(state.shape, x.dtype, "constant")
        states.append(builder.id_of(cell))
    weights = [builder.id_of(v) for v in (w, r, bias) if v is not None]
    target = {"LSTM": "lstm", "GRU": "gru", "RNN": "rnn_tanh"}[step.name]
    finish(
        builder, step, f"aten::{target}", (builder.id_of(x), *states, *weights),
        {
            "num_layers": 1, "bidirectional": directions == 2, "has_biases": bias is not None,
            "batch_first": first,
        },
    )  # fmt: skip


# ------------------------------------------------------------- reductions, softmax

_REDUCTIONS = {
    "ReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "amax", "ReduceMin": "amin",
    "ReduceProd": "prod", "ReduceL1": "linalg_vector_norm", "ReduceL2": "linalg_vector_norm",
    "ReduceSumSquare": "linalg_vector_norm", "ReduceLogSumExp": "logsumexp",
}  # fmt: skip


@rule(*_REDUCTIONS)
def _reduce(builder: OpBuilder, step: Step) -> None:
    x, y = need(step, 0), step.outputs[0]
    given = optional(step, 1)
    known = given.known if given is not None else None
    axes = step.attrs.get("axes", None if known is None else known.ravel().tolist())
    if not axes and step.attrs.get("noop_with_empty_axes"):
        builder.bind(y, builder.id_of(x))
        return
    dims = sorted(int(a) % x.rank for a in axes) if axes else list(range(x.rank))
    attrs = {"dim": dims, "keepdim": bool(step.attrs.get("keepdims", 1))}
    finish(builder, step, f"aten::{_REDUCTIONS[step.name]}", (builder.id_of(x),), attrs)


@rule("Variance", "StandardDeviation")
def _deviation(builder: OpBuilder, step: Step) -> None:
    target = "aten::var" if step.name == "Variance" else "aten::std"
    finish(builder, step, target, (builder.id_of(need(step, 0)),), {"dim": step.attrs["axes"]})


@rule("ReduceLogSum")
def _reduce_log_sum(builder: OpBuilder, step: Step) -> None:
    y = step.outputs[0]
    (total,) = builder.emit("aten::sum", (builder.id_of(need(step, 0)),), [(y.shape, y.dtype)])
    finish(builder, step, "aten::log", (total,))


@rule("ArgMax", "ArgMin")
def _argument(builder: OpBuilder, step: Step) -> None:
    attrs = {"dim": int(step.attrs.get("axis", 0))}
    finish(builder, step, f"aten::{step.name.lower()}", (builder.id_of(need(step, 0)),), attrs)


@rule("Softmax", "LogSoftmax", "QLinearSoftmax", "com.microsoft::QLinearSoftmax")
def _softmax(builder: OpBuilder, step: Step) -> None:
    x = builder.id_of(need(step, 0))
    target = "aten::_log_softmax" if step.name == "LogSoftmax" else "aten::softmax"
    finish(builder, step, target, (x,), {"dim": int(step.attrs.get("axis", -1))})


@rule("TopK")
def _topk(builder: OpBuilder, step: Step) -> None:
    x = need(step, 0)
    axis = int(step.attrs.get("axis", -1)) % x.rank
    attrs = {"k": step.outputs[0].shape[axis], "dim": axis}
    finish(builder, step, "aten::topk", (builder.id_of(x),), attrs)


@rule("CumSum")
def _cumulate(builder: OpBuilder, step: Step) -> None:
    finish(builder, step, "aten::cumsum", (builder.id_of(need(step, 0)),))


# ------------------------------------------------------------------- quantisation


@rule("QuantizeLinear")
def _quantize(builder: OpBuilder, step: Step) -> None:
    scale = need(step, 1)
    target = "quantize_per_tensor" if scale.numel == 1 else "quantize_per_channel"
    finish(builder, step, f"aten::{target}", (builder.id_of(need(step, 0)),))


@rule("DequantizeLinear")
def _dequantize(builder: OpBuilder, step: Step) -> None:
    finish(builder, step, "aten::dequantize", (builder.id_of(need(step, 0)),))


@rule("DynamicQuantizeLinear")
def _dynamic_quantize(builder: OpBuilder, step: Step) -> None:
    """The range is found first, then the tensor is quantised with it."""
    x, (y, scale, zero) = builder.id_of(need(step, 0)), step.outputs
    (made,) = builder.emit("aten::quantize_per_tensor_dynamic", (x,), [(y.shape, y.dtype)])
    builder.bind(y, made)
    for value in (scale, zero):
        (part,) = builder.views("aten::alias", made, [(value.shape, None)])
        builder.tensors[part] = builder.tensors[part]._replace(dtype=value.dtype)
        builder.bind(value, part)


@rule("QLinearAdd", "QLinearMul", "com.microsoft::QLinearAdd", "com.microsoft::QLinearMul")
def _qlinear_binary(builder: OpBuilder, step: Step) -> None:
    inputs = (builder.id_of(need(step, 0)), builder.id_of(need(step, 3)))
    finish(builder, step, "aten::add" if step.name.endswith("Add") else "aten::mul", inputs)


# ------------------------------------------------------------------- vision


@rule("GridSample")
def _grid_sample(builder: OpBuilder, step: Step) -> None:
    x, grid = need(step, 0), need(step, 1)
    modes = {"nearest": 1, "cubic": 2, "bicubic": 2}
    mode = modes.get(str(step.attrs.get("mode", "linear")), 0)
    finish(
        builder, step, f"aten::grid_sampler_{x.rank - 2}d",
        (builder.id_of(x), builder.id_of(grid)), {"interpolation_mode": mode},
    )  # fmt: skip


@rule("RoiAlign")
def _roi_align(builder: OpBuilder, step: Step) -> None:
    inputs = [builder.id_of(need(step, i)) for i in range(2)]
    ratio = int(step.attrs.get("sampling_ratio", 0)) or -1
    finish(builder, step, "torchvision::roi_align", inputs, {"sampling_ratio": ratio})


@rule("NonMaxSuppression")
def _non_max_suppression(builder: OpBuilder, step: Step) -> None:
    boxes, scores = need(step, 0), need(step, 1)
    rows = boxes.shape[0] * boxes.shape[1]
    flat = builder.reshape(builder.id_of(boxes), (rows, boxes.shape[2]))
    finish(builder, step, "torchvision::nms", (flat, builder.id_of(scores)))


def strides_of(builder: OpBuilder, tensor: int) -> tuple[Dim, ...]:
    """The strides of a tensor, written out."""
    spec = builder.tensors[tensor]
    return explicit(spec.shape, spec.strides)
