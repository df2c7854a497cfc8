"""onnx's own shape inference, asked about one node at a time with what is known of its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx.shape_inference import infer_node_outputs

from costmodel.graph import Dim
from costmodel.tracing.onnx_model.inputs import dims_of
from costmodel.tracing.onnx_model.values import Value, dtype_of, element_type_of, is_symbolic


def infer_with_onnx(
    node: onnx.NodeProto,
    inputs: Sequence[Value | None],
    opset: int,
    sizes: Mapping[str, Dim],
) -> list[tuple[list[Any], str]] | None:
    """(shape, dtype) of each output, or None if onnx cannot tell all of them."""
    version = opset if node.domain in ("", "ai.onnx") else 1
    domain = "" if node.domain == "ai.onnx" else node.domain
    if any(a.g.node or a.graphs for a in node.attribute):
        return None
    types: dict[str, onnx.TypeProto] = {}
    data: dict[str, onnx.TensorProto] = {}
    named: dict[str, Dim] = {str(k): v for k, v in sizes.items()}
    for name, value in zip(node.input, inputs, strict=True):
        if value is None:
            continue
        shape = []
        for size in value.shape:
            if is_symbolic(size):
                named[str(size)] = size
                size = str(size)
            shape.append(size)
        element_type = element_type_of(value.dtype)
        types[name] = onnx.helper.make_tensor_type_proto(element_type, shape)
        if value.known is not None and value.known.dtype != object:
            floating = value.known.dtype.kind == "f"
            array = value.known.astype(np.float32) if floating else value.known
            data[name] = onnx.numpy_helper.from_array(array, name)
    try:
        schema = onnx.defs.get_schema(node.op_type, version, domain)
        result = infer_node_outputs(schema, node, types, data)
    except Exception:  # unknown operators, and whatever the native inference finds wrong
        return None
    outputs = []
    for name in node.output:
        if not name:
            continue
        inferred = result.get(name)
        if inferred is None or not inferred.tensor_type.HasField("shape"):
            return None
        dims = dims_of(inferred.tensor_type.shape, named)
        if any(d is None for d in dims):
            return None
        outputs.append((dims, dtype_of(inferred.tensor_type.elem_type)))
    return outputs
