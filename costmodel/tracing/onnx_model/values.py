"""What is known of a tensor while an ONNX graph is walked: shape, dtype, and small contents.

Contents are kept only where they may decide a shape (integers, small constants), because an
exporter writes shape arithmetic into the graph as ordinary operators.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import onnx

from costmodel.errors import TraceError
from costmodel.graph import Dim, TensorKind

Array = np.ndarray

MAX_DIM = 2**53
"""Largest size and element count; beyond it float64 arithmetic on counts is no longer exact."""

MAX_KNOWN = 4096
"""Largest number of elements whose contents are followed."""

_P = onnx.TensorProto
DTYPES: dict[int, str] = {
    _P.FLOAT: "float32",
    _P.DOUBLE: "float64",
    _P.FLOAT16: "float16",
    _P.BFLOAT16: "bfloat16",
    _P.COMPLEX64: "complex64",
    _P.COMPLEX128: "complex128",
    _P.BOOL: "bool",
    _P.INT8: "int8",
    _P.INT16: "int16",
    _P.INT32: "int32",
    _P.INT64: "int64",
    _P.UINT8: "uint8",
    # The graph knows no wider unsigned types: what counts here is their width.
    _P.UINT16: "int16",
    _P.UINT32: "int32",
    _P.UINT64: "int64",
    _P.FLOAT8E4M3FN: "float8_e4m3fn",
    _P.FLOAT8E4M3FNUZ: "float8_e4m3fn",
    _P.FLOAT8E5M2: "float8_e5m2",
    _P.FLOAT8E5M2FNUZ: "float8_e5m2",
    _P.INT4: "int4",
    _P.UINT4: "int4",
}
"""Graph dtype name by ONNX element type."""

_ELEMENT_TYPES = {
    "float32": _P.FLOAT, "float64": _P.DOUBLE, "float16": _P.FLOAT16, "bfloat16": _P.BFLOAT16,
    "complex64": _P.COMPLEX64, "complex128": _P.COMPLEX128, "bool": _P.BOOL, "int8": _P.INT8,
    "int16": _P.INT16, "int32": _P.INT32, "int64": _P.INT64, "uint8": _P.UINT8,
    "float8_e4m3fn": _P.FLOAT8E4M3FN, "float8_e5m2": _P.FLOAT8E5M2, "int4": _P.INT4,
}  # fmt: skip

INTEGERS = frozenset({"int64", "int32", "int16", "int8", "uint8", "bool", "int4"})


class NodeError(Exception):
    """Why a node makes no sense; the walk adds which node it is."""


@dataclass(eq=False, slots=True)
class Value:
    """A tensor of the walk. Compared by identity."""

    shape: tuple[Dim, ...]
    dtype: str
    kind: TensorKind = "activation"
    name: str = ""
    known: Array | None = None
    """Contents if they are known: int64, float64 or bool, or object holding expressions."""
    content: onnx.TensorProto | None = None
    """The initialiser behind it, whose bytes are read only if a pattern asks."""

    @property
    def numel(self) -> Dim:
        """Number of elements."""
        return product(self.shape)

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def is_weight(self) -> bool:
        """Whether it is stored with the model rather than computed."""
        return self.kind in ("parameter", "buffer", "constant")

    def scalar(self) -> float | None:
        """Its only element if that is known."""
        if self.known is None or self.known.size != 1 or self.known.dtype == object:
            return None
        return float(self.known.reshape(())[()])


@dataclass(eq=False, slots=True)
class ValueList:
    """A sequence of tensors (ONNX SequenceOf)."""

    items: list[Value] = field(default_factory=list)


def product(sizes: Sequence[Dim]) -> Dim:
    """The product of sizes, numbers or expressions."""
    result: Dim = 1
    for size in sizes:
        result = result * size
    return result


def is_symbolic(size: Any) -> bool:
    """Whether a size is an expression with free symbols."""
    return bool(getattr(size, "free_symbols", None))


MAX_TERMS = 200
"""Longest size expression, in nodes of its tree; a file could grow one without bound."""


def check_length(size: Any) -> None:
    """Refuse an expression that has grown beyond what a model's sizes need.

    Raises:
        NodeError: if it is longer than `MAX_TERMS`.
    """
    if not is_symbolic(size):
        return
    import sympy

    terms = sum(1 for _ in islice(sympy.preorder_traversal(size), MAX_TERMS + 1))
    if terms > MAX_TERMS:
        raise NodeError(f"a size that is an expression of more than {MAX_TERMS} terms")


def as_dim(size: Any) -> Dim:
    """A size as int, or as expression if it has free symbols.

    Raises:
        NodeError: if it is no size: negative, fractional, not finite, or beyond 2^53.
    """
    if is_symbolic(size):
        check_length(size)
        return size
    try:
        number = int(size)
        exact = number == size
    except (TypeError, ValueError, OverflowError):
        raise NodeError(f"{size!r} is not a size") from None
    if not exact or not 0 <= number <= MAX_DIM:
        raise NodeError(f"{size!r} is not a size from 0 to 2^53")
    return number


def as_shape(sizes: Sequence[Any]) -> tuple[Dim, ...]:
    """A shape of checked sizes whose product is at most 2^53 as well."""
    shape = tuple(as_dim(size) for size in sizes)
    if len(shape) > 64:
        raise NodeError(f"{len(shape)} dimensions; at most 64 make sense")
    concrete = product([size for size in shape if not is_symbolic(size)])
    if concrete > MAX_DIM:
        raise NodeError(f"shape {list(shape)} has more than 2^53 elements")
    return shape


def dtype_of(element_type: int) -> str:
    """The graph's dtype name of an ONNX element type.

    Raises:
        NodeError: for types without arithmetic (strings) and unknown ones.
    """
    name = DTYPES.get(element_type)
    if name is None:
        known = element_type in _P.DataType.values()
        label = _P.DataType.Name(element_type) if known else str(element_type)
        raise NodeError(f"tensors of type {label} are not supported")
    return name


def element_type_of(dtype: str) -> int:
    """The ONNX element type of a graph dtype."""
    return int(_ELEMENT_TYPES[dtype])


def constant(array: Array, dtype: str, name: str = "") -> Value:
    """A constant whose contents are followed."""
    return Value(tuple(array.shape), dtype, "constant", name, known=array)


def followed(array: Array, dtype: str) -> Array:
    """Contents in the form they are followed in: int64, float64, bool, or object."""
    if array.dtype == object:
        return array
    if dtype == "bool":
        return array.astype(bool)
    return array.astype(np.int64 if dtype in INTEGERS else np.float64)


def inline_array(tensor: onnx.TensorProto, limit: int) -> Array | None:
    """The contents of a tensor stored inside the file, or None if it is larger than the limit.

    Raises:
        TraceError: if the stored bytes do not fit the tensor's dimensions.
    """
    if tensor.data_location == _P.EXTERNAL:
        return None
    elements = product(tensor.dims)
    if not 0 <= elements <= limit or tensor.data_type not in DTYPES:
        return None
    try:
        return np.asarray(onnx.numpy_helper.to_array(tensor))
    except Exception as error:  # the helper raises many kinds on malformed bytes
        raise TraceError(
            f"tensor {tensor.name!r}: its bytes do not fit dimensions {list(tensor.dims)} "
            f"({' '.join(str(error).split())[:120]})"
        ) from error
