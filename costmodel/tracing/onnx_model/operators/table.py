"""The table of operator rules, and what the rules share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from costmodel.graph import Dim
from costmodel.tracing.onnx_model.graph_builder import OpBuilder
from costmodel.tracing.onnx_model.layout import explicit
from costmodel.tracing.onnx_model.step import Step
from costmodel.tracing.onnx_model.values import NodeError, Value

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
    made = builder.emit(target, inputs, [(y.shape, y.dtype) for y in step.outputs], attrs, strides)
    for value, tensor in zip(step.outputs, made, strict=True):
        builder.bind(value, tensor)


def strides_of(builder: OpBuilder, tensor: int) -> tuple[Dim, ...]:
    """The strides of a tensor, written out."""
    spec = builder.tensors[tensor]
    return explicit(spec.shape, spec.strides)
