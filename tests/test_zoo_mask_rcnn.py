"""Mask R-CNN totals against PartialNet, Tables 2 and 11."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from costmodel import zoo
from costmodel.zoo.mask_rcnn import RegionSampler

PUBLISHED = {  # trainable parameters (M), operations (G)
    "resnet50": (44.2, 253),
    "resnet101": (63.2, 329),
    "resnext101_32x4d": (62.8, 333),
    "resnext101_64x4d": (101.9, 487),
    "fasternet_s": (49.0, 258),
    "fasternet_m": (71.2, 344),
    "fasternet_l": (110.9, 484),
    "poolformer_s24": (41.0, 233),
    "poolformer_s36": (50.5, 266),
    "pvt_small": (44.1, 238),
    "pvt_medium": (63.9, 295),
    "pvt_large": (81.0, 358),
}


def as_counted(name: str) -> tuple[int, float]:
    """Trainable parameters; operations as a counter of modules sees them.

    That is multiply-accumulates of layers but not of attention's products, and operations on
    elements of batch norms, ReLUs and pooling.
    """
    with torch.device("meta"):
        model = zoo.create(name)
        x = torch.empty(1, *zoo.input_shape(name))
    extras = 0

    def add(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal extras
        if isinstance(module, nn.BatchNorm2d):
            extras += 2 * output.numel()
        elif isinstance(module, nn.ReLU | nn.MaxPool2d):
            extras += inputs[0].numel()

    for module in model.modules():
        module.register_forward_hook(add)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    flops = counter.get_flop_counts()["Global"]
    products = flops.get(torch.ops.aten.bmm, 0)
    return trainable, (sum(flops.values()) - products) / 2 + extras


@pytest.mark.parametrize("backbone", PUBLISHED)
def test_totals_match_published_figures(backbone: str) -> None:
    published_params, published_operations = PUBLISHED[backbone]
    params, operations = as_counted(f"mask_rcnn_{backbone}")
    assert params / 1e6 == pytest.approx(published_params, rel=0.005)
    assert operations / 1e9 == pytest.approx(published_operations, rel=0.006)


@pytest.mark.parametrize(
    ("size", "params_off", "operations_off"),
    [("s", 0.002, 0.015), ("m", 0.0125, 0.021)],
)
def test_partialnet_misses_are_as_large_as_stated(
    size: str, params_off: float, operations_off: float
) -> None:
    """M's parameters are off; operations lack what merging PAT_sp saves a second time."""
    published = {"s": (46.9, 216), "m": (78.2, 295)}[size]
    with torch.device("meta"):
        trained = zoo.create(f"mask_rcnn_partialnet_{size}")
    params = sum(p.numel() for p in trained.parameters())
    _, operations = as_counted(f"mask_rcnn_partialnet_{size}_merged")
    assert params / 1e6 / published[0] - 1 == pytest.approx(params_off, abs=0.002)
    assert operations / 1e9 / published[1] - 1 == pytest.approx(operations_off, abs=0.002)
    _, unmerged = as_counted(f"mask_rcnn_partialnet_{size}")
    assert (2 * operations - unmerged) / 1e9 == pytest.approx(published[1], rel=0.006)


def test_outputs_have_the_heads_shapes() -> None:
    with torch.device("meta"):
        model = zoo.create("mask_rcnn_fasternet_s", box_regions=10, mask_regions=6)
        outputs = model(torch.empty(2, 3, 64, 128))
    shapes = [tuple(output.shape) for output in outputs]
    assert shapes[:4] == [(2, 3, 16, 32), (2, 12, 16, 32), (2, 3, 8, 16), (2, 12, 8, 16)]
    assert shapes[8:10] == [(2, 3, 1, 2), (2, 12, 1, 2)]
    assert shapes[10:] == [(20, 81), (20, 320), (12, 80, 28, 28)]


@pytest.mark.parametrize("regions", [1, 4, 6, 100])
def test_sampler_gives_that_many_regions(regions: int) -> None:
    levels = [torch.randn(2, 8, 16 // 2**i, 16 // 2**i) for i in range(4)]
    assert RegionSampler(7, regions)(levels).shape == (2 * regions, 8, 7, 7)
