"""ConvNeXt-T, S and B, and ConvNeXt-T with PATConv.

Source: "A ConvNet for the 2020s": 28.6, 50.2 and 88.6 M parameters, 4.47, 8.71 and 15.38 G
multiply-accumulates.

PartialNet's Table 5 puts PATConv in ConvNeXt-T and reports 1,123 instead of 902 images/s, but
neither parameters nor operations. Here PAT_ch with its 3x3 convolution replaces every depthwise
7x7, including its batch norm, and the block's own layer norm stays.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from costmodel.zoo.pat_channel import PATch
from costmodel.zoo.pat_self import ChannelLayerNorm
from costmodel.zoo.registry import register


def depthwise7(channels: int) -> nn.Module:
    """7x7 convolution with one filter per channel and bias."""
    return nn.Conv2d(channels, channels, 7, padding=3, groups=channels)


class ConvNeXtBlock(nn.Module):
    """x + scale * narrow(gelu(widen(layer_norm(spatial(x))))), channels last in between."""

    def __init__(self, channels: int, spatial: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.spatial = spatial(channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.widen = nn.Linear(channels, 4 * channels)
        self.act = nn.GELU()
        self.narrow = nn.Linear(4 * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.spatial(x).permute(0, 2, 3, 1))
        y = self.scale * self.narrow(self.act(self.widen(y)))
        return x + y.permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    """Four stages at strides 4, 8, 16 and 32; input (n, 3, h, w), output (n, classes) logits."""

    def __init__(
        self,
        width: int,
        depths: tuple[int, int, int, int],
        spatial: Callable[[int], nn.Module] = depthwise7,
        classes: int = 1000,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 4), ChannelLayerNorm(width, eps=1e-6)]
        for index, depth in enumerate(depths):
            channels = width * 2**index
            if index:
                layers.append(ChannelLayerNorm(channels // 2, eps=1e-6))
                layers.append(nn.Conv2d(channels // 2, channels, 2, 2))
            layers += (ConvNeXtBlock(channels, spatial) for _ in range(depth))
        self.body = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            ChannelLayerNorm(8 * width, eps=1e-6),
            nn.Flatten(1),
            nn.Linear(8 * width, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.body(x))
        return logits


register("convnext_tiny", partial(ConvNeXt, 96, (3, 3, 9, 3)))
register("convnext_tiny_patconv", partial(ConvNeXt, 96, (3, 3, 9, 3), spatial=PATch))
register("convnext_small", partial(ConvNeXt, 96, (3, 3, 27, 3)))
register("convnext_base", partial(ConvNeXt, 128, (3, 3, 27, 3)))
