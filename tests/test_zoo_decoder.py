"""Decoding steps: a full causal attention computed plainly, counts by hand, the cache in place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import costmodel as cm
from costmodel.errors import UsageError
from costmodel.formulas.columns import columns_of
from costmodel.liveness import liveness_of
from costmodel.roofline.workload import workload_of
from costmodel.tracing.huggingface import known_models
from costmodel.tracing.trust import trusting
from costmodel.zoo.families import DECODER, design_text, pytorch_code

TINY = {
    "depth": 2, "width": 16, "head": 4, "groups": 2, "mlp_ratio": 3.0, "vocabulary": 11,
    "context": 6,
}  # fmt: skip
HIDDEN = 256
"""3 x 16 up to a multiple of 256."""


def traced(batch: int, **parameters: Any) -> cm.Graph:
    with torch.device("meta"):
        model = DECODER.build(**parameters)
    return cm.trace(model, *DECODER.inputs(batch, **parameters))


# -------------------------------------------------------------------------------------- values


def normed(x: Tensor, weight: Tensor) -> Tensor:
    return weight * x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()


def turned(x: Tensor) -> Tensor:
    """(n, heads, tokens, channels) with channels i and i + half as complex numbers, multiplied by
    exp(i position / 10000^(2 i / channels))."""
    *_, tokens, channels = x.shape
    half = channels // 2
    speed = torch.tensor([10_000.0 ** (-2 * i / channels) for i in range(half)])
    angle = torch.outer(torch.arange(tokens).float(), speed)
    z = torch.complex(x[..., :half], x[..., half:]) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([z.real, z.imag], -1)


def plainly(model: Any, ids: Tensor, head: int) -> Tensor:
    """Scores of all tokens of whole sequences at once, with a causal mask and repeated keys."""
    x = model.embedding.weight[ids]
    n, tokens, width = x.shape
    future = torch.ones(tokens, tokens).triu(1).bool()
    for block in model.blocks:
        attention, y = block.attention, normed(x, block.norm1.weight)

        def split(z: Tensor) -> Tensor:
            heads = z.view(n, tokens, -1, head).transpose(1, 2)
            return heads.repeat_interleave(width // head // heads.shape[1], 1)

        query, key = (
            turned(split(y @ layer.weight.T)) for layer in (attention.query, attention.key)
        )
        value = split(y @ attention.value.weight.T)
        scores = (query @ key.transpose(-1, -2) / head**0.5).masked_fill(future, -torch.inf)
        mixed = (scores.softmax(-1) @ value).transpose(1, 2).reshape(n, tokens, width)
        x = x + mixed @ attention.out.weight.T
        y = normed(x, block.norm2.weight)
        gate = y @ block.gate.weight.T
        x = x + (gate * gate.sigmoid() * (y @ block.up.weight.T)) @ block.down.weight.T
    return normed(x, model.head.norm.weight) @ model.head.fc.weight.T


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_token_by_token_with_the_cache_is_a_full_causal_pass(groups: int) -> None:
    torch.manual_seed(0)
    parameters = {**TINY, "groups": groups}
    last = DECODER.build(**parameters)
    for weight in last.parameters():
        nn.init.normal_(weight, std=0.3)
    ids = torch.randint(11, (3, 6))
    _, *cache = DECODER.inputs(3, "cpu", **parameters)
    steps = []
    with torch.no_grad():
        for seen in range(1, 7):
            model = DECODER.build(**{**parameters, "context": seen})
            model.load_state_dict(last.state_dict())
            kept = [memory[:, :, :seen] for memory in cache]
            steps.append(model(ids[:, seen - 1 : seen], *kept))
        expected = plainly(last, ids, 4)
    torch.testing.assert_close(torch.cat(steps, 1), expected, rtol=1e-4, atol=1e-4)
    assert all(memory.abs().amin() > 0 for memory in cache)


# -------------------------------------------------------------------------------------- counts


def test_counts_by_hand() -> None:
    graph = traced(3, **TINY)
    block = 16 * 16 + 16 * 8 + 16 * 8 + 16 * 16 + 3 * 16 * HIDDEN
    assert graph.parameters == 11 * 16 + 2 * (block + 2 * 16) + 16 + 16 * 11
    total = cm.estimate(graph, "t4", 3).total
    attention = 4 * 6 * (4 + 4)  # 4 query heads, 6 tokens, 4 channels for score and value
    assert total.macs == 3 * (2 * (block + attention) + 16 * 11)
    table = columns_of(graph)
    cost = table.evaluate(3).cost
    row = next(i for i, op in enumerate(table.table) if "attention" in op.target)
    # Queries and results have 16 channels, keys and values 2 heads of 4: read once, 4 B each.
    assert cost.bytes_read[row] == 4 * 3 * (16 + 2 * 6 * 8)
    assert cost.bytes_written[row] == 4 * 3 * 16
    row = next(i for i, op in enumerate(table.table) if op.target == "aten::copy")
    assert (cost.bytes_read[row], cost.bytes_written[row]) == (4 * 3 * 8, 4 * 3 * 8)
    assert table.counts[row] == 2 * 2


def test_a_step_reads_weights_and_cache_once_and_moves_no_cache() -> None:
    parameters = {**TINY, "width": 256, "head": 32, "context": 2000}
    graph = traced(2, **parameters)
    cache = 2 * 2 * 2 * 4 * 2000 * 32 * 4  # layers, keys and values, batch, heads, tokens, channels
    assert sum(graph.tensors[i].bytes for i in graph.inputs[1:]) == cache
    embedding = 4 * 11 * 256
    total = cm.estimate(graph, "t4", 2).total
    assert 1 < total.bytes_read / (4 * graph.parameters - embedding + cache) < 1.02
    assert total.bytes_written < cache / 8  # not even the keys of one layer
    # Nothing touched it since the step before: writing one token brings no others near.
    workload = workload_of(columns_of(graph))
    attentions = [r for r, name in zip(workload.reuses, workload.targets, strict=True)
                  if "attention" in name]  # fmt: skip
    assert all(largest.fixed == float("inf") for largest, _ in attentions)


def test_the_cache_is_held_through_the_run() -> None:
    parameters = {**TINY, "context": 3000}
    graph = traced(2, **parameters)
    cache = 2 * 2 * 2 * 2 * 3000 * 4 * 4
    alive = liveness_of(graph).bytes_at(2)
    assert alive.min() >= cache
    assert alive.max() < 1.05 * cache
    # Eight times as many sequences, half the width of a number.
    found = cm.estimate(graph, "t4", 16, "fp16")
    weights = graph.weight_bytes / 2
    assert found.peak_memory == pytest.approx(weights + 4 * cache, rel=0.02)


def test_an_input_that_is_only_read_ends_with_its_last_reader() -> None:
    class Reads(nn.Module):
        def forward(self, x: Tensor, cache: Tensor) -> Tensor:
            return (x + cache.sum(1)).exp().log()

    class Writes(nn.Module):
        def forward(self, x: Tensor, cache: Tensor) -> Tensor:
            cache[:, -1] = x
            return (x * 2).exp().log()

    # The first reads the cache of 1000 by its first operator; the second holds it to its end.
    read, written = (cm.trace(m, (1, 10), (1, 100, 10)) for m in (Reads(), Writes()))
    assert liveness_of(read).bytes_at(1).tolist()[-1] == 4 * (10 + 10)
    assert liveness_of(written).bytes_at(1).tolist()[-1] == 4 * (1000 + 10 + 10)


@pytest.mark.parametrize("source", list(DECODER.known))
def test_known_members_have_the_published_parameters(source: str) -> None:
    parameters = DECODER.known[source]
    published = known_models()[source.removeprefix("hf:")]["parameters"]
    with torch.device("meta"):
        model = DECODER.build(**parameters)
    assert sum(p.numel() for p in model.parameters()) == published


def test_the_library_counts_the_same() -> None:
    pytest.importorskip("transformers", reason="extra: hf")
    ours = traced(2, **DECODER.known["hf:llama-3.1-8b"])
    theirs = cm.load_graph("hf:llama-3.1-8b?decode=4095", batch=2)  # and one more token
    a, b = (cm.estimate(graph, "h100-sxm5", 2, "fp16") for graph in (ours, theirs))
    assert a.total.macs == b.total.macs
    assert a.total.bytes == pytest.approx(b.total.bytes, rel=1e-5)
    assert a.peak_memory == pytest.approx(b.peak_memory, rel=1e-5)


# --------------------------------------------------------------------------------------- files


def test_a_design_and_its_code_are_the_same_network(tmp_path: Path) -> None:
    path = tmp_path / "design.yaml"
    path.write_text(design_text(DECODER, TINY))
    design = cm.load_graph(str(path), batch=2)
    assert [design.tensors[i].dtype for i in design.inputs] == ["int64", *["float32"] * 4]
    file = tmp_path / "net.py"
    file.write_text(pytorch_code(DECODER, TINY))
    with trusting():
        code = cm.load_graph(f"{file}:design", batch=2)
    assert [op.target for op in code.ops] == [op.target for op in design.ops]
    assert code.op_names == design.op_names
    a, b = (cm.estimate(graph, "t4", 4) for graph in (design, code))
    assert (a.total, a.latency, a.peak_memory) == (b.total, b.latency, b.peak_memory)


def test_the_code_runs(tmp_path: Path) -> None:
    scope: dict[str, Any] = {"__name__": "net"}
    exec(compile(pytorch_code(DECODER, TINY), "net.py", "exec"), scope)
    model, (ids, *cache) = scope["design"](), scope["design"].inputs(2)
    assert model(ids, *cache).shape == (2, 1, 11)
    assert [memory.shape for memory in cache] == [(2, 2, 6, 4)] * 4
    written = [memory.abs().sum((0, 1, 3)).bool().tolist() for memory in cache]
    assert written == [[False] * 5 + [True]] * 4


@pytest.mark.parametrize("parameters", [{"width": 100}, {"groups": 5}, {"head": 96}])
def test_heads_must_divide_the_width(parameters: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=r"decoder: width \d+ is no multiple of head"):
        DECODER.build(**parameters)


def test_a_design_says_what_it_takes(tmp_path: Path) -> None:
    path = tmp_path / "design.yaml"
    path.write_text(design_text(DECODER, TINY))
    with pytest.raises(UsageError, match="the design is for 1; change its parameters instead"):
        cm.load_graph(str(path), input_shape=(3, 224, 224))
