"""Damaged and hostile graph documents: an estimate or one clear error, never anything else."""

from __future__ import annotations

import copy
import json
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.errors import CostModelError, GraphError
from costmodel.estimation import estimate
from costmodel.graph import Graph
from costmodel.reports.model.prediction import prediction_report
from costmodel.tracing.source import load_graph
from tests.fuzzing import ODD_NUMBERS, ODD_TEXTS, cases, drew

Path = tuple[str | int, ...]


def whole(source: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(load_graph(source).to_json())
    return found


NETWORKS = [whole("zoo:fasternet_t0"), whole("zoo:mobilenet_v2")]


def places(value: Any, path: Path = ()) -> list[Path]:
    """The path of everything in a document, of long lists only the first and last entries."""
    found = [path]
    if isinstance(value, dict):
        for key, item in value.items():
            found += places(item, (*path, key))
    elif isinstance(value, list):
        for index in {*range(min(4, len(value))), *range(max(0, len(value) - 4), len(value))}:
            found += places(value[index], (*path, index))
    return found


PLACES = [places(network) for network in NETWORKS]

NASTY = st.one_of(
    ODD_NUMBERS,
    ODD_TEXTS,
    st.none(),
    st.sampled_from([[], {}, [[]], [None], {"a": 1}, [1, "a"], [-1], [10**12] * 4, [1] * 80]),
)


def outcome(text: str) -> str | None:
    """What is said of a graph that is refused; None of one that is estimated."""
    drew("graph documents")
    try:
        graph = Graph.from_json(text)
        list(graph.edges())
        found = estimate(graph, "v100-sxm2", batch=3)
    except CostModelError as error:
        return str(error) or "nothing was said"
    assert 0 <= found.latency < inf
    assert 0 <= found.peak_memory < inf
    prediction_report([found], None, 3).render("json")
    assert repr(graph)
    assert Graph.from_json(graph.to_json()).to_json() == graph.to_json()
    return None


@cases(150)
@given(st.data())
def test_damaged_documents(data: st.DataObject) -> None:
    which = data.draw(st.integers(0, len(NETWORKS) - 1))
    document = copy.deepcopy(NETWORKS[which])
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(PLACES[which]))
        _damage(data, document, path)
    outcome(json.dumps(document))


def _damage(data: st.DataObject, document: Any, path: Path) -> None:
    """Put something else in a place, leave it out, or write it twice."""
    parent, here = document, path[-1] if path else None
    try:
        for key in path[:-1]:
            parent = parent[key]
        what = data.draw(st.sampled_from(["replace", "replace", "drop", "twice", "swap"]))
        if here is None or what == "replace":
            if here is not None:
                parent[here] = data.draw(NASTY)
        elif what == "drop":
            del parent[here]
        elif what == "twice" and isinstance(parent, list):
            parent.insert(int(here), copy.deepcopy(parent[int(here)]))
        elif what == "swap" and isinstance(parent, list) and parent:
            other = data.draw(st.integers(0, len(parent) - 1))
            parent[int(here)], parent[other] = parent[other], parent[int(here)]
    except (KeyError, IndexError, TypeError):
        pass  # an earlier damage took the place away


@cases(60)
@given(st.integers(0, 2000), st.integers(1, 6))
def test_documents_that_were_cut(cut: int, copies: int) -> None:
    text = json.dumps(NETWORKS[0])
    assert outcome(text[: len(text) - 1 - cut]) is not None
    assert outcome(text[cut + 1 :] * copies) is not None


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", "0", '"costmodel-graph"', "[" * 100_000, '{"a":' * 100_000,
        "NaN", "1" * 10_000, '{"format": "costmodel-graph", "version": 1}',
        '{"format": "costmodel-graph", "version": 99}', "\ud800",
    ],
    ids=range(12),
)  # fmt: skip
def test_what_is_no_graph(text: str) -> None:
    with pytest.raises(GraphError):
        Graph.from_json(text)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("shape", [10**12, 10**12], "elements"),
        ("shape", [-1], "size"),
        ("shape", "ab", "shape"),
        ("shape", [1] * 100, "dimensions"),
        ("strides", [0.5] * 4, "stride"),
        ("storage", -1, "storage"),
        ("storage", 10**9, "storage"),
        ("name", 7, "name"),
        ("dtype", ["float32"], "dtype"),
    ],
)
def test_a_tensor_with_a_mistake_is_named(field: str, value: Any, message: str) -> None:
    document = copy.deepcopy(NETWORKS[0])
    document["tensors"][5][field] = value
    with pytest.raises(GraphError, match=r"tensors\[5\].*" + message):
        Graph.from_json(json.dumps(document))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("inputs", [10**9], "no tensor"),
        ("outputs", [-1], "no tensor"),
        ("inputs", 3, "list of tensors"),
        ("module", None, "module"),
        ("target", "", "target"),
        ("phase", 3, "phase"),
        ("is_view", "no", "is_view"),
    ],
)
def test_an_operator_with_a_mistake_is_named(field: str, value: Any, message: str) -> None:
    document = copy.deepcopy(NETWORKS[0])
    document["ops"][3][field] = value
    with pytest.raises(GraphError, match=r"ops\[3\].*" + message):
        Graph.from_json(json.dumps(document))


@pytest.mark.parametrize("batch", [0, -1, 1.5, None, "1", True])
def test_a_batch_that_is_none(batch: Any) -> None:
    with pytest.raises(GraphError, match="batch"):
        Graph.from_json(json.dumps({**NETWORKS[0], "batch": batch}))


@pytest.mark.parametrize("groups", [0, -1, "2", None, [1], 10**400])
def test_groups_that_are_none(groups: Any) -> None:
    document = copy.deepcopy(NETWORKS[0])
    (first,) = [op for op in document["ops"] if "groups" in op["attrs"]][:1]
    first["attrs"]["groups"] = groups
    graph = Graph.from_json(json.dumps(document))
    with pytest.raises(GraphError, match="aten::convolution"):
        estimate(graph, "v100-sxm2")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_not_finite(number: str) -> None:
    text = json.dumps(NETWORKS[0]).replace('"groups": 1', f'"groups": {number}', 1)
    assert number in text
    with pytest.raises(GraphError, match=r"not a JSON document.*finite"):
        Graph.from_json(text)


def test_a_graph_that_runs_in_a_circle_is_refused() -> None:
    document = copy.deepcopy(NETWORKS[0])
    first, last = document["ops"][0], document["ops"][-1]
    first["inputs"][0] = last["outputs"][0]
    with pytest.raises(GraphError, match=r"ops\[0\].*before it is made"):
        Graph.from_json(json.dumps(document))
