"""Attributes of nodes as Python values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx

from costmodel.tracing.onnx_model.values import MAX_KNOWN, NodeError, dtype_of, inline_array


def read_attributes(
    node: onnx.NodeProto, bindings: Mapping[str, onnx.AttributeProto]
) -> dict[str, Any]:
    """Attributes as Python values; tensors as arrays of the graph's dtype where they are small."""
    result: dict[str, Any] = {}
    for attribute in node.attribute:
        resolved = resolve(attribute, bindings)
        if resolved is not None:
            result[attribute.name] = _attribute(resolved)
    return result


def resolve(
    attribute: onnx.AttributeProto, bindings: Mapping[str, onnx.AttributeProto]
) -> onnx.AttributeProto | None:
    """The attribute itself, or the one of the enclosing call it stands for."""
    if not attribute.ref_attr_name:
        return attribute
    return bindings.get(attribute.ref_attr_name)


def _attribute(attribute: onnx.AttributeProto) -> Any:
    kinds = onnx.AttributeProto
    match attribute.type:
        case kinds.FLOAT:
            return attribute.f
        case kinds.INT:
            return attribute.i
        case kinds.STRING:
            return attribute.s.decode("utf-8", "replace")
        case kinds.FLOATS:
            return tuple(attribute.floats)
        case kinds.INTS:
            return tuple(attribute.ints)
        case kinds.STRINGS:
            return tuple(s.decode("utf-8", "replace") for s in attribute.strings)
        case kinds.TENSOR:
            array = inline_array(attribute.t, MAX_KNOWN)
            dtype = dtype_of(attribute.t.data_type)
            if array is None or dtype in ("bfloat16", "float8_e4m3fn", "float8_e5m2", "int4"):
                return attribute.t
            return array.astype(dtype) if str(array.dtype) != dtype else array
        case kinds.GRAPH:
            return attribute.g
        case kinds.GRAPHS:
            return tuple(attribute.graphs)
        case kinds.SPARSE_TENSOR:
            return attribute.sparse_tensor
        case _:
            raise NodeError(f"attribute {attribute.name!r} has no supported type")
