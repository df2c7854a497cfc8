"""Symbolic traces: closed forms against concrete traces, guards, substitution, evaluation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import costmodel as cm
from costmodel.errors import GraphError, UsageError
from costmodel.formulas.columns import columns_of

IMAGE_SIZES = {"batch": 0, "height": 2, "width": 3}
QUANTITIES = ("macs", "other_flops", "bytes_read", "bytes_written", "weight_bytes", "parameters")


class Mixed(nn.Module):
    """One of each thing that export and eager record differently when they are not careful."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.same = nn.Conv2d(16, 16, 3, padding="same", groups=4)
        self.norm = nn.BatchNorm2d(16)
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
        self.layer_norm = nn.LayerNorm(16)
        self.pool = nn.AdaptiveAvgPool2d(3)
        self.head = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu_(self.norm(self.same(self.stem(x))))
        x[:, :8] = x[:, 8:] * 2.0
        x = x + self.pool(x).mean((2, 3), keepdim=True)
        tokens = nn.functional.avg_pool2d(x, 2).flatten(2).transpose(1, 2)
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        tokens = nn.functional.dropout(self.layer_norm(tokens), 0.1, self.training)
        scores = torch.einsum("bnc,bmc->bnm", tokens, tokens).softmax(-1)
        return self.head((scores @ tokens).mean(1))


def totals(graph: cm.Graph) -> dict[str, tuple[float, ...]]:
    """Totals per operator class by the numeric columns, which know nothing of symbols."""
    columns = columns_of(graph)
    cost = columns.evaluate().cost
    result = {}
    for kind in set(columns.kinds):
        counts = np.where([k == kind for k in columns.kinds], columns.counts, 0)
        result[kind] = tuple(float(getattr(cost, q) @ counts) for q in QUANTITIES)
    return result


def agree(graph: cm.Graph, concrete: cm.Graph, **sizes: int) -> None:
    placed = graph.substitute(**sizes)
    assert placed.symbols == ()
    assert totals(placed) == totals(concrete)
    assert placed.batch == concrete.batch
    assert placed.parameters == concrete.parameters
    numeric = graph.evaluate(**sizes)
    expected = np.sum(list(totals(concrete).values()), axis=0)
    for quantity, value in zip(QUANTITIES[:4], expected, strict=False):
        assert float(getattr(numeric, quantity)) == value, quantity


@pytest.fixture(scope="module")
def mixed() -> cm.Graph:
    return cm.trace(Mixed(), (2, 3, 64, 64), symbolic=IMAGE_SIZES)


@pytest.fixture(scope="module")
def pointwise() -> cm.Graph:
    return cm.trace(nn.Conv2d(3, 8, 1), (2, 3, 32, 32), symbolic=IMAGE_SIZES)


@pytest.mark.parametrize("size", [(2, 64, 64), (3, 96, 64), (7, 77, 91)])
def test_mixed_network_agrees_with_a_concrete_trace_at_other_sizes(
    mixed: cm.Graph, size: tuple[int, int, int]
) -> None:
    n, h, w = size
    assert mixed.symbols == ("batch", "height", "width")
    agree(mixed, cm.trace(Mixed(), (n, 3, h, w)), batch=n, height=h, width=w)


def test_zoo_network_agrees_at_another_size() -> None:
    from costmodel import zoo

    with torch.device("meta"):
        model = zoo.create("fasternet_t0")
    graph = cm.trace(model, (2, 3, 224, 224), symbolic=IMAGE_SIZES)
    agree(graph, cm.trace(model, (4, 3, 192, 256)), batch=4, height=192, width=256)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "vit_b_16"])
def test_torchvision_networks_agree_at_another_batch(name: str) -> None:
    models = pytest.importorskip("torchvision.models", reason="needs the zoo extra")
    with torch.device("meta"):
        model = models.get_model(name, weights=None)
    graph = cm.trace(model, (2, 3, 224, 224), symbolic={"batch": 0})
    assert graph.symbols == ("batch",)
    agree(graph, cm.trace(model, (6, 3, 224, 224)), batch=6)


