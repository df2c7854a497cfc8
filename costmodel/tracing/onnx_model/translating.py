"""From steps to a `Graph`: roles of stored tensors, then one rule per operator."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from costmodel.errors import TraceError
from costmodel.formulas.columns import bind_op, columns_of
from costmodel.graph import TensorKind
from costmodel.tracing.onnx_model.graph_builder import OpBuilder
from costmodel.tracing.onnx_model.operators import OPERATORS
from costmodel.tracing.onnx_model.step import Step
from costmodel.tracing.onnx_model.values import NodeError, Value, is_symbolic

_WEIGHTS: dict[str, tuple[int, ...]] = {
    "Conv": (1, 2), "ConvTranspose": (1, 2), "ConvInteger": (1,), "DeformConv": (1, 3),
    "QLinearConv": (3, 8), "Gemm": (1, 2), "Linear": (1, 2), "MatMul": (0, 1),
    "MatMulInteger": (0, 1), "QLinearMatMul": (0, 3), "BatchNormalization": (1, 2),
    "LayerNormalization": (1, 2), "RMSNormalization": (1,), "GroupNormalization": (1, 2),
    "InstanceNormalization": (1, 2), "PRelu": (1,), "LSTM": (1, 2, 3), "GRU": (1, 2, 3),
    "RNN": (1, 2, 3), "DequantizeLinear": (0,),
}  # fmt: skip
"""Inputs that are parameters if they are stored, whatever their size or dtype."""

_STATISTICS = {"BatchNormalization": (3, 4)}
"""Inputs that are buffers if they are stored."""


def assign_roles(steps: Iterable[Step], stored: Iterable[Value]) -> None:
    """Tell parameters from buffers by what operators do with them.

    A file does not say which of its tensors were trained. Floating-point ones count as parameters,
    except batch-norm statistics; integers as buffers, except quantised weights.
    """
    known = set(stored)
    for roles, kind in ((_WEIGHTS, "parameter"), (_STATISTICS, "buffer")):
        for step in steps:
            for index in roles.get(step.name, ()):
                value = step.inputs[index] if index < len(step.inputs) else None
                if value is not None and value in known:
                    _assign(value, kind)  # type: ignore[arg-type]
    transposed = {
        step.outputs[0] for step in steps if step.name == "Transpose" and step.inputs[0] in known
    }
    for step in steps:
        if step.name in ("MatMul", "Gemm", "Linear"):
            left, right = step.inputs[0], step.inputs[1]
            if left is not None and left in known and (right in known or right in transposed):
                left.kind = "buffer"  # a table that a stored layer is applied to


def _assign(value: Value, kind: TensorKind) -> None:
    value.kind = kind


def translate(steps: Sequence[Step], builder: OpBuilder, where: str) -> None:
    """Emit the operators of all steps.

    Raises:
        TraceError: naming the node that makes no sense.
    """
    for step in steps:
        builder.module = step.module
        first = len(builder.ops)
        try:
            OPERATORS.get(step.name, _uncovered)(builder, step)
            _check_bindings(builder, first)
        except NodeError as error:
            raise TraceError(f"{where}: {step.label}: {error}") from error
        except KeyError as error:
            raise TraceError(f"{where}: {step.label}: attribute {error} is missing") from error
        except Exception as error:  # malformed attributes fail in many ways
            text = " ".join(str(error).split())[:200]
            raise TraceError(
                f"{where}: {step.label}: cannot be translated: {type(error).__name__}: {text}"
            ) from error


def _check_bindings(builder: OpBuilder, first: int) -> None:
    """Operators from an index on must be such that their formulas accept them."""
    for op in builder.ops[first:]:
        inputs = [None if i is None else builder.tensors[i] for i in op.inputs]
        outputs = [builder.tensors[i] for i in op.outputs]
        sizes = [s for spec in (*inputs, *outputs) if spec is not None for s in spec.shape]
        if not op.is_view and not any(is_symbolic(size) for size in sizes):
            bind_op(op, inputs, outputs)


def _uncovered(builder: OpBuilder, step: Step) -> None:
    name = step.name if "::" in step.name else f"onnx::{step.name}"
    attrs: dict[str, Any] = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in step.attrs.items()
        if isinstance(value, (int, float, str)) or _is_plain(value)
    }
    inputs = [builder.optional(v) for v in step.inputs]
    made = builder.emit(name, inputs, [(y.shape, y.dtype) for y in step.outputs], attrs)
    for value, tensor in zip(step.outputs, made, strict=True):
        builder.bind(value, tensor)


def _is_plain(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(v, (int, float, str)) for v in value)


def work_of(steps: Sequence[Step]) -> float:
    """FLOPs and bytes of some steps, to tell which of two branches is more expensive."""
    builder = OpBuilder()
    translate(steps, builder, "branch")
    graph = builder.graph("branch", (), (), 1, {}, {})
    if graph.symbols:
        return float(len(graph.ops))
    columns = columns_of(graph)
    cost = columns.evaluate().cost
    return float(((cost.flops + cost.bytes) * columns.counts).sum())


__all__ = ["assign_roles", "translate", "work_of"]
