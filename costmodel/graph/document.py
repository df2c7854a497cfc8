"""Graphs as JSON documents, the format for exchange: all that is read is checked."""

from __future__ import annotations

import json
from math import isfinite, prod
from typing import TYPE_CHECKING, Any, get_args

from costmodel.errors import GraphError
from costmodel.graph.operators import DTYPE_BYTES, Op, TensorKind, TensorSpec

if TYPE_CHECKING:
    from costmodel.graph.graph import Graph

FORMAT = "costmodel-graph"
FORMAT_VERSION = 1
_OP_FIELDS = frozenset(Op._fields)
_KINDS = frozenset(get_args(TensorKind))
_MAX_DIM = 2**53  # beyond it float64 columns are no longer exact
_MAX_RANK = 64  # what the frameworks allow


def written(graph: Graph) -> str:
    """A document that `fields_of` reads.

    Raises:
        GraphError: if sizes are symbolic (substitute numbers first).
    """
    document = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        **head_of(graph),
        "tensors": [t._asdict() for t in graph.tensors],
        "ops": [o._asdict() for o in graph.ops],
    }
    try:
        return json.dumps(document, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise GraphError(f"graph {graph.name!r} cannot be written as JSON: {error}") from error


def head_of(graph: Graph) -> dict[str, Any]:
    """All of a graph but its tensors and operators, as JSON has it."""
    return {
        "name": graph.name,
        "batch": graph.batch,
        "rung": graph.rung,
        "conditions": dict(graph.conditions),
        "modules": dict(graph.modules),
        "inputs": graph.inputs,
        "outputs": graph.outputs,
        "weights": graph.weights,
    }


def fields_of(text: str) -> dict[str, Any]:
    """The fields of the graph that a document describes.

    Raises:
        GraphError: if the text is not such a document, naming the first offending place.
    """
    try:
        document = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise GraphError(f"not a JSON document: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise GraphError('not a costmodel graph: expected {"format": "costmodel-graph", ...}')
    if document.get("version") != FORMAT_VERSION:
        raise GraphError(
            f"graph format version {document.get('version')!r} is not supported; "
            f"this release reads version {FORMAT_VERSION}"
        )
    try:
        for key in ("tensors", "ops"):
            if type(document[key]) is not list:
                raise GraphError(f"{key}: expected a list, got {document[key]!r:.80}")
        count = len(document["tensors"])
        tensors = tuple(_read_tensor(i, t, count) for i, t in enumerate(document["tensors"]))
        ops = tuple(_read_op(i, o, len(tensors)) for i, o in enumerate(document["ops"]))
        _check_order(ops)
        return {
            "name": str(document["name"]),
            "tensors": tensors,
            "ops": ops,
            "inputs": _read_ids("inputs", document["inputs"], len(tensors)),
            "outputs": _read_ids("outputs", document["outputs"], len(tensors)),
            "weights": _read_ids("weights", document["weights"], len(tensors)),
            "batch": _read_batch(document["batch"]),
            "modules": {str(k): str(v) for k, v in document["modules"].items()},
            "rung": str(document["rung"]),
            "conditions": dict(document["conditions"]),
        }
    except KeyError as error:
        raise GraphError(f"graph document lacks the key {error}") from error
    except (TypeError, AttributeError, ValueError) as error:
        raise GraphError(f"graph document is malformed: {error}") from error


def _finite(text: str) -> float:
    if not isfinite(value := float(text)):
        raise ValueError(f"{text:.80} is not a finite number")
    return value


def _read_size(where: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _MAX_DIM:
        raise GraphError(f"{where}: expected a size from 0 to 2^53, got {value!r:.80}")
    return value


def _read_batch(value: Any) -> int:
    if _read_size("batch", value) < 1:
        raise GraphError(f"batch: expected at least 1, got {value}")
    return int(value)


def _read_ids(where: str, values: Any, count: int) -> tuple[int, ...]:
    if type(values) is not list:
        raise GraphError(f"{where}: expected a list of tensors, got {values!r:.80}")
    for value in values:
        if type(value) is not int or not 0 <= value < count:
            raise GraphError(f"{where}: no tensor {value!r:.80} (there are {count})")
    return tuple(values)


def _read_tensor(index: int, fields: dict[str, Any], count: int) -> TensorSpec:
    try:
        if len(fields) > len(TensorSpec._fields):
            raise GraphError(f": malformed, unknown keys in {sorted(fields)}")
        shape, strides, storage = fields["shape"], fields["strides"], fields["storage"]
        dtype, kind, name = fields["dtype"], fields["kind"], fields.get("name", "")
        if fields["id"] != index:
            raise GraphError(f": id is {fields['id']!r:.80}, expected {index}")
        if type(dtype) is not str or dtype not in DTYPE_BYTES:
            raise GraphError(f": unknown dtype {dtype!r:.80}")
        if kind not in _KINDS:
            raise GraphError(f": unknown kind {kind!r:.80}")
        if type(name) is not str:
            raise GraphError(f": expected a text as name, got {name!r:.80}")
        if type(storage) is not int or not 0 <= storage < count:
            raise GraphError(f".storage: no tensor {storage!r:.80} (there are {count})")
        if type(shape) is not list or len(shape) > _MAX_RANK:
            raise GraphError(f": expected a shape of at most {_MAX_RANK} dimensions")
        for size in shape:
            _read_size(".shape", size)
        if prod(shape) > _MAX_DIM:
            raise GraphError(f": {shape} has more than 2^53 elements")
        if strides is not None:
            if type(strides) is not list or any(type(step) is not int for step in strides):
                raise GraphError(": expected whole numbers as strides")
            if len(strides) != len(shape):
                raise GraphError(f": {len(strides)} strides for {len(shape)} dimensions")
            strides = tuple(strides)
        batched = bool(fields["batched"])
        return TensorSpec(index, tuple(shape), dtype, kind, strides, storage, batched, name)
    except GraphError as error:
        raise GraphError(f"tensors[{index}]{error}") from None


def _read_op(index: int, fields: dict[str, Any], count: int) -> Op:
    try:
        if not fields.keys() <= _OP_FIELDS:
            raise GraphError(f": malformed, unknown keys in {sorted(fields)}")
        target, inputs, attrs = fields["target"], fields["inputs"], fields["attrs"]
        module, is_view, phase = fields["module"], fields["is_view"], fields["phase"]
        if type(target) is not str or not target or type(attrs) is not dict:
            raise GraphError(": expected a target name and an attribute object")
        if type(module) is not str or type(phase) is not str:
            raise GraphError(
                f": expected texts as module and phase, got {module!r:.80}, {phase!r:.80}"
            )
        if type(is_view) is not bool:
            raise GraphError(f".is_view: expected true or false, got {is_view!r:.80}")
        if type(inputs) is not list:
            raise GraphError(f".inputs: expected a list of tensors, got {inputs!r:.80}")
        _read_ids(".inputs", [i for i in inputs if i is not None], count)
        outputs = _read_ids(".outputs", fields["outputs"], count)
        return Op(target, tuple(inputs), outputs, attrs, module, is_view, phase)
    except GraphError as error:
        raise GraphError(f"ops[{index}]{error}") from None


def _check_order(ops: tuple[Op, ...]) -> None:
    """Every tensor is made once, and used after that."""
    maker: dict[int, int] = {}
    for index, op in enumerate(ops):
        for tensor in op.outputs:
            if tensor in maker:
                raise GraphError(f"ops[{index}]: tensor {tensor} is made by ops[{maker[tensor]}]")
            maker[tensor] = index
    for index, op in enumerate(ops):
        for used in op.inputs:
            if used is not None and maker.get(used, -1) >= index:
                raise GraphError(f"ops[{index}]: uses tensor {used} before it is made")
