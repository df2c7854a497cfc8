"""Alike operators share what was found for the first: as if each had been bound on its own."""

from __future__ import annotations

import pytest

import costmodel as cm
from costmodel.formulas.alike import likeness
from costmodel.formulas.columns import bind_op, columns_of
from costmodel.graph import Graph, Op, TensorSpec


@pytest.fixture(scope="module", params=["zoo:fasternet_t0", "zoo:mobilenet_v2"])
def graph(request: pytest.FixtureRequest) -> Graph:
    return cm.load_graph(request.param, 2)


def test_every_operator_has_the_row_that_it_has_alone(graph: Graph) -> None:
    columns = columns_of(graph)
    for op, row in zip(graph.ops, columns.row_of_op, strict=True):
        assert (row < 0) == op.is_view
        if row >= 0:
            assert columns.table[row] == bind_op(op, graph.inputs_of(op), graph.outputs_of(op))


def test_tensors_that_are_alike_are_as_large(graph: Graph) -> None:
    like = likeness(graph).tensors
    assert 1 < len(set(like)) < len(like) / 2, "a network repeats itself"
    for spec, first in zip(graph.tensors, like, strict=True):
        assert first <= spec.id
        assert spec.bytes == graph.tensors[first].bytes


def _put(storage: int) -> Graph:
    """Two scatters, the second one into tensor `storage`: its own input, or memory of its own."""
    spec = [
        TensorSpec(i, (4, 4), "float32", "activation", None, i, True) for i in range(4)
    ]  # input, values, first result, second result
    spec[3] = spec[3]._replace(storage=storage)
    ops = tuple(
        Op("aten::slice_scatter", (i, 1), (j,), {"dim": 0}, "") for i, j in ((0, 2), (2, 3))
    )
    return Graph("puts", tuple(spec), ops, (0, 1), (3,))


@pytest.mark.parametrize(("storage", "alike"), [(3, True), (2, False)])
def test_writing_in_place_is_another_operator(storage: int, alike: bool) -> None:
    first, second = likeness(_put(storage)).ops
    assert (first == second) == alike
    columns = columns_of(_put(storage))
    # All 16 elements are written out of place; in place only what is put there.
    written = columns.evaluate().cost.bytes_written[columns.row_of_op]
    assert (written[0] == written[1]) == alike