def test_closed_form_of_a_convolution_by_hand() -> None:
    model = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
    graph = cm.trace(model, (2, 3, 32, 32), symbolic=IMAGE_SIZES)
    cost = graph.cost()
    # 3 x 3 taps x 3 channels x 8 filters at every second position, rounded up
    assert str(cost.macs) == "216*batch*ceiling(height/2)*ceiling(width/2)"
    assert cost.parameters == 3 * 3 * 3 * 8
    n, h, w = 5, 21, 40
    assert graph.substitute(batch=n, height=h, width=w).cost().macs == 216 * n * 11 * 20


def test_operators_stay_whole(mixed: cm.Graph) -> None:
    targets = [op.target for op in mixed.ops]
    for target in ("linear", "scaled_dot_product_attention", "batch_norm", "layer_norm"):
        assert f"aten::{target}" in targets
    assert not any("assert" in t or "sym_" in t for t in targets)
    assert {op.module for op in mixed.ops} >= {"stem", "same", "norm", "attention", "head"}
    assert mixed.modules["attention"] == "MultiheadAttention"


def test_eager_trace_keeps_multi_head_attention_whole() -> None:
    graph = cm.trace(Mixed(), (2, 3, 64, 64))
    assert "aten::scaled_dot_product_attention" in [op.target for op in graph.ops]


def test_in_place_writes_share_memory(mixed: cm.Graph) -> None:
    relu = next(op for op in mixed.ops if op.target == "aten::relu")
    before, after = mixed.tensors[relu.inputs[0] or 0], mixed.tensors[relu.outputs[0]]
    assert before.storage == after.storage


def test_tied_weights_count_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(50, 12)
            self.head = nn.Linear(12, 50, bias=False)
            self.head.weight = self.embedding.weight

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.head(self.embedding(ids))
            return result

    ids = torch.zeros((2, 9), dtype=torch.int64)
    graph = cm.trace(Tied(), ids, symbolic={"batch": 0, "sequence": 1})
    assert graph.parameters == 50 * 12
    assert str(graph.cost().macs) == "600*batch*sequence"


# --------------------------------------------------------------------- guards


