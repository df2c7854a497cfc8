"""A network costs the same from a file as from its module, operator class by operator class.

`benchmarks/onnx_agreement.py` does the same with a hundred published networks.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx", reason="the onnx extra is not installed")
torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402, N812
from torch import Tensor, nn  # noqa: E402

from costmodel import trace, zoo  # noqa: E402
from costmodel.formulas.columns import columns_of  # noqa: E402
from costmodel.graph import Graph  # noqa: E402
from costmodel.tracing.onnx_model import trace_onnx  # noqa: E402


class Vision(nn.Module):
    """Convolutions of every sort, batch norm, squeeze and excitation, several activations."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16))
        self.depthwise = nn.Conv2d(16, 16, 5, 1, 4, dilation=2, groups=16)
        self.squeeze = nn.Conv2d(16, 4, 1)
        self.excite = nn.Conv2d(4, 16, 1)
        self.grouped = nn.Conv2d(16, 32, 3, 2, 1, groups=4)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardswish(self.stem(x))
        x = F.relu6(self.depthwise(x)) + x
        gate = F.relu(self.squeeze(F.adaptive_avg_pool2d(x, 1)))
        x = x * F.hardsigmoid(self.excite(gate))
        x = F.silu(self.grouped(F.avg_pool2d(x, 2)))
        return F.log_softmax(self.head(x.mean((2, 3))), dim=-1)


