"""Graph: dataflow, JSON round trip, and errors on damaged documents."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from costmodel import Graph, trace
from costmodel.errors import GraphError


class Branches(nn.Module):
    """Two branches from one tensor: conv -> relu_, and a slice; joined by cat."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.relu(self.conv(x)), x[:, :2]], 1)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return trace(Branches(), (2, 4, 6, 6))


def test_operators_in_order(graph: Graph) -> None:
    assert [op.target for op in graph.ops] == [
        "aten::convolution",
        "aten::relu",
        "aten::slice",
        "aten::cat",
    ]
    assert [op.is_view for op in graph.ops] == [False, False, True, False]
    assert [op.module for op in graph.ops] == ["conv", "relu", "", ""]


def test_edges_follow_the_tensors(graph: Graph) -> None:
    assert {(a, b) for a, b, _ in graph.edges()} == {(0, 1), (1, 3), (2, 3)}
    network = graph.to_networkx()
    assert network.number_of_nodes() == 4
    assert sorted(network.edges()) == [(0, 1), (1, 3), (2, 3)]
    assert network.nodes[0]["name"] == "conv"


def test_parameters_and_storage(graph: Graph) -> None:
    assert graph.parameters == 8 * 4 * 9 + 8
    assert graph.weight_bytes == 4 * graph.parameters
    conv, relu = graph.ops[0].outputs[0], graph.ops[1].outputs[0]
    assert graph.tensors[relu].storage == graph.tensors[conv].storage  # in place
    sliced = graph.tensors[graph.ops[2].outputs[0]]
    assert sliced.storage == graph.inputs[0]
    assert sliced.shape == (2, 2, 6, 6)


def test_frozen_parameters_count_and_buffers_do_not() -> None:
    model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5))
    model[0].requires_grad_(False)
    assert trace(model, (2, 3)).parameters == (3 * 5 + 5) + (5 + 5)


def test_expanded_dimensions_count_once() -> None:
    class Expand(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :1].expand(-1, 5, -1) + 1

    graph = trace(Expand(), (2, 3, 7))
    read = graph.tensors[graph.ops[-1].inputs[0]]
    assert read.numel == 2 * 5 * 7
    assert read.distinct == 2 * 1 * 7


def test_json_round_trip(graph: Graph) -> None:
    again = Graph.from_json(graph.to_json())
    assert again.tensors == graph.tensors
    assert again.ops == graph.ops
    assert (again.inputs, again.outputs, again.weights) == (
        graph.inputs,
        graph.outputs,
        graph.weights,
    )
    assert again.batch == 2
    assert again.modules == graph.modules
    assert again.estimate("v100-sxm2").latency == graph.estimate("v100-sxm2").latency


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: d.pop("ops"), "lacks the key 'ops'"),
        (lambda d: d.update(ops=""), "ops: expected a list, got ''"),
        (lambda d: d.update(tensors={}), "tensors: expected a list, got {}"),
        (lambda d: d.update(version=99), "version 99"),
        (lambda d: d.update(format="x"), "not a costmodel graph"),
        (lambda d: d["tensors"][0].update(dtype="float7"), "unknown dtype 'float7'"),
        (lambda d: d["tensors"][0].update(shape=[-1]), "tensors[0].shape"),
        (lambda d: d["tensors"][0].update(shape=[10**30]), "tensors[0].shape"),
        (lambda d: d["tensors"][1].update(id=7), "tensors[1]: id is 7"),
        (lambda d: d["ops"][0].update(inputs=[999]), "no tensor 999"),
        (lambda d: d["ops"][0].update(surprise=1), "malformed"),
        (lambda d: d.update(outputs=["a"]), "no tensor 'a'"),
    ],
)
def test_damaged_documents_give_one_clear_error(graph: Graph, damage, message: str) -> None:
    document = json.loads(graph.to_json())
    damage(document)
    with pytest.raises(GraphError) as error:
        Graph.from_json(json.dumps(document))
    assert message in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000])
def test_not_a_document(text: str) -> None:
    with pytest.raises(GraphError):
        Graph.from_json(text)