class FixedPosition(nn.Module):
    """Adds a learnt position to each of 64 pixels, as vision transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.zeros(1, 3, 8, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.position


def test_a_pinned_size_is_reported_and_held_to() -> None:
    graph = cm.trace(FixedPosition(), (2, 3, 8, 8), symbolic=IMAGE_SIZES)
    assert graph.symbols == ("batch",)
    assert graph.conditions["fixed"] == {"height": 8, "width": 8}
    assert graph.substitute(batch=3, height=8, width=8).tensors[0].shape[-1] == 8
    with pytest.raises(GraphError, match=r"height=9 breaks Eq\(height, 8\)"):
        graph.substitute(batch=3, height=9, width=8)
    with pytest.raises(GraphError, match=r"height=10 breaks"):
        graph.evaluate(batch=3, height=np.array([8, 10, 12]))


def test_sizes_tied_together_are_reported() -> None:
    class Square(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + x.transpose(2, 3)

    graph = cm.trace(Square(), (2, 3, 16, 16), symbolic=IMAGE_SIZES)
    assert len(graph.symbols) == 2
    agree(graph, cm.trace(Square(), (2, 3, 20, 20)), batch=2, height=20, width=20)
    with pytest.raises(GraphError, match="breaks"):
        graph.substitute(batch=2, height=20, width=24)


def test_divisibility_is_a_guard() -> None:
    class Windows(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            n, c, h, w = x.shape
            windows = x.view(n, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 3, 5, 1)
            return windows.reshape(-1, 16, c).softmax(-1)

    graph = cm.trace(Windows(), (2, 3, 16, 32), symbolic=IMAGE_SIZES)
    agree(graph, cm.trace(Windows(), (2, 3, 24, 8)), batch=2, height=24, width=8)
    with pytest.raises(GraphError, match="height=18, width=8 breaks"):
        graph.substitute(batch=2, height=18, width=8)


def test_sizes_that_grow_too_complex_leave_the_batch_symbolic() -> None:
    class SamePadding(nn.Module):
        """TensorFlow's padding: its amount is computed from the size, layer after layer."""

        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Conv2d(4, 4, 3, stride=2) for _ in range(5))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for layer in self.layers:
                h, w = (max((-(-s // 2) - 1) * 2 + 3 - s, 0) for s in x.shape[-2:])
                x = layer(nn.functional.pad(x, [w // 2, w - w // 2, h // 2, h - h // 2]))
            return x

    model = SamePadding()
    graph = cm.trace(model, (2, 4, 100, 100), symbolic=IMAGE_SIZES)
    if graph.symbols != IMAGE_SIZES.keys():  # where the framework cannot simplify them
        assert graph.symbols == ("batch",)
        assert graph.conditions["too_complex"] == ["height", "width"]
    agree(graph, cm.trace(model, (3, 4, 100, 100)), batch=3, height=100, width=100)


# ------------------------------------------------------- evaluate, substitute


def test_evaluate_broadcasts_arrays_and_traces_once() -> None:
    graph = cm.trace(nn.Conv2d(3, 8, 3, padding=1), (2, 3, 32, 32), symbolic=IMAGE_SIZES)
    batch, size = np.arange(1, 5)[:, None], np.array([32, 48, 57])
    cost = graph.evaluate(batch=batch, height=size, width=size)
    assert cost.macs.shape == (4, 3)
    np.testing.assert_array_equal(cost.macs, 3 * 8 * 9 * batch * size**2)
    np.testing.assert_array_equal(cost.parameters, np.full((4, 3), 3 * 8 * 9 + 8))


def test_quotients_are_exact_in_floating_point() -> None:
    # 1/49 is not a binary fraction: 49 * (1/49) is less than 1 in float64.
    graph = cm.trace(nn.Conv2d(1, 1, 49, stride=49), (2, 1, 98, 98), symbolic=IMAGE_SIZES)
    sizes = 49 * np.arange(2, 500)
    cost = graph.evaluate(batch=1, height=sizes, width=98)
    np.testing.assert_array_equal(cost.macs, 49 * 49 * 2 * (sizes // 49))


def test_partial_substitution_leaves_the_rest_symbolic(pointwise: cm.Graph) -> None:
    half = pointwise.substitute(height=10, width=20)
    assert half.symbols == ("batch",)
    assert half.conditions["sizes"] == {"height": 10, "width": 20}
    assert str(half.cost().macs) == str(24 * 200) + "*batch"
    assert cm.Graph.from_json(half.substitute(batch=2).to_json()).batch == 2


def test_wrong_sizes_are_refused(pointwise: cm.Graph) -> None:
    with pytest.raises(UsageError, match="no symbolic size 'depth'; it has batch, height, width"):
        pointwise.substitute(depth=3)
    with pytest.raises(UsageError, match="at least 1"):
        pointwise.substitute(batch=0)
    with pytest.raises(UsageError, match="needs a size for height, width"):
        pointwise.evaluate(batch=1)
    with pytest.raises(UsageError, match="whole numbers"):
        pointwise.evaluate(batch=1.5, height=8, width=8)


def test_a_symbolic_graph_is_not_estimated_by_accident(pointwise: cm.Graph) -> None:
    with pytest.raises(UsageError, match="substitute numbers first"):
        columns_of(pointwise)


@pytest.mark.parametrize(
    ("symbolic", "message"),
    [
        ({"batch": 7}, "no dimension 7"),
        ({"batch": True}, "symbolic size 'batch': True is no dimension; expected a number such as"),
        ({"batch": "0"}, "'0' is no dimension"),
        ({"batch": [0]}, r"\[0\] is no dimension"),
        ({"batch": 0, "samples": 0}, "are the same one"),
        ({"batch": [(3, 0)]}, "no tensor input 3"),
        ({"my batch": 0}, "expected a name"),
    ],
)
def test_wrong_names_are_refused(symbolic: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        cm.trace(nn.Conv2d(3, 8, 1), (2, 3, 32, 32), symbolic=symbolic)
