"""What a graph is made of: tensors and operators, without a framework."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, Literal, NamedTuple

Dim = Any
"""A size: an int, or a sympy expression when the graph was traced symbolically."""

TensorKind = Literal["input", "parameter", "buffer", "constant", "state", "activation"]
"""A state is what an optimiser keeps from step to step, gradients that are added to among it."""

DTYPE_BYTES: Mapping[str, float] = {
    "float64": 8,
    "float32": 4,
    "tf32": 4,
    "float16": 2,
    "bfloat16": 2,
    "float8_e4m3fn": 1,
    "float8_e5m2": 1,
    "complex64": 8,
    "complex128": 16,
    "int64": 8,
    "int32": 4,
    "int16": 2,
    "int8": 1,
    "uint8": 1,
    "qint8": 1,
    "quint8": 1,
    "qint32": 4,
    "int4": 0.5,
    "bool": 1,
}
"""Bytes per element in memory (tf32 is stored as float32)."""

PHASES = ("forward", "recompute", "backward", "optimizer")
"""Of a training step; recompute is the forward that checkpointing runs again."""


class TensorSpec(NamedTuple):
    """A tensor of the graph: its shape and where its memory is, never its values."""

    id: int
    shape: tuple[Dim, ...]
    dtype: str
    kind: TensorKind
    strides: tuple[Dim, ...] | None
    """In elements, or None for contiguous; a stride of 0 marks an expanded dimension."""
    storage: int
    """The id of the tensor that owns the memory; a view has that of its base."""
    batched: bool
    """Whether the values depend on a model input, so that the size follows the batch."""
    name: str = ""
    """Qualified name of a parameter, buffer or input; empty for activations."""

    @property
    def numel(self) -> Dim:
        """Number of elements, expanded ones included."""
        return prod(self.shape)

    @property
    def distinct(self) -> Dim:
        """Number of different elements in memory: expanded (stride 0) dimensions count once."""
        if self.strides is None or 0 not in self.strides:
            return prod(self.shape)
        return prod(s for s, step in zip(self.shape, self.strides, strict=True) if step != 0)

    @property
    def bytes(self) -> Dim:
        """Size of the distinct elements in memory, in bytes."""
        return self.distinct * DTYPE_BYTES[self.dtype]

    @property
    def is_weight(self) -> bool:
        """Whether this is a parameter or buffer of the model."""
        return self.kind in ("parameter", "buffer")


class Op(NamedTuple):
    """One operator of the graph."""

    target: str
    """ATen name without overload: "aten::convolution"."""
    inputs: tuple[int | None, ...]
    """Tensor ids in argument order, lists flattened; None where an optional one is absent."""
    outputs: tuple[int, ...]
    attrs: Mapping[str, Any]
    """Arguments that are not tensors, by their schema name."""
    module: str
    """Qualified path of the innermost module that ran it, "" for the root."""
    is_view: bool = False
    phase: str = "forward"
    """One of `PHASES`."""
