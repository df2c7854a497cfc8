"""fvcore's rules, as the benchmarks know them, give what fvcore itself counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

import costmodel as cm
from tests.test_benchmarks import BENCHMARKS, script

rules = script("fvcore_rules")


class Each(nn.Module):
    """A layer after another, of the kinds that fvcore counts in its own way or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.by_word = nn.Conv2d(8, 8, 3, padding="same", groups=8)
        self.grouped = nn.Conv2d(8, 12, 3, padding=1, groups=4, bias=False)
        self.transposed = nn.ConvTranspose2d(12, 8, 2, stride=2)
        self.norm = nn.BatchNorm2d(8)
        self.bare_norm = nn.BatchNorm2d(8, affine=False)
        self.groups = nn.GroupNorm(2, 8)
        self.bare_groups = nn.GroupNorm(2, 8, affine=False)
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.average = nn.AvgPool2d(2)
        self.layer_norm = nn.LayerNorm(8)
        self.rms_norm = nn.RMSNorm(8)
        self.memory = nn.LSTM(8, 8, batch_first=True)
        self.head = nn.Linear(8, 5)
        self.last = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.transposed(self.grouped(F.gelu(self.by_word(self.stem(x))))))
        x = self.bare_groups(self.groups(self.bare_norm(x)))
        own = F.batch_norm(x, None, None, training=True)
        x = F.interpolate(self.average(own), scale_factor=2.0, mode="bilinear")
        x = x + F.interpolate(self.average(x), scale_factor=2.0, mode="nearest")
        x = x + F.interpolate(self.average(x), scale_factor=2.0, mode="bicubic")
        tokens = self.pool(x).flatten(2).transpose(1, 2)
        tokens = self.memory(self.rms_norm(self.layer_norm(tokens)))[0]
        scores = torch.einsum("bnc,bmc->bnm", tokens, tokens) @ tokens
        return torch.cat([self.head(scores).flatten(1), self.last(x).flatten(1)], 1)


def fvcore_says(model: nn.Module, shape: tuple[int, ...]) -> float:
    nn_of = pytest.importorskip("fvcore.nn", reason="the other counter is an extra: bench")
    counter = nn_of.FlopCountAnalysis(model.eval(), torch.zeros(shape))
    return float(counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total())


def ours(model: nn.Module, shape: tuple[int, ...]) -> float:
    return float(sum(rules.fvcore_macs(cm.trace(model, shape), rules.told_by(model)).values()))


def test_layers_of_every_kind() -> None:
    shape = (1, 3, 32, 32)
    assert ours(Each(), shape) == fvcore_says(Each(), shape)


def unfused(name: str) -> Callable[[], Any]:
    timm = pytest.importorskip("timm", reason="the models are an extra: zoo")

    def build() -> Any:
        from timm.layers import set_fused_attn, use_fused_attn

        before = use_fused_attn()
        set_fused_attn(False)  # as timm's tables were made
        try:
            return timm.create_model(name).eval()
        finally:
            set_fused_attn(before)

    return build


@pytest.mark.parametrize("name", ["tinynet_e", "vit_tiny_patch16_224"])
def test_networks(name: str) -> None:
    build = unfused(name)
    size = 224 if name.startswith("vit") else 106
    fused = cm.load_graph(f"timm:{name}", 1, (3, size, size))
    counted = rules.fvcore_macs(fused, rules.told_by(build()))
    assert sum(counted.values()) == fvcore_says(build(), (1, 3, size, size))


@pytest.mark.parametrize(
    ("stated", "counted", "parameters", "within", "to_the_digit"),
    [
        (4.12, 4.123e9, 25_557_032, True, True),
        (4.12, 4.15e9, 25_557_032, True, False),
        (4.12, 4.18e9, 25_557_032, False, False),
        (0.03, 0.0345e9, 25_557_032, True, True),
    ],
)
def test_rows_agree_within_the_tolerance_and_the_rounding(
    monkeypatch: pytest.MonkeyPatch,
    stated: float,
    counted: float,
    parameters: int,
    within: bool,
    to_the_digit: bool,
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    tables = script("timm_tables")
    record = {"gmacs": stated}
    assert tables.agrees(record, counted) is within
    assert tables.agrees(record, counted, 0.0) is to_the_digit
    row = tables.TableRow("resnet50", 224, stated, 25.56)
    assert tables.same_parameters(row, parameters)
    assert not tables.same_parameters(row, parameters + 20_000)


def test_tables_are_read_once_per_model_and_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    head = "model,infer_img_size,infer_gmacs,param_count\n"
    (tmp_path / "benchmark-infer-a.csv").write_text(head + "m,224,1.5,2.5\nm,288,,2.5\n")
    (tmp_path / "benchmark-infer-b.csv").write_text(head + "m,224,1.5,2.5\n")
    rows = script("timm_tables").table_rows(tmp_path)
    assert [tuple(row) for row in rows] == [("m", 224, 1.5, 2.5), ("m", 288, 0.0, 2.5)]
