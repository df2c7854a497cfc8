"""Reading an .onnx file: protobuf, operator-set versions, and where external data may lie."""

from __future__ import annotations

import os
from pathlib import Path

import onnx

from costmodel.errors import TraceError, UsageError
from costmodel.tracing.onnx_model.values import MAX_DIM

OLDEST_OPSET = 11
"""Before it, slices, clips and resizes carried their sizes in other places."""

MAX_FILE_BYTES = 2**31
"""Protobuf's own limit on a message; larger models keep their weights in external files."""

STANDARD_DOMAINS = ("", "ai.onnx")


def read_model(path: Path) -> onnx.ModelProto:
    """Parse a model file and check what can be checked before walking it. Weights stay unread.

    Raises:
        UsageError: if there is no such file or it cannot be read.
        TraceError: if it is not an ONNX model, its opset is not supported, an initialiser is
            inconsistent, or external data lies outside the model's folder.
    """
    try:
        if not path.is_file():
            raise UsageError(f"{path}: no such file")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise TraceError(
                f"{path}: {size:,} bytes; ONNX files end at 2 GiB (keep weights in external data)"
            )
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:  # the decoder raises by its implementation
        raise TraceError(f"{path}: not an ONNX file, or a damaged one: {error}") from error
    if not model.HasField("graph"):
        raise TraceError(f"{path}: holds no graph; expected an ONNX model")
    opset_of(model.opset_import, str(path))
    _check_initializers(model.graph, path, 0)
    return model


def opset_of(imports: object, where: str) -> int:
    """The version of the standard operator set that is imported.

    Raises:
        TraceError: if there is none, or it is not supported.
    """
    versions = [entry.version for entry in imports if entry.domain in STANDARD_DOMAINS]  # type: ignore[attr-defined]
    if not versions:
        raise TraceError(f"{where}: imports no standard operator set")
    newest = onnx.defs.onnx_opset_version()
    version = int(max(versions))
    if not OLDEST_OPSET <= version <= newest:
        raise TraceError(
            f"{where}: opset {version}; supported are {OLDEST_OPSET} to {newest} "
            "(onnx.version_converter changes a model's opset)"
        )
    return version


def _check_initializers(graph: onnx.GraphProto, path: Path, depth: int) -> None:
    """Sizes must make sense and external data must lie beside the model, in subgraphs too."""
    for tensor in graph.initializer:
        check_initializer(tensor, path)
    for sparse in graph.sparse_initializer:
        check_initializer(sparse.values, path)
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node or inner.initializer:
                    _check_initializers(inner, path, depth + 1)
            if attribute.HasField("t"):
                check_initializer(attribute.t, path)


def check_initializer(tensor: onnx.TensorProto, path: Path) -> None:
    """Check one stored tensor.

    Raises:
        TraceError: naming the tensor.
    """
    where = f"{path}: tensor {tensor.name!r}"
    elements = 1
    for size in tensor.dims:
        elements *= size
        if size < 0 or elements > MAX_DIM:
            raise TraceError(f"{where}: {list(tensor.dims)} is not a shape (sizes 0 to 2^53)")
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        check_external(tensor, path)
    elif tensor.raw_data and tensor.data_type in _BITS:
        needed = -(-elements * _BITS[tensor.data_type] // 8)
        if len(tensor.raw_data) != needed:
            raise TraceError(
                f"{where}: dimensions {list(tensor.dims)} need {needed:,} bytes, the file holds "
                f"{len(tensor.raw_data):,}"
            )


def check_external(tensor: onnx.TensorProto, path: Path) -> None:
    """External data must lie in the model's folder or below; it need not exist, none is read.

    Raises:
        TraceError: for absolute locations, locations above the folder, and links that leave it.
    """
    where = f"{path}: external data of tensor {tensor.name!r}"
    locations = [entry.value for entry in tensor.external_data if entry.key == "location"]
    if len(locations) != 1 or not locations[0] or "\0" in locations[0]:
        raise TraceError(f"{where}: expected one location, a path in the model's folder")
    location = locations[0].replace("\\", "/")
    parts = location.split("/")
    drive = len(parts[0]) > 1 and parts[0][1] == ":"
    if location.startswith("/") or drive or os.path.isabs(locations[0]):
        raise TraceError(f"{where}: absolute path {locations[0]!r} is refused; it must be relative")
    if ".." in parts:
        raise TraceError(f"{where}: {locations[0]!r} is refused: it leaves the model's folder")
    folder = os.path.realpath(path.parent)
    target = os.path.realpath(os.path.join(folder, location))
    if os.path.commonpath([folder, target]) != folder:
        raise TraceError(f"{where}: {locations[0]!r} is refused: a link leads out of the folder")


_P = onnx.TensorProto
_BITS: dict[int, int] = {
    _P.FLOAT: 32, _P.DOUBLE: 64, _P.FLOAT16: 16, _P.BFLOAT16: 16, _P.COMPLEX64: 64,
    _P.COMPLEX128: 128, _P.BOOL: 8, _P.INT8: 8, _P.UINT8: 8, _P.INT16: 16, _P.UINT16: 16,
    _P.INT32: 32, _P.UINT32: 32, _P.INT64: 64, _P.UINT64: 64, _P.FLOAT8E4M3FN: 8,
    _P.FLOAT8E4M3FNUZ: 8, _P.FLOAT8E5M2: 8, _P.FLOAT8E5M2FNUZ: 8, _P.INT4: 4, _P.UINT4: 4,
}  # fmt: skip
