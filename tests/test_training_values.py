"""Training steps that ask for values, for a driver, or for gradients of fused kernels."""

from __future__ import annotations

import json
from collections import Counter
from itertools import product
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

import costmodel as cm
from costmodel.errors import TraceError
from costmodel.formulas import get_formula
from costmodel.formulas.columns import columns_of


def macs_by_phase(graph: cm.Graph) -> Counter[str]:
    columns = columns_of(graph)
    columns.require_coverage()
    macs = columns.evaluate().cost.macs
    totals: Counter[str] = Counter()
    for op, row in zip(graph.ops, columns.row_of_op, strict=True):
        if row >= 0:
            totals[op.phase] += int(macs[row])
    return totals


class Dropping(nn.Module):
    """Three layers, each left out at random; infinities are clamped."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            if self.training and torch.rand([]) < 0.9:
                continue
            x = layer(x)
            if not torch.isfinite(x).all() or torch.isnan(x).any():
                x = torch.clamp(x, -1, 1)
        return x


@pytest.mark.parametrize("autocast", [None, "float16"])
def test_every_layer_runs_and_nothing_is_clamped(autocast: str | None) -> None:
    graph = cm.trace_training_step(Dropping(), (4, 8), autocast=autocast)
    # Weights of three layers, and the inputs of all but the first.
    assert macs_by_phase(graph) == {"forward": 3 * 256, "backward": 5 * 256, "optimizer": 0}
    assert "aten::clamp" not in {op.target for op in graph.ops}
    assert graph.rung == "bounded"
    assert len(graph.conditions["assumptions"]) == 2


class Masked(nn.Module):
    """A layer for the elements that a mask selects, which may be all."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        z: torch.Tensor = self.second(y[y.sum(1) > 0])
        return z


def test_a_mask_selects_as_many_as_can_be() -> None:
    graph = cm.trace_training_step(Masked(), (4, 8))
    assert macs_by_phase(graph) == {"forward": 2 * 256, "backward": 3 * 256, "optimizer": 0}
    assert "mask" in graph.conditions["assumptions"][0]


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTM(6, 5, batch_first=True)
        self.head = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.head(self.cell(x)[0][:, -1])
        return y


@pytest.mark.parametrize("autocast", [None, "float16"])
def test_a_recurrent_layer_needs_no_driver(autocast: str | None) -> None:
    """Seven steps of two sequences: four gates of 5 from 6 inputs and 5 states, then 3 classes."""
    inputs, states, head = 7 * 2 * 4 * 5 * 6, 7 * 2 * 4 * 5 * 5, 2 * 5 * 3
    macs = macs_by_phase(cm.trace_training_step(Recurrent(), (2, 7, 6), autocast=autocast))
    assert macs["forward"] == inputs + states + head
    # No gradient of the data; that of the first state is not told apart from the others.
    assert macs["backward"] == pytest.approx(inputs + 2 * states + 2 * head, abs=states / 7)
    if autocast is not None:
        assert macs_by_phase(cm.trace(Recurrent(), (2, 7, 6), autocast=autocast)) == {
            "forward": inputs + states + head
        }


