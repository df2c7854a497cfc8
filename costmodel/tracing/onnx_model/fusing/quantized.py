"""Quantised operators that a file spells out as dequantise, operate, quantise (QDQ).

The spelling says that the operator runs on the integers themselves, which is how runtimes execute
it; so it becomes one operator on quantised tensors. Weights that alone are quantised stay
dequantised explicitly, since the product then runs in floating point.
"""

from __future__ import annotations

from costmodel.tracing.onnx_model.fusing.rewriting import Rewriter
from costmodel.tracing.onnx_model.step import Step
from costmodel.tracing.onnx_model.values import Value

_DATA_INPUTS = {
    "Conv": 3, "ConvTranspose": 3, "Gemm": 3, "MatMul": 2, "Add": 2, "Mul": 2, "Sub": 2,
    "AveragePool": 1, "GlobalAveragePool": 1, "MaxPool": 1, "Concat": 10**6, "Resize": 1,
    "Sigmoid": 1, "HardSwish": 1, "LeakyRelu": 1, "Softmax": 1, "Relu": 1, "Clip": 1,
    "Reshape": 1, "Transpose": 1, "Flatten": 1, "Squeeze": 1, "Unsqueeze": 1, "Pad": 1,
    "Slice": 1, "ReduceMean": 1,
}  # fmt: skip
"""How many leading inputs carry data, by operator that has a quantised form."""


def fuse_quantized(rewriter: Rewriter) -> None:
    """Turn dequantise, operate, quantise into the operator on quantised tensors."""
    if not any(step.name == "DequantizeLinear" for step in rewriter.steps):
        return
    for step in rewriter.steps:
        if step.name in _DATA_INPUTS and rewriter.producer(step.outputs[0]) is step:
            _fuse(rewriter, step)


def _fuse(rewriter: Rewriter, step: Step) -> None:
    count = min(_DATA_INPUTS[step.name], len(step.inputs))
    sources = [None if v is None else _quantized(rewriter, v) for v in step.inputs[:count]]
    if sources[0] is None or len(step.outputs) != 1:
        return
    for value, source in zip(step.inputs[:count], sources, strict=True):
        # A bias may stay in floating point; operands may not.
        if value is not None and source is None and not (value.is_weight and value.rank == 1):
            return
    end, between = step, None
    activation = rewriter.only_user(step.outputs[0], "Relu", "Clip")
    if activation is not None and step.name in ("Conv", "Gemm", "MatMul", "Add"):
        end, between = activation, activation
    quantize = rewriter.only_user(end.outputs[0], "QuantizeLinear")
    if quantize is None:
        return
    inputs = [s if s is not None else v for s, v in zip(sources, step.inputs, strict=False)]
    inputs += step.inputs[count:]
    result = quantize.outputs[0]
    if between is None:
        new = Step(step.name, inputs, [result], step.attrs, step.module, step.label)
        rewriter.replace([step, quantize], new)
        return
    middle = Value(step.outputs[0].shape, result.dtype)
    last = Step(between.name, [middle, *between.inputs[1:]], [result], between.attrs,
                between.module, between.label)  # fmt: skip
    first = Step(step.name, inputs, [middle], step.attrs, step.module, step.label)
    if rewriter.replace([between, quantize], last):
        step.outputs[0] = middle
        rewriter.replace([step], first)


def _quantized(rewriter: Rewriter, value: Value) -> Value | None:
    """The integers a tensor was dequantised from."""
    maker = rewriter.producer(value, "DequantizeLinear")
    return None if maker is None else maker.inputs[0]
