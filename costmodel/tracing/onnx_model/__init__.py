"""The ONNX front end: a `Graph` from an .onnx file, without running or loading it.

    graph = trace_onnx("model.onnx", batch=8)

reading       protobuf, opset, external data (sizes only)
walking       every node once: shapes, size arithmetic, functions, control flow
fusing        what exporters spell out becomes one operator again
translating   the same vocabulary as a module traced in torch
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from costmodel.errors import CostModelError, TraceError, UsageError
from costmodel.graph import Graph


def trace_onnx(
    path: str | Path,
    *,
    batch: int | None = None,
    input_shape: Sequence[int] | None = None,
    sizes: Mapping[str, int] | None = None,
    name: str | None = None,
    open_sizes: bool = True,
) -> Graph:
    """Read an .onnx file as a graph of operators.

    Weights are never loaded, and nothing is run. Sizes the file leaves open (dynamic axes) stay
    symbols of the graph unless given here; `graph.substitute` gives them later.

    Args:
        path: the file.
        batch: size of the first input's first dimension, if the file leaves it open.
        input_shape: the other dimensions of the first input.
        sizes: sizes of named dimensions of the file.
        name: name of the graph, by default that of the file.
        open_sizes: whether sizes may stay open; if not, one that is left is an error.

    Raises:
        UsageError: if the file cannot be read, onnx is not installed, or a size contradicts it.
        UnknownNameError: for a name in `sizes` that the file does not have.
        TraceError: if the file is no ONNX model, is damaged, or a node makes no sense.
    """
    try:
        from costmodel.tracing.onnx_model import reading
    except ImportError:
        raise UsageError(
            "onnx is not installed; install it with: pip install 'roofline-costmodel[onnx]'"
        ) from None
    from costmodel.tracing.onnx_model.tracing import graph_of

    path = Path(path)
    try:
        model = reading.read_model(path)
        label = name or path.stem
        return graph_of(model, path, batch, input_shape, sizes or {}, label, open_sizes)
    except (TraceError, UsageError) as error:
        # Names in a file may hold anything; an error stays one line of sensible length.
        raise type(error)(_one_line(str(error))) from error
    except CostModelError:
        raise
    except Exception as error:  # fields of the wrong type, names that are no text, ...
        text = f"{path}: inconsistent or damaged: {type(error).__name__}: {error}"
        raise TraceError(_one_line(text)) from error


def _one_line(text: str) -> str:
    plain = "".join(c if c.isprintable() else "?" for c in text)
    return plain if len(plain) <= 600 else f"{plain[:400]} … {plain[-190:]}"


__all__ = ["trace_onnx"]
