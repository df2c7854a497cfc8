"""The trace cache: the same graph comes back, whatever happens to the files or beside them."""

from __future__ import annotations

import gzip
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from costmodel import files
from costmodel.cli import main
from costmodel.errors import TraceError, UnknownNameError
from costmodel.estimation import estimate
from costmodel.graph import Graph
from costmodel.tracing import cache, source
from costmodel.tracing.cache import (
    cache_info,
    cache_key,
    cached_graph,
    clear_cache,
    is_kept,
    without_cache,
)
from costmodel.tracing.packing import packed, unpacked

MODEL = "zoo:fasternet_t0"


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Sources that were really traced, in order."""
    calls: list[str] = []
    real = source.load_graph

    def counted(name: str, *args: Any, **conditions: Any) -> Graph:
        calls.append(name)
        return real(name, *args, **conditions)

    monkeypatch.setattr(source, "load_graph", counted)
    return calls


def test_second_call_reads_what_the_first_traced(tmp_path: Path, traced: list[str]) -> None:
    first = cached_graph(MODEL, 2, folder=tmp_path)
    second = cached_graph(MODEL, 2, folder=tmp_path)
    assert traced == [MODEL]
    assert second.to_json() == first.to_json()
    for device in ("a100-pcie-40gb", "epyc-73f3"):
        assert estimate(second, device, 8).latency == estimate(first, device, 8).latency


@pytest.mark.parametrize(
    "other",
    [
        {"batch": 4},
        {"input_shape": (3, 192, 192)},
        {"layout": "nhwc"},
        {"autocast": "float16"},
    ],
)
def test_each_condition_has_an_entry_of_its_own(tmp_path: Path, other: dict[str, Any]) -> None:
    cached_graph(MODEL, folder=tmp_path)
    cached_graph(MODEL, folder=tmp_path, **other)
    assert cache_info(tmp_path).entries == 2


def test_versions_are_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = cache_key(MODEL, 1, None, {})
    monkeypatch.setattr(cache, "_version", lambda package: f"{package} of tomorrow")
    assert cache_key(MODEL, 1, None, {}) != before
    monkeypatch.undo()
    monkeypatch.setattr(cache, "_tracer_digest", lambda: "other code")
    assert cache_key(MODEL, 1, None, {}) != before
    monkeypatch.undo()
    monkeypatch.setattr(cache, "FORMAT_VERSION", 99)
    assert cache_key(MODEL, 1, None, {}) != before
    monkeypatch.undo()
    assert cache_key(MODEL, 1, None, {}) == before


BROKEN_ENTRIES = {
    "empty": b"",
    "not-gzip": b"not gzip at all",
    "cut-json": gzip.compress(b"{"),
    "not-text": gzip.compress(b"\xff\xfe"),
    "no-graph": gzip.compress(json.dumps({"format": "costmodel-graph", "version": 1}).encode()),
    "deep": gzip.compress(b"[" * 100_000),
}


@pytest.mark.parametrize("broken", BROKEN_ENTRIES.values(), ids=BROKEN_ENTRIES.keys())
def test_a_corrupt_entry_is_traced_anew(tmp_path: Path, traced: list[str], broken: bytes) -> None:
    whole = cached_graph(MODEL, folder=tmp_path)
    (entry,) = tmp_path.glob("*/*.json.gz")
    entry.write_bytes(broken)
    assert cached_graph(MODEL, folder=tmp_path).to_json() == whole.to_json()
    assert len(traced) == 2
    cached_graph(MODEL, folder=tmp_path)
    assert len(traced) == 2, "the entry was mended"


def test_a_truncated_entry_is_traced_anew(tmp_path: Path, traced: list[str]) -> None:
    cached_graph(MODEL, folder=tmp_path)
    (entry,) = tmp_path.glob("*/*.json.gz")
    entry.write_bytes(entry.read_bytes()[:-100])
    cached_graph(MODEL, folder=tmp_path)
    assert len(traced) == 2


def test_concurrent_writers_leave_one_whole_entry(tmp_path: Path) -> None:
    graph = source.load_graph(MODEL)
    path = tmp_path / "ab" / "entry.json.gz"
    seen: list[Graph | None] = []

    def write() -> None:
        for _ in range(10):
            cache.write_entry(path, packed(graph).encode())
            seen.append(cache.read_entry(path, unpacked))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [p.name for p in path.parent.iterdir()] == ["entry.json.gz"]
    assert all(found is not None and found.to_json() == graph.to_json() for found in seen)


def test_a_folder_that_cannot_be_written_to_is_done_without(
    tmp_path: Path, traced: list[str]
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    for _ in range(2):
        assert cached_graph(MODEL, folder=blocked).parameters > 0
    assert len(traced) == 2
    assert blocked.read_text() == "in the way"


def test_failures_are_not_kept(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(UnknownNameError):
            cached_graph("zoo:no_such_network", folder=tmp_path)
        with pytest.raises(TraceError):
            cached_graph(MODEL, 1, (5, 32, 32), folder=tmp_path)
    assert cache_info(tmp_path).entries == 0


def test_files_are_not_kept(tmp_path: Path) -> None:
    for name in ("net.py:make", "zoo/net.py:make", "a.onnx", "b.pt2", "hf:config.json", "plain"):
        assert not is_kept(name, {})
    assert is_kept("timm:resnet50", {"autocast": "float16"})
    assert not is_kept("timm:resnet50", {"symbolic": {"batch": 0}})
    path = tmp_path / "net.py"
    path.write_text("from torch import nn\ndef make():\n    return nn.Conv2d(3, 4, 3)\n")
    cached_graph(f"{path}:make", folder=tmp_path)
    assert cache_info(tmp_path).entries == 0


def test_disabled_neither_reads_nor_writes(tmp_path: Path, traced: list[str]) -> None:
    cached_graph(MODEL, folder=tmp_path)
    with without_cache():
        cached_graph(MODEL, folder=tmp_path)
    assert len(traced) == 2
    clear_cache(tmp_path)
    with without_cache():
        cached_graph(MODEL, folder=tmp_path)
    assert cache_info(tmp_path).entries == 0


def test_clear_deletes_entries_and_nothing_else(tmp_path: Path) -> None:
    cached_graph(MODEL, folder=tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    assert clear_cache(tmp_path).entries == 1
    assert cache_info(tmp_path).entries == 0
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_the_environment_names_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COSTMODEL_CACHE", str(tmp_path))
    cached_graph(MODEL)
    assert main(["cache", "info", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    info = cache_info()
    assert (found["folder"], found["entries"], found["bytes"]) == (str(tmp_path), 1, info.bytes)
    assert info.bytes == sum(p.stat().st_size for p in tmp_path.glob("*/*"))
    assert main(["cache", "clear"]) == 0
    assert cache_info().entries == 0


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x/cache"}, "/x/cache/costmodel"),
        ("darwin", {}, "/home/u/Library/Caches/costmodel"),
        ("win32", {"LOCALAPPDATA": "/appdata"}, "/appdata/costmodel/cache"),
    ],
)
def test_each_platform_has_its_folder(
    monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], expected: str
) -> None:
    for name in ("COSTMODEL_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/u", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(files.sys, "platform", platform)
    assert files.cache_folder() == Path(expected)
