"""Folding leaves a module's function as it was: outputs before and after, on random statistics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from costmodel import zoo
from costmodel.errors import UsageError
from costmodel.passes.folding import fold_batch_norm, foldable_pairs
from costmodel.zoo.partialnet import Design, Spatial


@pytest.fixture(autouse=True)
def reproducible() -> Iterator[None]:
    """One seed, and one thread: many tiny operators would only wait for each other."""
    threads = torch.get_num_threads()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def lived_in(model: nn.Module) -> nn.Module:
    """In double precision and evaluation mode, with batch norms that have seen data."""
    for part in model.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            if part.affine:
                nn.init.uniform_(part.weight, 0.5, 1.5)
                nn.init.normal_(part.bias, std=0.1)
            nn.init.normal_(part.running_mean, std=0.1)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
    return model.double().eval()


def batch_norms(model: nn.Module) -> int:
    return sum(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in model.modules())


def assert_same(model: nn.Module, folded: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        expected = model(x)
        torch.testing.assert_close(folded(x), expected, rtol=1e-9, atol=1e-9)


SMALL = Design(16, (1, 1, 1, 1), "gelu", heads=2)


@pytest.mark.parametrize(
    ("model", "left"),
    [
        (zoo.FasterNet(16, (1, 1, 1, 1), "gelu", classes=10), 0),
        (zoo.ResNet((1, 1, 1, 1), classes=10), 0),
        (zoo.MobileNetV2(0.25, classes=10), 0),
        # PAT_ch's norm after the gate, PAT_sp's on both sides of its split
        (zoo.PartialNet(SMALL, classes=10), 3 + 2 * 4),
        (zoo.merge_pat_sp(zoo.PartialNet(SMALL, classes=10).eval()), 3 + 4),
        (zoo.ConvNeXt(16, (1, 1, 1, 1), zoo.PATch, classes=10), 4),
    ],
    ids=lambda value: type(value).__name__,
)
def test_networks_are_unchanged(model: nn.Module, left: int) -> None:
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    folded = fold_batch_norm(lived_in(model), x)
    assert batch_norms(folded) == left
    assert_same(model, folded, x)


@pytest.mark.parametrize("spatial", ["pat", "pat_all"])
def test_merging_pat_sp_leaves_networks_unchanged(spatial: Spatial) -> None:
    model = lived_in(zoo.PartialNet(replace(SMALL, spatial=spatial), classes=10))
    x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    merged = zoo.merge_pat_sp(model)
    assert_same(model, merged, x)
    assert_same(model, fold_batch_norm(merged, x), x)


def test_single_precision_within_1e_5() -> None:
    block = lived_in(nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU())).float()
    x = torch.randn(2, 8, 9, 9)
    with torch.no_grad():
        torch.testing.assert_close(fold_batch_norm(block, x)(x), block(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_layers(bias: bool, affine: bool) -> None:
    convolution = nn.Sequential(
        nn.Conv2d(4, 6, 3, groups=2, bias=bias), nn.BatchNorm2d(6, affine=affine)
    )
    linear = nn.Sequential(nn.Linear(5, 7, bias=bias), nn.BatchNorm1d(7, affine=affine))
    for model, shape in ((convolution, (2, 4, 6, 6)), (linear, (3, 5))):
        x = torch.randn(shape, dtype=torch.float64)
        folded = fold_batch_norm(lived_in(model), x)
        assert batch_norms(folded) == 0
        assert_same(model, folded, x)


class Branching(nn.Module):
    """The convolution's output is read by the batch norm and by an addition."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return y + self.norm(y)


class Shared(nn.Module):
    """One convolution before two batch norms."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)
        self.norms = nn.ModuleList([nn.BatchNorm2d(4), nn.BatchNorm2d(4)])

    def forward(self, x: Tensor) -> Tensor:
        return self.norms[0](self.conv(x)) + self.norms[1](self.conv(x))


@pytest.mark.parametrize("model", [Branching(), Shared(), nn.BatchNorm2d(4)], ids=str)
def test_what_must_not_be_folded_is_left(model: nn.Module) -> None:
    x = torch.randn(1, 4, 3, 3, dtype=torch.float64)
    assert foldable_pairs(lived_in(model), x) == []
    assert_same(model, fold_batch_norm(model, x), x)


def test_the_original_is_untouched() -> None:
    model = lived_in(nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fold_batch_norm(model, torch.randn(1, 4, 3, 3, dtype=torch.float64))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_on_the_meta_device() -> None:
    with torch.device("meta"):
        model = zoo.create("resnet50")
        x = torch.empty(1, *zoo.input_shape("resnet50"))
    folded = fold_batch_norm(model, x)
    assert batch_norms(folded) == 0
    assert all(p.is_meta for p in folded.parameters())
    assert folded(x).shape == (1, 1000)


def test_training_mode_is_refused() -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)).train()
    with pytest.raises(UsageError, match="eval"):
        fold_batch_norm(model, torch.randn(1, 4, 3, 3))
    with pytest.raises(UsageError, match="eval"):
        zoo.merge_pat_sp(model)


def test_batch_norms_with_an_activation_inside_keep_it() -> None:
    pytest.importorskip("timm")
    from timm.layers import BatchNormAct2d

    model = nn.Sequential(nn.Conv2d(4, 4, 1), BatchNormAct2d(4))
    x = torch.randn(1, 4, 3, 3, dtype=torch.float64)
    folded = fold_batch_norm(lived_in(model), x)
    assert_same(model, folded, x)
    assert batch_norms(folded) == 0
