"""Every network of the zoo runs on meta tensors; known ones agree with other implementations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from costmodel import zoo
from costmodel.zoo.pat_channel import PATch

CLASSIFIERS = [  # PartialNet's other forms run in its own tests
    n
    for n in zoo.names()
    if not n.startswith(
        ("mask_rcnn", "partialnet_t2_", "partialnet_t0_", "poolformer_m", "convnext_b")
    )
]


def counts(model: nn.Module, shape: tuple[int, ...]) -> tuple[int, int]:
    """Parameters, and multiply-accumulates as torch counts them."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty(1, *shape, device="meta"))
    return sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2


def on_meta(name: str, **options: object) -> nn.Module:
    with torch.device("meta"):
        return zoo.create(name, **options)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_runs_on_meta_tensors(name: str) -> None:
    model = on_meta(name)
    assert not model.training
    assert all(tensor.is_meta for tensor in model.parameters())
    x = torch.empty(2, *zoo.input_shape(name), device="meta")
    with torch.no_grad():
        logits: Tensor = model(x)
    assert logits.shape == (2, 1000)


@pytest.mark.parametrize("name", ["resnet50", "resnext101_64x4d", "mobilenet_v2", "convnext_tiny"])
def test_same_counts_as_torchvision(name: str) -> None:
    torchvision = pytest.importorskip("torchvision")
    with torch.device("meta"):
        theirs = getattr(torchvision.models, name)().eval()
    assert counts(on_meta(name), (3, 224, 224)) == counts(theirs, (3, 224, 224))


@pytest.mark.parametrize(
    "name",
    ["fasternet_t0", "fasternet_t2", "fasternet_m", "poolformer_s24", "poolformer_m36"],
)
def test_same_counts_as_timm(name: str) -> None:
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        theirs = timm.create_model(name).eval()
    assert counts(on_meta(name), (3, 224, 224)) == counts(theirs, (3, 224, 224))


def test_mobilenet_v2_of_width_1_4() -> None:
    params, macs = counts(on_meta("mobilenet_v2_1.4"), (3, 224, 224))
    assert params / 1e6 == pytest.approx(6.1, rel=0.005)  # PartialNet, Table 10
    assert macs / 1e6 == pytest.approx(585, rel=0.01)  # MobileNetV2, its ImageNet table


@pytest.mark.parametrize(
    ("name", "replaced"),
    [("resnet50", 13), ("mobilenet_v2", 13), ("convnext_tiny", 18)],
)
def test_patconv_takes_the_place_of_every_convolution_that_keeps_its_shape(
    name: str, replaced: int
) -> None:
    changed = on_meta(f"{name}_patconv")
    assert sum(isinstance(module, PATch) for module in changed.modules()) == replaced
    if name == "resnet50":
        assert counts(changed, (3, 224, 224)) < counts(on_meta(name), (3, 224, 224))
