"""Sizes that depend on values: the largest they can be, stated in the graph."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import costmodel as cm  # noqa: E402
from costmodel.formulas.columns import columns_of  # noqa: E402


class Function(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def traced(function, *shapes):
    graph = cm.trace(Function(function), *shapes)
    return graph, [graph.tensors[i].shape for i in graph.outputs]


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda x: (x > 0).nonzero(), (20, 2)),
        (lambda x: torch.where(x > 0)[1], (20,)),
        (lambda x: x[x > 0], (20,)),
        (lambda x: x[x.sum(1) > 0], (4, 5)),
        (lambda x: x[x.sum(1) > 0, 1:3], (4, 2)),
        (lambda x: torch.masked_select(x, x[:1] > 0), (20,)),
        (lambda x: torch.unique(x), (20,)),
        (lambda x: torch.unique(x, return_inverse=True)[1], (4, 5)),
        (lambda x: torch.unique(x, return_counts=True)[1], (20,)),
    ],
)
def test_the_largest_size_is_what_all_ones_or_all_different_values_give(function, shape):
    graph, shapes = traced(function, (4, 5))
    assert shapes == [shape]
    # The oracle: every element positive and different from the others.
    assert tuple(function(torch.arange(1.0, 21.0).reshape(4, 5)).shape) == shape
    assert graph.rung == "bounded"
    assert graph.conditions["assumptions"]
    assert not columns_of(graph).uncovered.any()


def test_other_models_assume_nothing():
    graph, _ = traced(lambda x: x * (x > 0), (4, 5))
    assert graph.rung == "eager"
    assert "assumptions" not in graph.conditions


def test_assumptions_survive_json_and_are_shown():
    graph, _ = traced(lambda x: x[x > 0] + 1, (4, 5))
    (assumption,) = cm.Graph.from_json(graph.to_json()).conditions["assumptions"]
    assert (
        assumption == "elements selected by a mask: how many depends on values; as many as can be"
    )


def test_a_value_that_decides_still_needs_a_real_run():
    graph, _ = traced(lambda x: x[:2] if bool((x == 0).all()) else x, (4, 5))
    assert graph.rung == "cpu"
