"""Shapes of pointwise operators, reductions and quantisation."""

from __future__ import annotations

from costmodel.tracing.onnx_model.folding import axes_of, normal_axes
from costmodel.tracing.onnx_model.shapes.call import Call, Result, rule
from costmodel.tracing.onnx_model.shapes.sizes import (
    broadcast,
    reduced,
)
from costmodel.tracing.onnx_model.values import (
    NodeError,
    dtype_of,
    is_symbolic,
)


@rule(
    "Relu", "Sigmoid", "Tanh", "Erf", "Exp", "Log", "Sqrt", "Reciprocal", "Neg", "Abs", "Sign",
    "Floor", "Ceil", "Round", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh",
    "Asinh", "Acosh", "Atanh", "Softplus", "Softsign", "Elu", "Selu", "Celu", "LeakyRelu",
    "ThresholdedRelu", "HardSigmoid", "HardSwish", "Gelu", "Mish", "Swish", "Clip", "Softmax",
    "LogSoftmax", "Hardmax", "Identity", "LpNormalization", "InstanceNormalization",
    "GroupNormalization", "RMSNormalization", "LRN", "MeanVarianceNormalization", "CumSum",
    "Trilu", "Not", "BitwiseNot", "Shrink", "ScatterND", "ScatterElements", "Scatter", "Bernoulli",
    "EyeLike", "ReverseSequence", "QuickGelu", "FastGelu", "BiasGelu",
)  # fmt: skip
def _same(call: Call) -> Result:
    x = call.need(0)
    return [(x.shape, x.dtype)] * call.outputs


@rule("Add", "Sub", "Mul", "Div", "Mod", "Pow", "Max", "Min", "Sum", "Mean", "PRelu",
       "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitShift")  # fmt: skip
def _binary(call: Call) -> Result:
    values = [call.need(i) for i in range(len(call.inputs))]
    return [(broadcast(*(v.shape for v in values)), values[0].dtype)]


@rule("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "And", "Or", "Xor")
def _comparison(call: Call) -> Result:
    return [(broadcast(call.need(0).shape, call.need(1).shape), "bool")]


@rule("IsNaN", "IsInf")
def _test(call: Call) -> Result:
    return [(call.need(0).shape, "bool")]


@rule("Where")
def _where(call: Call) -> Result:
    values = [call.need(i) for i in range(3)]
    return [(broadcast(*(v.shape for v in values)), values[1].dtype)]


@rule("Dropout")
def _dropout(call: Call) -> Result:
    x = call.need(0)
    return [(x.shape, x.dtype), (x.shape, "bool")][: call.outputs]


@rule("Cast")
def _cast(call: Call) -> Result:
    return [(call.need(0).shape, dtype_of(call.attrs["to"]))]


@rule("CastLike")
def _cast_like(call: Call) -> Result:
    return [(call.need(0).shape, call.need(1).dtype)]


@rule("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
       "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare")  # fmt: skip
def _reduce(call: Call) -> Result:
    x = call.need(0)
    if call.optional(1) is not None and call.known(1) is None:
        raise NodeError("the axes depend on data and cannot be known")
    axes = axes_of(call.attrs, call.known(1))
    if not axes and call.attrs.get("noop_with_empty_axes"):
        return [(x.shape, x.dtype)]
    chosen = set(normal_axes(axes, x.rank)) if axes else set(range(x.rank))
    return [(reduced(x.shape, chosen, bool(call.attrs.get("keepdims", 1))), x.dtype)]


@rule("ArgMax", "ArgMin")
def _argument(call: Call) -> Result:
    x = call.need(0)
    axes = set(normal_axes([int(call.attrs.get("axis", 0))], x.rank))
    return [(reduced(x.shape, axes, bool(call.attrs.get("keepdims", 1))), "int64")]


@rule("TopK")
def _topk(call: Call) -> Result:
    x = call.need(0)
    (axis,) = normal_axes([int(call.attrs.get("axis", -1))], x.rank)
    (k,) = call.sizes(1, "k")
    if not is_symbolic(k) and not is_symbolic(x.shape[axis]) and k > x.shape[axis]:
        raise NodeError(f"k = {k} of {x.shape[axis]} elements")
    shape = [*x.shape[:axis], k, *x.shape[axis + 1 :]]
    return [(shape, x.dtype), (shape, "int64")]


@rule("QuantizeLinear")
def _quantize(call: Call) -> Result:
    zero = call.optional(2)
    stated = call.attrs.get("output_dtype", 0)
    dtype = zero.dtype if zero is not None else dtype_of(stated) if stated else "uint8"
    return [(call.need(0).shape, dtype)]


@rule("DequantizeLinear")
def _dequantize(call: Call) -> Result:
    return [(call.need(0).shape, call.need(1).dtype)]


@rule("DynamicQuantizeLinear")
def _dynamic_quantize(call: Call) -> Result:
    return [(call.need(0).shape, "uint8"), ([], "float32"), ([], "uint8")]


@rule("QLinearAdd", "QLinearMul")
def _qlinear_binary(call: Call) -> Result:
    a, b = call.need(0), call.need(3)
    return [(broadcast(a.shape, b.shape), a.dtype)]


@rule("QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax")
def _qlinear_unary(call: Call) -> Result:
    return [(call.need(0).shape, call.need(0).dtype)]
