"""The whole way from a parsed model to a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from costmodel.counts import check_count
from costmodel.errors import TraceError, UsageError
from costmodel.graph import Graph
from costmodel.tracing.onnx_model.fusing import fuse
from costmodel.tracing.onnx_model.graph_builder import OpBuilder
from costmodel.tracing.onnx_model.inputs import read_inputs
from costmodel.tracing.onnx_model.translating import assign_roles, translate
from costmodel.tracing.onnx_model.values import NodeError
from costmodel.tracing.onnx_model.walking import Walk


def graph_of(
    model: onnx.ModelProto,
    path: Path,
    batch: int | None,
    input_shape: Sequence[int] | None,
    sizes: Mapping[str, int],
    name: str,
    open_sizes: bool = True,
) -> Graph:
    """The graph of a parsed model; see `trace_onnx` for arguments and errors."""
    if batch is not None:
        check_count("batch", batch)
    where = str(path)
    inputs = read_inputs(model.graph, where, batch, input_shape, sizes)
    if inputs.batch_is_fixed and batch not in (None, 1, inputs.batch):
        raise UsageError(
            f"{path}: fixes its batch at {inputs.batch}; trace it so and estimate at batch {batch}"
        )
    if inputs.free and not open_sizes:
        raise UsageError(
            f"{path}: leaves {', '.join(inputs.free)} open; give an input shape, or the sizes by "
            "name to trace_onnx(..., sizes={...})"
        )
    walk = Walk(model, path, inputs)
    try:
        steps, outputs = walk.run()
    except NodeError as error:
        raise TraceError(f"{path}: {error}") from error
    steps = fuse(steps, outputs)
    assign_roles(steps, walk.weights)
    builder = OpBuilder()
    for value in inputs.values.values():
        builder.id_of(value)
    translate(steps, builder, where)
    if not any(not op.is_view for op in builder.ops):
        raise TraceError(f"{path}: no operator does any work")
    conditions: dict[str, Any] = {"mode": "infer", "opset": _opset(model)}
    if walk.assumptions:
        conditions["assumptions"] = walk.assumptions
    return builder.graph(
        name, inputs.values.values(), outputs, inputs.batch, walk.classes, conditions
    )


def _opset(model: onnx.ModelProto) -> int:
    return max(int(e.version) for e in model.opset_import if e.domain in ("", "ai.onnx"))
