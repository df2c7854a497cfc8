"""Small ONNX models for the tests, written node by node."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64, UINT8, INT8 = (
    TensorProto.FLOAT,
    TensorProto.INT64,
    TensorProto.UINT8,
    TensorProto.INT8,
)


def node(op: str, inputs: Sequence[str], outputs: Sequence[str], **attrs: Any) -> onnx.NodeProto:
    """A node of the standard operators, named after its first output."""
    domain = attrs.pop("domain", "")
    return helper.make_node(op, inputs, outputs, name=outputs[0], domain=domain, **attrs)


def value(name: str, shape: Sequence[Any] | None, dtype: int = FLOAT) -> onnx.ValueInfoProto:
    """A declared tensor."""
    return helper.make_tensor_value_info(name, dtype, shape)


def stored(name: str, array: Any, dtype: Any = None) -> onnx.TensorProto:
    """An initialiser."""
    return numpy_helper.from_array(np.asarray(array, dtype=dtype), name)


def weight(name: str, *shape: int, dtype: Any = np.float32) -> onnx.TensorProto:
    """An initialiser of ones."""
    return stored(name, np.ones(shape), dtype)


def graph(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[str],
    weights: Sequence[onnx.TensorProto] = (),
) -> onnx.GraphProto:
    """A graph whose outputs declare no shape."""
    return helper.make_graph(
        nodes, "g", inputs, [value(name, None) for name in outputs], list(weights)
    )


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[str],
    weights: Sequence[onnx.TensorProto] = (),
    opset: int = 17,
    functions: Sequence[onnx.FunctionProto] = (),
) -> onnx.ModelProto:
    """A model of one graph."""
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("local", 1)]
    return helper.make_model(
        graph(nodes, inputs, outputs, weights), opset_imports=imports, functions=functions
    )


def save(proto: onnx.ModelProto, folder: Path, name: str = "model.onnx") -> Path:
    """Write a model into a folder."""
    path = folder / name
    path.write_bytes(proto.SerializeToString())
    return path
