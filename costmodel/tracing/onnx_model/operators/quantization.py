"""Quantised operators and quantisation itself."""

from __future__ import annotations

from costmodel.tracing.onnx_model.graph_builder import OpBuilder
from costmodel.tracing.onnx_model.operators.table import finish, need, rule
from costmodel.tracing.onnx_model.step import Step


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
