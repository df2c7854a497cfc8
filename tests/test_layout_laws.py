"""Laws of how tensors lie in memory and are gone over, each alone and by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import costmodel as cm
from costmodel.roofline.ceilings import Target
from costmodel.roofline.constants import DEFAULT as C
from costmodel.roofline.device_columns import DeviceColumns, device_columns
from costmodel.roofline.engine import LAWS
from costmodel.roofline.laws.convolution import Convolution, fused_winograd_time

BANDWIDTH = 936e9
"""B/s of the RTX 3090."""
LANE_RATE = 82 * 128 * 1695e6
"""Of the same, lane-cycles per second."""


def seconds(module: nn.Module, shape: tuple[int, ...], law: str, **options: Any) -> float:
    """On an RTX 3090 under one law alone."""
    precision = options.pop("precision", "fp32")
    graph = cm.trace(module, shape, **options)
    off = [name for name in LAWS if name != law]
    return float(cm.estimate(graph, "rtx-3090", precision=precision, without=off).latency)


class AddExchanged(nn.Module):
    """The input and a view of it with its dimensions in another order."""

    def __init__(self, *order: int) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + x.permute(self.order)


class ExchangedNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(512, elementwise_affine=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.norm(x.transpose(1, 2))
        return y


def test_an_operand_in_another_order_is_read_as_copies_are() -> None:
    """Its share of the reads is one half, whether or not a tensor that is read twice counts so."""
    size = 4 * 64 * 512 * 512
    plain = seconds(AddExchanged(0, 1, 2), (64, 512, 512), "passes")
    crossed = seconds(AddExchanged(0, 2, 1), (64, 512, 512), "passes")
    read = plain * BANDWIDTH - size
    extra = 2 * C.movement_pass * read / 2
    assert crossed - plain == pytest.approx(extra / BANDWIDTH)


def test_another_order_of_the_outer_dimensions_costs_nothing() -> None:
    plain, outer = (
        seconds(AddExchanged(*order), (256, 256, 512), "passes") for order in ((0, 1, 2), (1, 0, 2))
    )
    assert outer == plain


def test_a_norm_copies_what_lies_in_another_order() -> None:
    """The copy is read and written as a copy is, then read by the norm."""
    size = 4 * 64 * 512 * 784
    once = 2 * size + 2 * 4 * 64 * 784  # and two statistics of each row
    copy = 2 * (1 + C.movement_pass) * size
    measured = seconds(ExchangedNorm(), (64, 512, 784), "passes")
    assert measured == pytest.approx((once + copy) / BANDWIDTH, rel=5e-3)


@pytest.mark.parametrize("side", [15, 16])
def test_small_planar_images_are_converted(side: int) -> None:
    """A 1x1 convolution of images from 256 pixels on runs nearly as they are."""
    share = C.reorder_pointwise if side == 16 else C.reorder_window
    images, weights = 2 * 2 * 4096 * 16 * side**2, 2 * 16 * 16
    module = nn.Conv2d(16, 16, 1, bias=False)
    found = seconds(module, (4096, 16, side, side), "layout", precision="fp16")
    assert found == pytest.approx((images * (1 + 2 * share) + weights) / BANDWIDTH, rel=1e-6)


def test_pooling_is_a_planar_depthwise_convolution_of_equal_weights() -> None:
    """9 taps, about, for each of 64 x 64 x 56 x 56 outputs."""
    outputs = 64 * 64 * 56 * 56
    found = seconds(nn.AvgPool2d(3, 1, 1), (64, 64, 56, 56), "pooling", precision="fp16")
    cycles = outputs * (C.depthwise_output + 9 * C.depthwise_tap)
    assert found == pytest.approx(cycles / LANE_RATE, rel=0.03)


def test_depthwise_convolution_of_channels_last_goes_over_its_tensors_again() -> None:
    """At 1 x 1 its arithmetic is hidden behind the memory."""
    module = nn.Conv2d(512, 512, 1, groups=512, bias=False)
    found = seconds(module, (64, 512, 56, 56), "depthwise", layout="nhwc")
    images, weights = 2 * 4 * 64 * 512 * 56 * 56, 4 * 512
    again = images * C.depthwise_pass_nhwc
    assert found == pytest.approx((images + weights + again) / BANDWIDTH, rel=1e-6)


def test_the_bias_of_float32_convolutions_is_added_afterwards() -> None:
    """Besides the library's kernel, which does not know of it."""

    def both(bias: bool) -> float:
        graph = cm.trace(nn.Conv2d(64, 256, 1, bias=bias), (64, 64, 56, 56))
        off = [name for name in LAWS if name not in ("bias", "float32")]
        return float(cm.estimate(graph, "v100-sxm2", without=off).latency)

    passes = 2 * 4 * 64 * 256 * 56 * 56
    assert both(True) - both(False) == pytest.approx(C.bias_pass * passes / 900e9, rel=0.01)


def test_fused_winograd_transforms_its_weights_first() -> None:
    """With arithmetic for nothing, what is left is moving: 9 values in and 16 out per filter."""
    device: DeviceColumns = device_columns([Target(cm.load_device("v100-sxm2"))]).expand()
    numbers = (np.array([float(n)]) for n in (1, 2048, 2048, 3, 14, 1, 1))
    conv = Convolution.square(*numbers)
    found = float(fused_winograd_time(conv, np.array([[1e30]]), device, C).item())
    weights = 4 * 2048 * 2048 * 9
    images = 2 * 4 * 2048 * 14 * 14
    moved = weights * (1 + 16 / 9) / C.weight_transform_share + weights * 16 / 9 + images
    assert found == pytest.approx(moved / (900e9 * C.dram_share) + C.kernel_latency, rel=0.01)


def depthwise_compute(device: str, size: int, without: tuple[str, ...] = ()) -> float:
    """Seconds of a float32 depthwise convolution's arithmetic: 64 channels of 56 x 56, batch 8."""
    conv = nn.Conv2d(64, 64, size, padding=size // 2, groups=64, bias=False)
    found = cm.estimate(cm.trace(conv, (8, 64, 56, 56)), device, without=without)
    return float(np.maximum(found.times.compute, found.times.lanes).sum())


@pytest.mark.parametrize("size", [3, 5, 7])
def test_amd_gpus_run_depthwise_convolutions_as_narrow_groups(size: int) -> None:
    macs = 8 * 64 * 56 * 56 * size**2
    depth, width = size**2 / (size**2 + C.grouped_contraction), 1 / (1 + C.grouped_columns)
    at_peak = 2 * macs / 22.63e12  # of a GCD's vector lanes
    by_hand = at_peak / (C.grouped_share * depth * width)
    assert depthwise_compute("mi250-gcd", size) == pytest.approx(by_hand, rel=1e-3)
    plain = depthwise_compute("mi250-gcd", size, without=("all",))
    assert plain == pytest.approx(at_peak, rel=1e-3)


def test_other_gpus_have_depthwise_kernels() -> None:
    peak = 2 * 8 * 64 * 56 * 56 * 9 / 15.7e12  # of a V100's vector lanes
    assert 1 < depthwise_compute("v100-sxm2", 3) / peak < 30
    assert depthwise_compute("mi250-gcd", 3) > 2 * depthwise_compute("v100-sxm2", 3)
