"""Outlines: what is read back predicts as the graph does, to the last digit."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import costmodel as cm
from costmodel.errors import GraphError, UsageError
from costmodel.estimation import prepared as room
from costmodel.estimation import sweep
from costmodel.estimation.predictions import predictions
from costmodel.estimation.prepared import prepared, workload_for
from costmodel.estimation.targets import resolve_target
from costmodel.memory import memory_of
from costmodel.roofline.outline import Outline, outline_of, read
from costmodel.roofline.precision import PRECISIONS, get_precision
from costmodel.tracing import cache
from costmodel.tracing.cache import cache_info, clear_cache, without_cache

DEVICES = ("a100-pcie-40gb", "epyc-73f3", "t4")
PRECISION_NAMES = ("fp32", "fp16", "bf16")
BATCHES = (1, 3, 64)


class Pairs(nn.Module):
    """Every sample with every other."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ x.T


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Sources whose graphs were asked for, in order."""
    calls: list[str] = []
    real = cache.cached_graph

    def counted(source: str, *args: Any, **options: Any) -> cm.Graph:
        calls.append(source)
        return real(source, *args, **options)

    monkeypatch.setattr(cache, "cached_graph", counted)
    return calls


@pytest.mark.parametrize("source", ["zoo:fasternet_t0", "zoo:partialnet_t0", "zoo:resnet50"])
def test_what_is_read_back_predicts_what_the_graph_does(
    source: str, tmp_path: Path, traced: list[str]
) -> None:
    prepared(source, 2, tmp_path)
    found = prepared(source, 2, tmp_path)
    assert traced == [source], "the second time neither traces nor reads the graph"
    assert isinstance(found.workload, Outline)
    graph = cm.load_graph(source, 2)
    whole = sweep(graph, DEVICES, BATCHES, PRECISION_NAMES)
    policies = [get_precision(name) for name in PRECISION_NAMES]
    own = predictions(found.workload, [resolve_target(d) for d in DEVICES], BATCHES, policies)
    np.testing.assert_array_equal(own.latency, whole.latency)
    np.testing.assert_array_equal(own.energy, whole.energy)
    np.testing.assert_array_equal(own.bounds, whole.bounds)
    assert found.parameters == graph.parameters
    for width in (1, 2, 4, 8):
        for batch in BATCHES:
            assert found.peak.at(batch, width) == memory_of(graph).at(batch, width).total


def test_each_precision_has_its_costs(tmp_path: Path) -> None:
    found = prepared("zoo:fasternet_t0", 1, tmp_path).workload
    workload = workload_for(cm.load_graph("zoo:fasternet_t0"))
    for policy in PRECISIONS.values():
        mine, theirs = (w.cost(np.array([2.0]), policy.storage).cost for w in (found, workload))
        np.testing.assert_array_equal(mine.bytes, theirs.bytes)


def test_a_cost_that_grows_with_the_square_of_the_batch_has_no_outline() -> None:
    graph = cm.trace(Pairs(), (2, 8))
    assert outline_of(workload_for(graph)) is None
    assert outline_of(workload_for(cm.trace(nn.Linear(8, 8), (2, 8)))) is not None


def test_gradients_and_activations_peak_together() -> None:
    graph = cm.load_graph("zoo:fasternet_t0", 2, mode="train")
    memory = memory_of(graph)
    for width, batch in ((4, 1), (4, 64), (2, 7)):
        assert memory.peak().at(batch, width) == pytest.approx(
            memory.at(batch, width).total, rel=1e-12
        )


BROKEN = {
    "empty": b"",
    "not-gzip": b"not gzip at all",
    "no-json": gzip.compress(b"{"),
    "other-json": gzip.compress(b"{}\n{}\n"),
    "cut": None,
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_corrupt_outline_is_made_anew(
    content: bytes | None, tmp_path: Path, traced: list[str]
) -> None:
    prepared("zoo:fasternet_t0", 1, tmp_path)
    (entry,) = tmp_path.glob(f"*/*{room.SUFFIX}")
    whole = entry.read_bytes()
    numbers = gzip.decompress(whole)
    entry.write_bytes(gzip.compress(numbers[:-80]) if content is None else content)
    prepared("zoo:fasternet_t0", 1, tmp_path)
    assert len(traced) == 2
    assert entry.read_bytes() == whole, "the entry was mended"


def test_code_of_formulas_and_laws_is_part_of_the_key(
    tmp_path: Path, traced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared("zoo:fasternet_t0", 1, tmp_path)
    monkeypatch.setattr(cache, "code_digest", lambda rooms: "other code")
    prepared("zoo:fasternet_t0", 1, tmp_path)
    assert len(traced) == 2
    assert len([*tmp_path.glob(f"*/*{room.SUFFIX}")]) == 2


def test_the_cache_counts_graphs_and_clears_all(tmp_path: Path) -> None:
    prepared("zoo:fasternet_t0", 1, tmp_path)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 2
    assert cache_info(tmp_path).entries == 1
    clear_cache(tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_other_content_is_no_outline() -> None:
    for content in (b"", b"[]\n", b'{"format": "costmodel-outline-0"}\n', b"\xff\n"):
        with pytest.raises(GraphError, match="not an outline"):
            read(content)


def test_a_model_in_a_file_is_never_kept(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text("from torch import nn\ndef make():\n    return nn.Conv2d(3, 8, 3)\n")
    folder = tmp_path / "cache"
    for _ in range(2):
        assert prepared(f"{path}:make", 1, folder).parameters == 3 * 8 * 9 + 8
    assert not folder.exists()


def test_without_the_cache_nothing_is_kept(tmp_path: Path) -> None:
    with without_cache():
        assert prepared("zoo:fasternet_t0", 1, tmp_path).parameters > 0
    assert not [*tmp_path.iterdir()]


def test_a_model_without_operators_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = cm.trace(nn.Identity(), (1, 8))
    monkeypatch.setattr(cache, "cached_graph", lambda *args, **options: empty)
    with pytest.raises(UsageError, match="no operator ran"):
        prepared("zoo:fasternet_t0", 1, tmp_path)
