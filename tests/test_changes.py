"""What would help: rewrites against traced twins and hand-worked counts, gains against `sweep`."""

from __future__ import annotations

import pytest

from costmodel.changes import consider, fold_norms, replace_by_partial
from costmodel.estimation import estimate, sweep
from costmodel.graph import Graph
from costmodel.tracing.builder import GraphBuilder

torch = pytest.importorskip("torch")
nn = torch.nn


def block(channels: int = 64) -> Graph:
    builder = GraphBuilder("block")
    x = builder.input((2, channels, 28, 28))
    x = builder.conv2d(x, channels, kernel=1, module="first")
    x = builder.conv2d(x, channels, kernel=3, module="spatial")
    return builder.graph(builder.conv2d(x, channels, kernel=3, groups=channels, module="depthwise"))


# -------------------------------------------------------------------------------- batch norms


class Norms(nn.Module):  # type: ignore[misc, name-defined]
    """Four batch norms: two fold, one follows a value used twice, one follows an addition."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = nn.Sequential(nn.Conv2d(3, 16, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.biased = nn.Conv2d(16, 16, 1)
        self.norm = nn.BatchNorm2d(16, affine=False)
        self.twice = nn.Conv2d(16, 16, 1)
        self.kept = nn.BatchNorm2d(16)
        self.after = nn.BatchNorm2d(16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.biased(self.plain(x)))
        y = self.twice(x)
        return self.after(self.kept(y) + y)


def test_folding_the_graph_equals_tracing_the_folded_module() -> None:
    from costmodel.passes.folding import fold_batch_norm
    from costmodel.tracing.eager import trace

    model, x = Norms().eval(), torch.empty(2, 3, 32, 32)
    folded, count = fold_norms(trace(model, x))
    twin = trace(fold_batch_norm(model, x), x)
    assert count == 2
    assert folded.parameters == twin.parameters
    assert folded.weight_bytes == twin.weight_bytes
    assert [op.target for op in folded.ops] == [op.target for op in twin.ops]
    for device in ("v100-sxm2", "epyc-73f3@1"):
        ours, theirs = estimate(folded, device, 64), estimate(twin, device, 64)
        assert ours.latency == pytest.approx(theirs.latency, rel=1e-12)
        assert ours.total == theirs.total
        assert ours.peak_memory == theirs.peak_memory


def test_a_whole_network_folds_alike() -> None:
    from costmodel.passes.folding import fold_batch_norm
    from costmodel.tracing.eager import trace
    from costmodel.tracing.source import load_source

    source = load_source("zoo:mobilenet_v2", 2)
    folded, count = fold_norms(trace(source.model, *source.inputs))
    twin = trace(fold_batch_norm(source.model, *source.inputs), *source.inputs)
    assert count == 52
    assert folded.weight_bytes == twin.weight_bytes
    ours, theirs = estimate(folded, "a100", 8), estimate(twin, "a100", 8)
    assert ours.latency == pytest.approx(theirs.latency, rel=1e-12)


# ----------------------------------------------------------------------- partial convolutions


def test_a_dense_convolution_becomes_partial_and_pointwise() -> None:
    graph, replaced, total = replace_by_partial(block(), "dense")
    assert (replaced, total) == (1, 1)
    # 3x3 on 16 of 64 channels, then 1x1 on all 64, beside what was there before.
    pixels = 2 * 28 * 28
    others = pixels * (64 * 64 + 9 * 64)
    assert estimate(graph, "a100").total.macs == others + pixels * (9 * 16 * 16 + 64 * 64)
    assert graph.parameters == 64 * 64 + 9 * 16 * 16 + 64 * 64 + 9 * 64
    assert "aten::clone" not in [op.target for op in graph.ops]


def test_a_depthwise_convolution_becomes_partial_in_place() -> None:
    graph, replaced, total = replace_by_partial(block(), "depthwise")
    assert (replaced, total) == (1, 1)
    part = 2 * 16 * 28 * 28 * 4  # bytes of a quarter of the channels
    found = {o.name: o for o in estimate(graph, "a100").operators if o.module == "depthwise"}
    conv, copy = found["depthwise.convolution"], found["depthwise.copy"]
    assert conv.macs == 2 * 28 * 28 * 9 * 16 * 16
    assert (conv.bytes_read, conv.bytes_written) == (part + 9 * 16 * 16 * 4, part)
    assert (copy.bytes_read, copy.bytes_written) == (part, part)


def test_an_input_that_is_needed_again_is_copied() -> None:
    builder = GraphBuilder("input")
    x = builder.input((1, 64, 28, 28))
    graph = builder.graph(builder.conv2d(x, 64, kernel=3, module="spatial"))
    rewritten, replaced, _ = replace_by_partial(graph, "dense")
    assert replaced == 1
    assert rewritten.ops[0].target == "aten::clone"  # the caller's own memory


@pytest.mark.parametrize(
    ("kernel", "c_out", "groups"), [(1, 64, 1), (3, 128, 1), (3, 64, 8), (3, 64, 64)]
)
def test_what_is_no_dense_convolution_that_keeps_channels_stays(
    kernel: int, c_out: int, groups: int
) -> None:
    builder = GraphBuilder("one")
    x = builder.input((1, 64, 28, 28))
    graph = builder.graph(builder.conv2d(x, c_out, kernel=kernel, groups=groups))
    rewritten, replaced, _ = replace_by_partial(graph, "dense")
    assert replaced == 0
    assert rewritten.ops == graph.ops


def test_partial_networks_are_partial_already() -> None:
    from costmodel.tracing.source import load_graph

    _, replaced, total = replace_by_partial(load_graph("zoo:fasternet_t0", 2), "dense")
    assert replaced == 0
    assert total == 4  # the stem and three merges, which shrink the image


# ------------------------------------------------------------------------------------ ranking


def test_gains_are_those_of_the_engine() -> None:
    before = estimate(block(), "a100", 1)
    found = consider(before)
    gains = [change.speedup for change in found.changes]
    assert gains == sorted(gains, reverse=True)
    by_kind = {change.kind: change for change in found.changes}
    half = sweep(block(), ["a100"], [1], ["tf32", "fp16", "bf16"])
    best = max(one.throughput for one in half)
    lower = next(c for c in found.changes if "int8" not in c.title and c.kind == "precision")
    assert lower.speedup == pytest.approx(best / before.throughput)
    batch = by_kind["batch"].after
    assert by_kind["batch"].speedup == pytest.approx(
        (batch.batch / batch.latency) / (1 / before.latency)
    )
    assert len({change.kind for change in found.best()}) == len(found.best()) <= 3


def test_laws_that_are_off_stay_off() -> None:
    before = estimate(block(), "a100", 1, without=["all"])
    found = consider(before, without=["all"])
    batch = next(change for change in found.changes if change.kind == "batch")
    again = estimate(block(), "a100", batch.after.batch, without=["all"])
    assert batch.after.latency == again.latency


def test_what_cannot_be_done_says_why() -> None:
    reasons = {
        left.title: left.reason for left in consider(estimate(block(), "v100-sxm2")).left_out
    }
    assert "states no peak for int8" in reasons["8-bit integers"]
    assert "no batch norm" in reasons["folded batch norms"]
    assert "traced again" in reasons["channels-last images"]


def test_a_batch_that_does_not_fit_is_not_proposed() -> None:
    graph = block()
    before = estimate(graph, "v100-sxm2", 1024)
    (reason,) = [o.reason for o in consider(before).left_out if o.title == "a larger batch"]
    assert "1024 already" in reason
