"""Traced graphs on disk: a model that was traced before is read in a fraction of the time.

An entry is a gzip of the packed graph, named by a digest of all that the trace depends on: the
source string, batch, shape and conditions, the versions of torch, timm, torchvision and
transformers, the format of graphs and the code of this package's tracer and zoo. An entry that
cannot be read counts as absent, and each is written in one step, so that processes may share it.
What is worked out from graphs may have entries of its own beside them, under another suffix.

Models that live in files (FILE.py, FILE.onnx, FILE.pt2, hf:CONFIG.json) are never kept, since
what they import can change unseen.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from costmodel import __version__
from costmodel.collection import collection_paused
from costmodel.errors import GraphError, UsageError
from costmodel.files import cache_folder, replace_file
from costmodel.graph import FORMAT_VERSION, Graph
from costmodel.tracing.packing import packed, unpacked

T = TypeVar("T")

SUFFIX = ".json.gz"
"""Of graphs."""
KEPT_KINDS = ("zoo", "timm", "torchvision", "hf")
"""Kinds of sources whose models come from installed packages."""

_PACKAGES = ("torch", "timm", "torchvision", "transformers")
_UNREADABLE = (OSError, EOFError, zlib.error, UnicodeDecodeError, GraphError)


_IN_USE: ContextVar[bool] = ContextVar("the trace cache is in use", default=True)


class CacheInfo(NamedTuple):
    """What the cache holds."""

    folder: Path
    entries: int
    """Traced graphs."""
    bytes: int
    """On disk, with what is kept beside them."""


@contextmanager
def without_cache() -> Iterator[None]:
    """Neither look into the cache nor add to it while the context lasts."""
    token = _IN_USE.set(False)
    try:
        yield
    finally:
        _IN_USE.reset(token)


def cache_in_use() -> bool:
    """Whether this is no context of `without_cache`."""
    return _IN_USE.get()


def is_kept(source: str, conditions: dict[str, Any]) -> bool:
    """Whether a source's graph may be kept: not one from a file, nor one with symbolic sizes.

    None may be in a context of `without_cache`.
    """
    if not cache_in_use():
        return False
    kind, separator, name = source.partition(":")
    from_file = name.partition("?")[0].lower().endswith((".py", ".json", ".onnx", ".pt2"))
    if not separator or kind not in KEPT_KINDS or from_file:
        return False
    return not conditions.get("symbolic")


def cache_key(
    source: str, batch: int, input_shape: Sequence[int] | None, conditions: dict[str, Any]
) -> str:
    """The digest that names an entry: hexadecimal SHA-256."""
    parts = {
        "source": source,
        "batch": batch,
        "shape": None if input_shape is None else list(input_shape),
        "conditions": {name: conditions[name] for name in sorted(conditions)},
        "versions": {name: _version(name) for name in _PACKAGES},
        "costmodel": [__version__, _tracer_digest()],
        "format": FORMAT_VERSION,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def cached_graph(
    source: str,
    batch: int = 1,
    input_shape: Sequence[int] | None = None,
    *,
    folder: Path | None = None,
    **conditions: Any,
) -> Graph:
    """`load_graph`, or what an earlier call with the same arguments found.

    Args:
        source: of the model.
        batch: to trace at.
        input_shape: of one sample.
        folder: of the cache, by default `cache_folder()`.
        conditions: as `load_graph` takes them.

    Raises:
        CostModelError: whatever `load_graph` raises; failures are not kept.
    """

    def make() -> Graph:
        from costmodel.tracing.source import load_graph

        return load_graph(source, batch, input_shape, **conditions)

    return kept_graph(make, source, batch, input_shape, conditions, folder)


def kept_graph(
    make: Callable[[], Graph],
    source: str,
    batch: int,
    input_shape: Sequence[int] | None,
    conditions: dict[str, Any],
    folder: Path | None = None,
) -> Graph:
    """What an earlier call with the same arguments found, or else what `make` traces now.

    Args:
        make: traces the model.
        source: of the model.
        batch: it is traced at.
        input_shape: of one sample.
        conditions: whatever else sets the graph apart from others of this source.
        folder: of the cache, by default `cache_folder()`.
    """
    if not is_kept(source, conditions):
        return make()
    place = entry(cache_key(source, batch, input_shape, conditions), SUFFIX, folder)
    found = read_entry(place, unpacked)
    if found is None:
        found = make()
        with suppress(GraphError):
            write_entry(place, packed(found).encode())
    return found


def entry(key: str, suffix: str, folder: Path | None = None) -> Path:
    """Where something is kept.

    Args:
        key: hexadecimal digest of all that it depends on.
        suffix: for what it is.
        folder: of the cache, by default `cache_folder()`.
    """
    return (folder or cache_folder()) / key[:2] / f"{key[2:]}{suffix}"


def read_entry(place: Path, read: Callable[[bytes], T]) -> T | None:
    """What is kept there; None if nothing is that `read` can make sense of."""
    try:
        content = gzip.decompress(place.read_bytes())
        with collection_paused():
            return read(content)
    except _UNREADABLE:
        return None


def write_entry(place: Path, content: bytes) -> None:
    """Keep something; where that is not possible (a full or read-only disk), go on without."""
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        replace_file(place, gzip.compress(content, 6, mtime=0))


def cache_info(folder: Path | None = None) -> CacheInfo:
    """How many graphs the cache holds, and the size of all entries."""
    place = folder or cache_folder()
    graphs = size = 0
    for path in _entries(place):
        with suppress(FileNotFoundError):  # another process cleared it
            size += path.stat().st_size
            graphs += path.name.endswith(SUFFIX)
    return CacheInfo(place, graphs, size)


def clear_cache(folder: Path | None = None) -> CacheInfo:
    """Delete every entry, and nothing else; returns what there was.

    Raises:
        UsageError: if an entry cannot be deleted.
    """
    place = folder or cache_folder()
    before = cache_info(place)
    left = place.glob("[0-9a-f][0-9a-f]/.new-*")  # by writers that were killed
    for path in [*_entries(place), *left]:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise UsageError(f"cannot delete {path}: {error.strerror or error}") from error
    return before


def _entries(folder: Path) -> Iterator[Path]:
    return folder.glob("[0-9a-f][0-9a-f]/[0-9a-f]*.gz")


@cache
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def _tracer_digest() -> str:
    """Of the code that graphs come from, so that a mended tracer never reads its old mistakes."""
    return code_digest(("graph", "tracing", "zoo"))


@cache
def code_digest(rooms: Sequence[str]) -> str:
    """Of code and tables of this package; hexadecimal SHA-256.

    Args:
        rooms: folders and files, from the package's own folder.
    """
    package = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for room in rooms:
        place = package / room
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.suffix in (".py", ".yaml"):
                digest.update(path.read_bytes())
    return digest.hexdigest()
