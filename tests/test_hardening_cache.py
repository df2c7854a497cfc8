"""One trace cache and several processes: each gets its graph, whatever the others do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from costmodel.graph import Graph
from costmodel.tracing import cache
from costmodel.tracing.cache import cache_info, cached_graph
from costmodel.tracing.packing import packed, unpacked
from costmodel.tracing.source import load_graph

WORKER = """
import sys, hashlib
from costmodel.tracing.cache import cached_graph, clear_cache
for number in range(3):
    for source in ("zoo:fasternet_t0", "zoo:fasternet_t1"):
        graph = cached_graph(source)
        print(source, hashlib.sha256(graph.to_json().encode()).hexdigest())
    if sys.argv[1] == "clear":
        clear_cache()
"""


def test_readers_writers_and_one_that_clears(tmp_path: Path) -> None:
    environment = {**os.environ, "COSTMODEL_CACHE": str(tmp_path)}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, role],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for role in ("read", "clear", "read")
    ]  # fmt: skip
    answers = [process.communicate() for process in running]
    assert [err for _, err in answers] == [""] * 3
    lines = {line for out, _ in answers for line in out.splitlines()}
    assert sum(len(out.splitlines()) for out, _ in answers) == 18
    assert len(lines) == 2, "each source gave the same graph every time"
    for source in ("zoo:fasternet_t0", "zoo:fasternet_t1"):
        found = cached_graph(source, folder=tmp_path)
        assert found.to_json() == load_graph(source).to_json()
    assert not list(tmp_path.rglob(".new-*"))


WRITER = """
import sys
from pathlib import Path
from costmodel.graph import Graph
from costmodel.tracing import cache
from costmodel.tracing.packing import packed
graph = Graph.from_json(Path(sys.argv[1]).read_text())
print("ready", flush=True)
while True:
    cache.write_entry(Path(sys.argv[2]), packed(graph).encode())
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_writer_that_is_killed_leaves_no_broken_entry(tmp_path: Path) -> None:
    graph = load_graph("zoo:fasternet_t0")
    (tmp_path / "g.json").write_text(graph.to_json())
    entry = tmp_path / "ab" / "entry.json.gz"
    for pause in (0.0, 0.013, 0.029):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "g.json"), str(entry)],
            stdout=subprocess.PIPE,
        ) as running:
            assert running.stdout is not None
            running.stdout.readline()
            time.sleep(pause)
            running.send_signal(signal.SIGKILL)
        if entry.exists():
            found = cache.read_entry(entry, unpacked)
            assert isinstance(found, Graph)
            assert found.to_json() == graph.to_json()
    cache.write_entry(entry, packed(graph).encode())
    assert cache_info(tmp_path).entries == 1


def test_a_full_disk_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert cached_graph("zoo:fasternet_t0", folder=tmp_path).parameters > 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_a_killed_writer_left_goes_when_the_cache_is_cleared(tmp_path: Path) -> None:
    (tmp_path / "ab").mkdir()
    left = tmp_path / "ab" / ".new-xyz"
    left.write_bytes(b"half")
    assert cache_info(tmp_path).entries == 0
    cache.clear_cache(tmp_path)
    assert not left.exists()
