"""Sizes of a model's inputs: stated by the file, given by the caller, or left as symbols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import onnx

from costmodel.errors import TraceError, UnknownNameError, UsageError
from costmodel.graph import Dim
from costmodel.tracing.onnx_model.values import NodeError, Value, as_shape, dtype_of


class Inputs(NamedTuple):
    """A model's inputs with their sizes."""

    values: dict[str, Value]
    batch: Dim
    """First dimension of the first input."""
    batch_is_fixed: bool
    """Whether the file fixes the batch."""
    free: tuple[str, ...]
    """Names of the sizes that are symbols."""
    sizes: dict[str, Dim]
    """Every named size of the file."""


def read_inputs(
    graph: onnx.GraphProto,
    path: str,
    batch: int | None,
    sample: Sequence[int] | None,
    sizes: Mapping[str, int],
) -> Inputs:
    """Work out the shapes of the inputs.

    Args:
        graph: the main graph.
        path: names the file in errors.
        batch: takes the place of the first input's first dimension where the file leaves it open.
        sample: the other dimensions of the first input.
        sizes: sizes of named dimensions.

    Raises:
        UsageError: if a given size contradicts the file.
        UnknownNameError: if a given name is no dimension of the file.
        TraceError: if an input is no tensor, or its declared shape makes no sense.
    """
    stored = {t.name for t in graph.initializer} | {t.values.name for t in graph.sparse_initializer}
    declared: dict[str, tuple[list[int | str] | None, str]] = {}
    for entry in graph.input:
        if entry.name in stored:
            continue
        if entry.name in declared:
            raise TraceError(f"{path}: two inputs are named {entry.name!r}")
        declared[entry.name] = _declared(entry, path)
    bound: dict[str, Dim] = {}
    names = list(declared)
    first = next((n for n in names if declared[n][0] != []), None)
    fixed = False
    first_size: Dim = batch or 1
    if first is not None:
        first_size, fixed = _bind_first(first, declared, path, batch, sample, bound)
    known = {d for dims, _ in declared.values() for d in dims or () if isinstance(d, str)}
    for name, size in sizes.items():
        if name not in known:
            raise UnknownNameError("dimension", name, known, f"{path} names {sorted(known)}")
        if size < 1:
            raise UsageError(f"{name} = {size}: sizes must be positive")
        bound[name] = size
    values: dict[str, Value] = {}
    for name, (dims, dtype) in declared.items():
        if dims is None:
            raise TraceError(f"{path}: input {name!r} has no shape; give it with an input shape")
        shape = []
        for dim in dims:
            if isinstance(dim, str) and dim not in bound:
                import sympy

                bound[dim] = sympy.Symbol(dim, positive=True, integer=True)
            shape.append(bound[dim] if isinstance(dim, str) else dim)
        try:
            values[name] = Value(as_shape(shape), dtype, "input", name)
        except NodeError as error:
            raise TraceError(f"{path}: input {name!r}: {error}") from None
    free = tuple(name for name, size in bound.items() if not isinstance(size, int))
    if first is not None:
        first_size = values[first].shape[0] if values[first].shape else 1
    return Inputs(values, first_size, fixed, free, bound)


def _declared(entry: onnx.ValueInfoProto, path: str) -> tuple[list[int | str] | None, str]:
    """(dimensions, dtype) of an input: numbers, names, or None for no shape at all."""
    if entry.type.WhichOneof("value") != "tensor_type":
        raise TraceError(f"{path}: input {entry.name!r} is not a tensor, which is not supported")
    tensor = entry.type.tensor_type
    try:
        dtype = dtype_of(tensor.elem_type)
    except NodeError as error:
        raise TraceError(f"{path}: input {entry.name!r}: {error}") from None
    if not tensor.HasField("shape"):
        return None, dtype
    dims: list[int | str] = []
    for axis, dim in enumerate(tensor.shape.dim):
        if dim.HasField("dim_value"):
            if dim.dim_value < 1:
                raise TraceError(
                    f"{path}: input {entry.name!r} has size {dim.dim_value} in dimension {axis}: "
                    "sizes must be positive"
                )
            dims.append(dim.dim_value)
        else:
            dims.append(dim.dim_param or f"{entry.name}_{axis}")
    return dims, dtype


def _bind_first(
    first: str,
    declared: dict[str, tuple[list[int | str] | None, str]],
    path: str,
    batch: int | None,
    sample: Sequence[int] | None,
    bound: dict[str, Dim],
) -> tuple[Dim, bool]:
    """Bind the batch and the sample's sizes; returns the batch and whether the file fixes it."""
    dims, dtype = declared[first]
    if dims is None:
        if sample is None:
            raise TraceError(f"{path}: input {first!r} has no shape; give it with an input shape")
        dims = [f"{first}_0", *(int(s) for s in sample)]
        declared[first] = (dims, dtype)
    if sample is not None:
        if any(size < 1 for size in sample):
            raise UsageError(f"input shape {tuple(sample)}: sizes must be positive")
        if len(sample) != len(dims) - 1:
            raise UsageError(
                f"input shape {tuple(sample)}: {path} expects {len(dims) - 1} sizes per sample, "
                f"{dims[1:]}"
            )
        for dim, size in zip(dims[1:], sample, strict=True):
            have = bound.setdefault(dim, size) if isinstance(dim, str) else dim
            if have != size:
                raise UsageError(
                    f"input shape {tuple(sample)}: {path} fixes the sample at {dims[1:]}"
                )
    leading = dims[0]
    if isinstance(leading, int):
        return leading, True
    if batch is not None:
        bound[leading] = batch
        for name, (others, _) in declared.items():
            # Other inputs that leave their first dimension open without naming it share it.
            if others and others[0] == f"{name}_0":
                bound[f"{name}_0"] = batch
    return bound.get(leading, 1), False


def dims_of(shape: onnx.TensorShapeProto, sizes: Mapping[str, Dim]) -> list[Any]:
    """Declared sizes with the named ones filled in; None where one is not known."""
    return [
        dim.dim_value if dim.HasField("dim_value") else sizes.get(dim.dim_param)
        for dim in shape.dim
    ]
