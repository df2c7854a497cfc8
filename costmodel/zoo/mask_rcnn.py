"""Mask R-CNN with a feature pyramid, as a fixed amount of work.

Source: "Mask R-CNN", in the form that detection papers compare backbones in: FPN with 256
channels, three anchors per position on five levels, a box head of two linear layers over 7 x 7
samples, a mask head of four convolutions and a deconvolution over 14 x 14 samples, 80 classes.

How many regions reach the heads depends on the image; here it is a constant, and regions are
sampled from fixed places, a quarter from each of the four finest levels. Suppression of
overlapping boxes and decoding are left out.

The totals that PartialNet's Tables 2 and 11 print for 1333 x 800 are those of an input of
1280 x 800 with 512 regions in the box head and 100 in the mask head, as a counter of modules sees
them: two operations per batch-normalised element and one per ReLU and pooled element beside the
multiply-accumulates, and nothing for products of queries, keys and values, which no module makes.
The papers state none of this. Regions and counting were chosen on the ResNets and FasterNets and
then hold for PoolFormer and PVT; 500 regions would fit as well as 512.

| backbone      | as counted, G       | published     |
|---------------|---------------------|---------------|
| ResNet        | 253.0 329.1         | 253 329       |
| ResNeXt-101   | 332.8 486.3         | 333 487       |
| FasterNet     | 258.1 344.0 483.9   | 258 344 484   |
| PoolFormer    | 232.4 264.6         | 233 266       |
| PVT           | 237.9 294.9 358.1   | 238 295 358   |
| PartialNet    | 219.2 301.3 408.6   | 216 295 397   |

Why PartialNet is 1.5 to 3% lower in print cannot be told from the papers. Published parameters are
the trainable ones, stem and first stage of the ResNets being frozen, and all agree but
PartialNet-M's 78.2 M, which is 79.2 M here, while S and L are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from costmodel.zoo.fasternet import fasternet
from costmodel.zoo.feature_pyramid import FeaturePyramid
from costmodel.zoo.partialnet import partialnet
from costmodel.zoo.poolformer import VARIANTS as POOLFORMERS
from costmodel.zoo.poolformer import PoolFormer
from costmodel.zoo.pvt import DEPTHS, PVTBackbone
from costmodel.zoo.registry import register
from costmodel.zoo.resnet import ResNet

DETECTION_SHAPE = (3, 800, 1280)


class RegionSampler(nn.Module):
    """`regions` patches of `size` x `size` per image: bilinear samples, two by two averaged.

    Four maps (n, c, h_i, w_i) to (n * regions, c, size, size).
    """

    def __init__(self, size: int, regions: int) -> None:
        super().__init__()
        self.size = size
        self.regions = regions

    def forward(self, levels: list[Tensor]) -> Tensor:
        share, extra = divmod(self.regions, len(levels))
        patches = []
        for index, level in enumerate(levels):
            count = share + (index < extra)
            if not count:
                continue
            n, c = level.shape[:2]
            fine = 2 * self.size
            grid = level.new_zeros(n, count * fine, fine, 2)
            sampled = functional.grid_sample(level, grid, align_corners=False)
            bins = functional.avg_pool2d(sampled, 2).reshape(n, c, count, self.size, self.size)
            patches.append(bins.transpose(1, 2))
        return torch.cat(patches, dim=1).flatten(0, 1)


class RegionProposal(nn.Module):
    """Objectness and box offsets of three anchors per position, the same layers on every level."""

    def __init__(self, width: int = 256, anchors: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.act = nn.ReLU()
        self.objectness = nn.Conv2d(width, anchors, 1)
        self.offsets = nn.Conv2d(width, 4 * anchors, 1)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        hidden = [self.act(self.conv(level)) for level in levels]
        return [head(level) for level in hidden for head in (self.objectness, self.offsets)]


class BoxHead(nn.Module):
    """(regions, 256, 7, 7) to (regions, classes + 1) scores and (regions, 4 classes) offsets."""

    def __init__(self, classes: int = 80, width: int = 256, hidden: int = 1024) -> None:
        super().__init__()
        self.shared = nn.Sequential(
            nn.Flatten(1),
            nn.Linear(49 * width, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
        )
        self.scores = nn.Linear(hidden, classes + 1)
        self.offsets = nn.Linear(hidden, 4 * classes)

    def forward(self, patches: Tensor) -> list[Tensor]:
        hidden = self.shared(patches)
        return [self.scores(hidden), self.offsets(hidden)]


class MaskHead(nn.Module):
    """(regions, 256, 14, 14) to (regions, classes, 28, 28)."""

    def __init__(self, classes: int = 80, width: int = 256) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(4):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        layers += [nn.ConvTranspose2d(width, width, 2, 2), nn.ReLU(), nn.Conv2d(width, classes, 1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, patches: Tensor) -> Tensor:
        masks: Tensor = self.layers(patches)
        return masks


class MaskRCNN(nn.Module):
    """Backbone, feature pyramid, region proposals, box and mask heads.

    Input (n, 3, h, w), h and w multiples of 32; output: the heads' tensors, undecoded. The
    backbone needs `features(x)`, four maps at strides 4 to 32, and their `channels`; its
    classifier is dropped.
    """

    def __init__(
        self,
        backbone: nn.Module,
        box_regions: int = 512,
        mask_regions: int = 100,
        freeze: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        backbone.classifier = nn.Identity()
        for name in freeze:
            backbone.get_submodule(name).requires_grad_(False)
        self.backbone = backbone
        self.pyramid = FeaturePyramid(cast(tuple[int, ...], backbone.channels))
        self.proposals = RegionProposal()
        self.box_samples = RegionSampler(7, box_regions)
        self.boxes = BoxHead()
        self.mask_samples = RegionSampler(14, mask_regions)
        self.masks = MaskHead()

    def forward(self, x: Tensor) -> list[Tensor]:
        features = cast(Callable[[Tensor], list[Tensor]], self.backbone.features)
        levels = self.pyramid(features(x))
        return [
            *self.proposals(levels),
            *self.boxes(self.box_samples(levels[:4])),
            self.masks(self.mask_samples(levels[:4])),
        ]


def _register(name: str, backbone: Callable[[], nn.Module], *freeze: str) -> None:
    def build(box_regions: int = 512, mask_regions: int = 100) -> nn.Module:
        return MaskRCNN(backbone(), box_regions, mask_regions, freeze)

    register(f"mask_rcnn_{name}", build, DETECTION_SHAPE)


_register("resnet50", partial(ResNet, (3, 4, 6, 3)), "stem", "stages.0")
_register("resnet101", partial(ResNet, (3, 4, 23, 3)), "stem", "stages.0")
for _name, _groups in (("32x4d", 32), ("64x4d", 64)):
    _register(
        f"resnext101_{_name}",
        partial(ResNet, (3, 4, 23, 3), groups=_groups, group_width=4),
        "stem",
        "stages.0",
    )
for _depth in ("s24", "s36"):
    _register(f"poolformer_{_depth}", partial(PoolFormer, *POOLFORMERS[_depth]))
for _size, _depths in DEPTHS.items():
    _register(f"pvt_{_size}", partial(PVTBackbone, _depths))
for _size in ("s", "m", "l"):
    _register(f"fasternet_{_size}", partial(fasternet, _size))
    _register(f"partialnet_{_size}", partial(partialnet, _size, grid=(25, 40)))
    _register(f"partialnet_{_size}_merged", partial(partialnet, _size, merged=True, grid=(25, 40)))
