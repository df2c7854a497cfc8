"""Laws of training kernels, by hand and by what must hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import costmodel as cm
from costmodel.formulas import get_formula
from costmodel.roofline.constants import DEFAULT
from costmodel.roofline.laws.backward import (
    channel_seconds,
    contraction_splits,
    gradient_cycles,
    partial_sum_bytes,
)


def splits(rows: float, columns: float, contraction: float, units: int = 80) -> float:
    sizes = (np.array([1.0]), np.array([rows]), np.array([columns]), np.array([contraction]))
    return float(contraction_splits(*sizes, np.array([units]), DEFAULT)[0])


def test_a_product_that_fills_the_device_is_not_split() -> None:
    assert splits(128 * 20, 128 * 20, 1e6) == 1


def test_a_deep_narrow_product_is_split_until_every_unit_has_two_tiles() -> None:
    """64 x 576 results are 1 x 5 tiles; 80 units take 160 of them: 32 parts."""
    assert splits(64, 576, 1e6) == 32


def test_parts_are_not_shorter_than_a_pipeline_is_worth() -> None:
    depth = DEFAULT.split_depth
    assert splits(64, 64, 3.5 * depth) == 3
    assert splits(64, 64, 0.5 * depth) == 1


def test_partial_sums_are_written_and_read_once_in_float32() -> None:
    one, many = np.array([1.0]), np.array([4.0])
    sizes = (np.array([2.0]), np.array([10.0]), np.array([30.0]))
    assert partial_sum_bytes(*sizes, one) == 0
    assert partial_sum_bytes(*sizes, many) == 2 * 4 * 2 * 10 * 30 * 4


def test_channels_draw_what_their_blocks_can() -> None:
    """32 blocks at 1 GHz draw 32 x block_stream GB/s."""
    seconds = channel_seconds(np.array([1e9]), np.array([32.0]), np.array([1e9]), DEFAULT)
    assert seconds == pytest.approx(1 / (32 * DEFAULT.block_stream))
    assert channel_seconds(np.array([1e9]), np.array([np.inf]), np.array([1e9]), DEFAULT) == 0


def test_only_gradients_of_depthwise_convolutions_take_more_cycles() -> None:
    gradient, weight = np.array([False, True, True]), np.array([False, False, True])
    expected = [1.0, DEFAULT.depthwise_input_gradient, DEFAULT.depthwise_weight_gradient]
    assert gradient_cycles(gradient, weight, DEFAULT).tolist() == expected


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Conv2d(16, 16, 3, padding=1)
        self.grouped = nn.Conv2d(16, 16, 3, padding=1, groups=2)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.norm = nn.BatchNorm2d(16)
        self.head = nn.Linear(16, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.depthwise(self.grouped(self.dense(x)))).relu()
        y: torch.Tensor = self.head(x.mean((2, 3)))
        return y


@pytest.fixture(scope="module")
def graph() -> cm.Graph:
    return cm.trace_training_step(Layers(), (8, 16, 32, 32), autocast="float16")


def test_the_law_costs_time_in_training_and_none_in_inference(graph: cm.Graph) -> None:
    full, without = (cm.estimate(graph, "rtx-3090", without=w) for w in ([], ["gradients"]))
    assert full.latency > without.latency
    kinds = {
        graph.ops[i].phase
        for i, row in enumerate(full.workload.row_of_op)
        if row >= 0 and full.row_times[row] != without.row_times[row]
    }
    assert kinds == {"forward", "backward"}  # forward: the batch norm's statistics
    inference = cm.trace(Layers(), (8, 16, 32, 32))
    assert cm.estimate(inference, "rtx-3090").latency == (
        cm.estimate(inference, "rtx-3090", without=["gradients"]).latency
    )


def test_a_step_is_never_below_the_plain_roofline(graph: cm.Graph) -> None:
    plain = cm.estimate(graph, "rtx-3090", batch=256, without=["all"])
    real = cm.estimate(graph, "rtx-3090", batch=256)
    assert real.latency > plain.latency
    assert (real.row_times >= 0).all()


def test_phases_add_up_to_the_step(graph: cm.Graph) -> None:
    estimate = cm.estimate(graph, "rtx-3090")
    assert list(estimate.time_by_phase) == ["forward", "backward", "optimizer"]
    assert sum(estimate.time_by_phase.values()) == pytest.approx(estimate.latency)


def test_gradients_by_brute_force_on_a_tiny_shape() -> None:
    """Every pair of an output and a tap, padding included: 2 x 3 x 3 outputs, 4 taps, 3 to 5."""
    sizes = {"n": 2, "c_in": 3, "c_out": 5, "h_in": 4, "w_in": 4, "h_out": 3, "w_out": 3}
    pairs = sum(1 for _ in np.ndindex(2, 5, 3, 3, 3, 2, 2))
    common = {**sizes, "k_h": 2, "k_w": 2, "g": 1, "b_x": 4, "b_y": 4}
    weights = get_formula("convolution_weight_gradient")(**common)
    inputs = get_formula("convolution_input_gradient")(**common, b_w=4)
    assert weights.macs == inputs.macs == pairs
    x, y, w = 2 * 3 * 16, 2 * 5 * 9, 5 * 3 * 4
    assert (weights.bytes_read, weights.bytes_written) == (4 * (x + y), 4 * w)
    assert (inputs.bytes_read, inputs.bytes_written) == (4 * (y + w), 4 * x)
