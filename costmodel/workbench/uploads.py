"""Uploaded ONNX files: read, never run, and kept by their content for as long as there is room.

A file is checked for its size and its name, written to a folder of its own, read by the project's
ONNX front end (which loads no weights and executes nothing) and deleted. What stays is the graph,
found again by the SHA-256 of the file: whoever does not have the file does not have the digest.
"""

from __future__ import annotations

import base64
import hashlib
import tempfile
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from costmodel.errors import CostModelError, TraceError, UsageError
from costmodel.graph import Graph
from costmodel.tracing.onnx_model import trace_onnx
from costmodel.units import format_bytes

MAX_BYTES = 128 * 2**20
"""Largest file that is taken unless the server is told otherwise."""

MAX_OPERATORS = 100_000
"""Largest graph that is kept."""


class Upload(NamedTuple):
    """A file that was read."""

    digest: str
    """SHA-256 of the file, in hexadecimal."""
    name: str
    graph: Graph


class Uploads:
    """Graphs of uploaded files by digest; the ones not used for longest make room."""

    def __init__(self, max_bytes: int = MAX_BYTES, keep: int = 16) -> None:
        self.max_bytes = max_bytes
        self.keep = keep
        self._graphs: OrderedDict[str, Upload] = OrderedDict()
        self._lock = Lock()

    def get(self, digest: str) -> Upload | None:
        """The file of that digest, None if it was never here or had to make room."""
        with self._lock:
            found = self._graphs.get(digest)
            if found is not None:
                self._graphs.move_to_end(digest)
            return found

    def add(self, content: str, name: str, sample: tuple[int, ...] | None = None) -> Upload:
        """Read a file as a browser sends it.

        Args:
            content: a data URL, base64.
            name: the file's name; only its ending counts.
            sample: shape of one sample, for a file that leaves it open.

        Raises:
            UsageError: if it is too large, not named .onnx, or damaged on its way.
            TraceError: if it is no ONNX model that can be read.
        """
        shown = "".join(c for c in Path(name).name if c.isprintable())[:80] or "file"
        if not shown.lower().endswith(".onnx"):
            raise UsageError(f"{shown}: expected a file that ends in .onnx; nothing else is read")
        encoded = content.partition(",")[2]
        if len(encoded) * 3 // 4 > self.max_bytes + 2:
            raise UsageError(
                f"{shown}: larger than the {format_bytes(self.max_bytes)} this server takes"
            )
        try:
            data = base64.b64decode(encoded, validate=True)
        except ValueError:  # of its alphabet, or of text that is not ASCII at all
            raise UsageError(f"{shown}: damaged on its way here; upload it again") from None
        if not data:
            raise UsageError(f"{shown}: the file is empty")
        return self._keep(_read(data, shown, sample))

    def _keep(self, upload: Upload) -> Upload:
        with self._lock:
            self._graphs[upload.digest] = upload
            self._graphs.move_to_end(upload.digest)
            while len(self._graphs) > self.keep:
                self._graphs.popitem(last=False)
        return upload


def _read(data: bytes, name: str, sample: tuple[int, ...] | None) -> Upload:
    shape = b"" if sample is None else repr(sample).encode()
    digest = hashlib.sha256(data + shape).hexdigest()
    with tempfile.TemporaryDirectory(prefix="costmodel-upload-") as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(data)
        try:
            graph = trace_onnx(
                path, batch=1, input_shape=sample, name=name.removesuffix(".onnx"), open_sizes=False
            )
        except CostModelError as error:
            raise type(error)(str(error).replace(str(path), name)) from error
    if len(graph.ops) > MAX_OPERATORS:
        raise TraceError(
            f"{name}: {len(graph.ops):,} operators; at most {MAX_OPERATORS:,} are read"
        )
    if all(op.is_view for op in graph.ops):
        raise UsageError(f"{name}: the model runs no operator that takes time")
    return Upload(digest, name, graph)