class Encoder(nn.Module):
    """A transformer block with fused attention and exact GELU."""

    def __init__(self, causal: bool = False) -> None:
        super().__init__()
        self.causal = causal
        self.table = nn.Embedding(50, 32)
        self.position = nn.Parameter(torch.zeros(12, 32))
        self.norm1, self.norm2 = nn.LayerNorm(32), nn.LayerNorm(32)
        self.qkv, self.out = nn.Linear(32, 96), nn.Linear(32, 32)
        self.up, self.down = nn.Linear(32, 64), nn.Linear(64, 32, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.table(tokens) + self.position
        n, length, width = x.shape
        parts = self.qkv(self.norm1(x)).reshape(n, length, 3, 4, width // 4).permute(2, 0, 3, 1, 4)
        q, k, v = parts.unbind(0)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        x = x + self.out(y.transpose(1, 2).reshape(n, length, width))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Decoder(nn.Module):
    """Transposed convolution, resize, group norm, tanh GELU, Mish, PReLU, channel shuffle."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(8, 12, 4, 2, 1)
        self.norm = nn.GroupNorm(3, 12)
        self.slope = nn.PReLU(12)
        self.last = nn.Conv2d(12, 12, 3, padding=1, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        x = F.mish(self.norm(self.up(x)))
        x = F.interpolate(self.slope(x), scale_factor=2.0, mode="bilinear")
        n, c, h, w = x.shape
        x = x.view(n, 3, c // 3, h, w).transpose(1, 2).reshape(n, c, h, w)
        x = F.gelu(self.last(x), approximate="tanh")
        return torch.cat((F.pixel_shuffle(x, 2), F.pixel_shuffle(x.sin(), 2)), 1).clamp(-1, 2)


class WrittenOut(nn.Module):
    """Attention the model writes itself, which must stay two products and a softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(32, 96)
        self.bias = nn.Parameter(torch.zeros(1, 4, 12, 12))

    def forward(self, x: Tensor) -> Tensor:
        n, length, width = x.shape
        parts = self.qkv(x).reshape(n, length, 3, 4, width // 4).permute(2, 0, 3, 1, 4)
        q, k, v = parts.unbind(0)
        scores = (q * 8**-0.5) @ k.transpose(-2, -1) + self.bias
        y = scores.softmax(-1) @ v
        return y.transpose(1, 2).reshape(n, length, width)


def export(model: nn.Module, inputs: Tensor, path: Path, **options: Any) -> None:
    """Write a file with batch norms kept and with random weights, so that none are merged."""
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                tensor.uniform_(0.1, 0.9)
    settings: dict[str, Any] = {
        "dynamo": False,
        "do_constant_folding": False,
        "training": torch.onnx.TrainingMode.PRESERVE,
        "opset_version": 17,
    }
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            torch.onnx.export(model, (inputs,), path, **{**settings, **options})
    finally:
        logging.disable(logging.NOTSET)


QUANTITIES = ("operators", "macs", "other_flops", "bytes_read", "bytes_written")


def classes(graph: Graph) -> dict[str, float]:
    """Each quantity by kind of operator; whole numbers, so they can be compared exactly."""
    columns = columns_of(graph)
    cost = columns.evaluate().cost
    result: dict[str, float] = {}
    for row, kind in enumerate(columns.kinds):
        count = int(columns.counts[row])
        for name in QUANTITIES:
            one = 1 if name == "operators" else float(getattr(cost, name)[row])
            key = f"{kind}: {name}"
            result[key] = result.get(key, 0) + count * one
    return result


TOKENS = torch.zeros(2, 12, dtype=torch.int64)
CASES: dict[str, tuple[Any, Tensor]] = {
    "vision": (Vision, torch.rand(2, 3, 32, 32)),
    "encoder": (Encoder, TOKENS),
    "causal": (lambda: Encoder(causal=True), TOKENS),
    "decoder": (Decoder, torch.rand(2, 8, 6, 6)),
    "written out": (WrittenOut, torch.rand(2, 12, 32)),
    "fasternet": (lambda: zoo.create("fasternet_t0"), torch.rand(2, 3, 32, 32)),
}


@pytest.mark.parametrize("name", CASES)
def test_every_class_costs_the_same(tmp_path: Path, name: str) -> None:
    factory, inputs = CASES[name]
    model = factory().eval()
    export(model, inputs, tmp_path / "model.onnx")
    module, file = trace(model, inputs), trace_onnx(tmp_path / "model.onnx")
    assert classes(file) == classes(module)
    assert file.parameters == module.parameters
    assert {op.module for op in file.ops if not op.is_view} <= set(module.modules)


@pytest.mark.parametrize("opset", [14, 16, 18])
def test_layer_norm_and_attention_of_other_opsets(tmp_path: Path, opset: int) -> None:
    model = Encoder().eval()
    export(model, TOKENS, tmp_path / "model.onnx", opset_version=opset)
    assert classes(trace_onnx(tmp_path / "model.onnx")) == classes(trace(model, TOKENS))


@pytest.mark.parametrize("batch", [1, 7])
def test_dynamic_axes(tmp_path: Path, batch: int) -> None:
    model = Vision().eval()
    axes = {"image": {0: "batch", 2: "height", 3: "width"}}
    export(
        model, torch.rand(2, 3, 32, 32), tmp_path / "model.onnx",
        input_names=["image"], dynamic_axes=axes,
    )  # fmt: skip
    expected = classes(trace(model, torch.rand(batch, 3, 48, 64)))
    given = trace_onnx(tmp_path / "model.onnx", batch=batch, input_shape=(3, 48, 64))
    assert classes(given) == expected
    symbolic = trace_onnx(tmp_path / "model.onnx")
    assert set(symbolic.symbols) == {"batch", "height", "width"}
    there = symbolic.substitute(batch=batch, height=48, width=64)
    assert classes(there) == expected


def test_the_newer_exporter(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="the newer exporter needs onnxscript")
    model = Encoder(causal=True).eval()
    # Inside the file, since contents of external data are never read: not those of a mask either.
    options = {"dynamo": True, "opset_version": 18, "verbose": False, "external_data": False}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(0.1, 0.9)
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (TOKENS,), tmp_path / "model.onnx", **options)
    module, file = trace(model, TOKENS), trace_onnx(tmp_path / "model.onnx")
    assert classes(file) == classes(module)
    assert file.parameters == module.parameters
    assert file.modules.get("norm1") == "LayerNorm"
