"""A graph as a compact document that is read back fast: whatever recurs is written once.

Operators of repeated blocks have the same attributes, and their tensors the same shapes; a tensor
or an operator is then a few whole numbers. For the trace cache, which reads only what it wrote:
`Graph.to_json` is the format for exchange, and the one that is checked.
"""

from __future__ import annotations

import json
from typing import Any

from costmodel.errors import GraphError
from costmodel.graph import FORMAT_VERSION, Graph, Op, TensorSpec
from costmodel.graph.document import head_of

FORMAT = "costmodel-packed-graph"


def packed(graph: Graph) -> str:
    """A document that `unpacked` reads back to an equal graph.

    Raises:
        GraphError: if sizes are symbolic or attributes cannot be written.
    """
    sorts, calls, paths = _Distinct(), _Distinct(), _Distinct()
    try:
        document = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            **head_of(graph),
            "tensors": [
                sorts.index((x.shape, x.dtype, x.kind, x.strides, x.batched)) for x in graph.tensors
            ],
            "storages": [x.storage for x in graph.tensors],
            "names": [[x.id, x.name] for x in graph.tensors if x.name],
            "ops": [
                (
                    calls.index((op.target, dict(op.attrs), op.is_view, op.phase)),
                    paths.index(op.module),
                    op.inputs,
                    op.outputs,
                )
                for op in graph.ops
            ],
            "sorts": list(sorts.found.values()),
            "calls": list(calls.found.values()),
            "paths": list(paths.found.values()),
        }
        return json.dumps(document, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise GraphError(f"graph {graph.name!r} cannot be written as JSON: {error}") from error


def unpacked(text: str | bytes) -> Graph:
    """Read what `packed` wrote.

    Raises:
        GraphError: if the text is not such a document.
    """
    try:
        found = json.loads(text)
        if (found["format"], found["version"]) != (FORMAT, FORMAT_VERSION):
            raise GraphError("not a packed graph of this version")
        names = [""] * len(found["tensors"])
        for tensor, name in found["names"]:
            names[tensor] = name
        sorts = [
            (tuple(shape), dtype, kind, None if strides is None else tuple(strides), batched)
            for shape, dtype, kind, strides, batched in found["sorts"]
        ]
        calls, paths = found["calls"], found["paths"]
        return Graph(
            name=found["name"],
            tensors=tuple(
                [
                    TensorSpec(index, shape, dtype, kind, strides, storage, batched, name)
                    for index, (sort, storage, name) in enumerate(
                        zip(found["tensors"], found["storages"], names, strict=True)
                    )
                    for shape, dtype, kind, strides, batched in (sorts[sort],)
                ]
            ),
            ops=tuple(
                [
                    Op(target, tuple(inputs), tuple(outputs), attrs, paths[path], is_view, phase)
                    for call, path, inputs, outputs in found["ops"]
                    for target, attrs, is_view, phase in (calls[call],)
                ]
            ),
            inputs=tuple(found["inputs"]),
            outputs=tuple(found["outputs"]),
            batch=found["batch"],
            modules=found["modules"],
            weights=tuple(found["weights"]),
            rung=found["rung"],
            conditions=found["conditions"],
        )
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise GraphError(f"not a packed graph: {error}") from error


class _Distinct:
    """Different values, numbered as they come."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}
        self._numbers: dict[str, int] = {}

    def index(self, value: Any) -> int:
        key = repr(value)
        self.found.setdefault(key, value)
        return self._numbers.setdefault(key, len(self._numbers))
