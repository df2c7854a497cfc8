"""Mixtures of experts are traced with an even share of the tokens for each expert."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import costmodel as cm

transformers = pytest.importorskip("transformers", reason="transformers is an optional extra")

WIDTH, HIDDEN, EXPERTS = 16, 48, 4


def switch(capacity: int) -> nn.Module:
    from transformers.models.switch_transformers import modeling_switch_transformers as library

    config = transformers.SwitchTransformersConfig(
        d_model=WIDTH, d_ff=HIDDEN, num_experts=EXPERTS, expert_capacity=capacity
    )
    with torch.device("meta"):
        module: nn.Module = library.SwitchTransformersSparseMLP(config)
    return module.eval()


def products(graph: cm.Graph) -> list[tuple[Any, ...]]:
    """(rows, columns) of what the linear layers write."""
    linear = ("aten::linear", "aten::mm", "aten::addmm")
    return [graph.tensors[op.outputs[0]].shape for op in graph.ops if op.target in linear]


@pytest.mark.parametrize(
    ("tokens", "capacity", "each"),
    [(12, 64, 6), (100, 7, 14)],  # 2 samples: 24 tokens over 4 experts; 7 of each sample
)
def test_experts_get_even_shares_up_to_their_capacity(
    tokens: int, capacity: int, each: int
) -> None:
    graph = cm.trace(switch(capacity), torch.empty(2, tokens, WIDTH, device="meta"))
    written = [shape for shape in products(graph) if shape[-1] != EXPERTS]
    assert written == EXPERTS * [(each, HIDDEN), (each, WIDTH)]
    assert any("evenly" in text for text in graph.conditions["assumptions"])


def test_shares_that_do_not_divide_differ_by_one() -> None:
    graph = cm.trace(switch(64), torch.empty(1, 11, WIDTH, device="meta"))
    rows = [shape[0] for shape in products(graph) if shape[-1] == HIDDEN]
    assert rows == [3, 3, 3, 2]
