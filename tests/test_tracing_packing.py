"""Packed graphs: the same graph comes back, smaller, and nothing else is taken for one."""

from __future__ import annotations

import json
from typing import Any

import pytest

import costmodel as cm
from costmodel.errors import GraphError
from costmodel.graph import Graph
from costmodel.tracing.packing import packed, unpacked


@pytest.mark.parametrize(
    ("source", "conditions"),
    [
        ("zoo:fasternet_t0", {}),
        ("zoo:mobilenet_v2", {"layout": "nhwc", "autocast": "bfloat16"}),
        ("zoo:fasternet_t0", {"mode": "train", "optimizer": "adamw"}),
    ],
)
def test_the_same_graph_comes_back(source: str, conditions: dict[str, Any]) -> None:
    graph = cm.load_graph(source, 2, **conditions)
    text = packed(graph)
    assert unpacked(text).to_json() == graph.to_json()
    assert unpacked(text.encode()).to_json() == graph.to_json()
    assert len(text) < len(graph.to_json()) / 2


def test_an_empty_graph() -> None:
    graph = Graph("nothing", (), (), (), ())
    assert unpacked(packed(graph)).to_json() == graph.to_json()


@pytest.mark.parametrize("value", [float("nan"), object(), {1, 2}])
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    graph = Graph("odd", (), (), (), (), conditions={"value": value})
    with pytest.raises(GraphError, match="'odd' cannot be written"):
        packed(graph)


def test_other_documents_are_refused() -> None:
    graph = cm.load_graph("zoo:fasternet_t0")
    whole = json.loads(packed(graph))
    broken = [
        "", "{", "[]", "3", "null", "[" * 100_000, b"\xff\xfe", graph.to_json(),
        json.dumps({**whole, "version": 99}),
        json.dumps({**whole, "storages": whole["storages"][1:]}),
        json.dumps({**whole, "calls": whole["calls"][:1]}),
        json.dumps({**whole, "sorts": 3}),
        *(json.dumps({k: v for k, v in whole.items() if k != key}) for key in whole),
    ]  # fmt: skip
    for text in broken:
        with pytest.raises(GraphError, match=r"^not a packed graph"):
            unpacked(text)