class Sampling(nn.Module):
    """A flow field by a convolution, and the image sampled along it."""

    def __init__(self) -> None:
        super().__init__()
        self.flow = nn.Conv2d(3, 2, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        grid = self.flow(x).permute(0, 2, 3, 1).float()
        return F.grid_sample(x, grid, align_corners=True)


def test_sampling_a_grid_needs_no_driver() -> None:
    graph = cm.trace_training_step(Sampling(), (2, 3, 4, 4), autocast="float16")
    assert macs_by_phase(graph) == {"forward": 192, "backward": 192, "optimizer": 0}
    found = {op.target for op in graph.ops}
    assert {"aten::grid_sampler_2d", "aten::grid_sampler_2d_backward"} <= found


class Refining(nn.Module):
    """An answer refined three times by one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        answers = [self.layer(x)]
        for _ in range(2):
            answers.append(self.layer(answers[-1].detach()))
        return answers


def test_every_refinement_of_an_answer_is_trained() -> None:
    graph = cm.trace_training_step(Refining(), (4, 8))
    assert macs_by_phase(graph) == {"forward": 3 * 256, "backward": 3 * 256, "optimizer": 0}


def test_a_detector_is_refused_in_a_line() -> None:
    pytest.importorskip("torchvision", reason="the zoo extra")
    with pytest.raises(TraceError, match=r"ssdlite.*training step of a detector is not traced"):
        cm.load_graph("torchvision:ssdlite320_mobilenet_v3_large", 2, mode="train")


# ------------------------------------------------------------- kernels of transformers


def test_gradients_of_a_scan_as_a_loop_makes_them() -> None:
    """The loop's gradients are autograd's, and the formula's work is what the loop counts."""
    n, l, c, s = 2, 3, 2, 4  # noqa: E741
    torch.manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.rand(shape, dtype=torch.float64, requires_grad=True)

    x, dt, A, B, C, D = drawn(n, c, l), drawn(n, c, l), drawn(c, s), drawn(n, s, l), drawn(n, s, l), drawn(c)  # noqa: E501, N806  # fmt: skip
    dy = torch.rand(n, c, l, dtype=torch.float64)
    h = torch.zeros(n, c, s, dtype=torch.float64)
    y = []
    for t in range(l):
        step = dt[:, :, t, None]
        h = torch.exp(step * A) * h + step * x[:, :, t, None] * B[:, None, :, t]
        y.append((h * C[:, None, :, t]).sum(-1) + D * x[:, :, t])
    (torch.stack(y, -1) * dy).sum().backward()

    macs = other = 0
    made = [torch.zeros_like(v) for v in (x, dt, A, B, C, D)]
    gx, gdt, gA, gB, gC, gD = made  # noqa: N806
    with torch.no_grad():
        for i, j, k in product(range(n), range(c), range(s)):
            states, scales = [0.0], []
            for t in range(l):
                scales.append(torch.exp(dt[i, j, t] * A[j, k]))
                states.append(scales[t] * states[t] + (dt[i, j, t] * x[i, j, t]) * B[i, k, t])
                other += 1 + 8 + 1  # Δ A, its exponential, (Δ x) B
                macs += 1
            g = 0.0
            for t in reversed(range(l)):
                carried = scales[t + 1] * g if t + 1 < l else 0.0
                g = C[i, k, t] * dy[i, j, t] + carried
                other, macs = other + 1, macs + 1
                gC[i, k, t] += dy[i, j, t] * states[t + 1]
                gB[i, k, t] += g * (dt[i, j, t] * x[i, j, t])
                made_dx = g * B[i, k, t]  # into the gradient of Δ x
                gx[i, j, t] += dt[i, j, t] * made_dx
                gdt[i, j, t] += x[i, j, t] * made_dx
                macs += 3
                scaled = g * states[t] * scales[t]
                other += 2
                gdt[i, j, t] += scaled * A[j, k]
                gA[j, k] += scaled * dt[i, j, t]
                macs += 2
        for i, j, t in product(range(n), range(c), range(l)):
            other += 2  # Δ x once, Δ times the gradient of Δ x
            gx[i, j, t] += D[j] * dy[i, j, t]
            gD[j] += dy[i, j, t] * x[i, j, t]
            macs += 3  # and x times the gradient of Δ x, once for all states
    for value, gradient in zip((x, dt, A, B, C, D), made, strict=True):
        torch.testing.assert_close(gradient, value.grad)
    cost = get_formula("selective_scan_backward")(n=n, l=l, c=c, states=s, b_x=2, b_w=3, b_y=5)
    assert (cost.macs, cost.other_flops) == (macs, other)
    sequences, small = n * l * c, 2 * n * l * s
    constants = c * s + c
    assert cost.bytes_read == 2 * (3 * sequences + small) + 3 * constants
    assert cost.bytes_written == 5 * (2 * sequences + small) + 3 * constants


def _config(tmp_path: Path, **entries: object) -> str:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(entries))
    return f"hf:{path}"


def test_mamba_trains_with_a_kernel_each_way(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="the hf extra")
    source = _config(
        tmp_path, model_type="mamba", hidden_size=32, state_size=8, num_hidden_layers=3,
        vocab_size=100, expand=2, conv_kernel=4, time_step_rank=2,
    )  # fmt: skip
    graph = cm.load_graph(source, 2, (20,), mode="train", autocast="float16")
    columns_of(graph).require_coverage()
    found = Counter((op.phase, op.target.removeprefix("costmodel::")) for op in graph.ops)
    assert found["forward", "selective_scan"] == found["backward", "selective_scan_backward"] == 3
    # The projection in of the first layer is reached: gradients flow through every scan.
    assert {
        op.module.split(".")[2] for op in graph.ops
        if op.phase == "backward" and op.module.endswith("in_proj") and op.target == "aten::mm"
    } == {"0", "1", "2"}  # fmt: skip


def test_a_kernel_without_a_gradient_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="the hf extra")
    source = _config(
        tmp_path, model_type="rwkv", hidden_size=16, num_hidden_layers=1, vocab_size=50,
        context_length=32, attention_hidden_size=16, intermediate_size=64,
    )  # fmt: skip
    with pytest.raises(TraceError, match=r"costmodel\.wkv.* no gradient"):
        cm.load_graph(source, 2, (6,), mode="train")


def test_mixtures_of_experts_train_their_chosen_experts(tmp_path: Path) -> None:
    """Two tokens of six, two of four experts each: three matrices of 16 x 8 per chosen expert."""
    pytest.importorskip("transformers", reason="the hf extra")
    source = _config(
        tmp_path, model_type="mixtral", hidden_size=16, intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, num_local_experts=4, num_experts_per_tok=2,
        vocab_size=50,
    )  # fmt: skip
    graph = cm.load_graph(source, 2, (6,), mode="train", autocast="bfloat16")
    columns = columns_of(graph)
    columns.require_coverage()
    macs = columns.evaluate().cost.macs
    experts: Counter[str] = Counter()
    for op, row in zip(graph.ops, columns.row_of_op, strict=True):
        if row >= 0 and op.target == "aten::_grouped_mm":
            experts[op.phase] += int(macs[row])
    assert experts["forward"] == 12 * 2 * 3 * 16 * 8
    assert experts["backward"] == 2 * experts["forward"]
