"""PoolFormer S12 to M48: a transformer whose token mixer is average pooling.

Source: "MetaFormer is Actually What You Need for Vision".
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from costmodel.zoo.registry import register


class PoolFormerBlock(nn.Module):
    """x + a (pool(norm(x)) - norm(x)), then x + b mlp(norm(x)), with a and b learnt per channel.

    Shape (n, c, h, w) unchanged; the norms are group norms of one group.
    """

    def __init__(self, channels: int, ratio: int = 4) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(1, channels)
        self.pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
        self.norm2 = nn.GroupNorm(1, channels)
        self.mlp = nn.Sequential(
            nn.Conv2d(channels, ratio * channels, 1),
            nn.GELU(),
            nn.Conv2d(ratio * channels, channels, 1),
        )
        self.scale1 = nn.Parameter(torch.full((channels, 1, 1), 1e-5))
        self.scale2 = nn.Parameter(torch.full((channels, 1, 1), 1e-5))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm1(x)
        x = x + self.scale1 * (self.pool(y) - y)
        mixed: Tensor = x + self.scale2 * self.mlp(self.norm2(x))
        return mixed


class PoolFormer(nn.Module):
    """Four stages at strides 4, 8, 16 and 32; input (n, 3, h, w), output (n, classes) logits."""

    def __init__(
        self, channels: tuple[int, ...], depths: tuple[int, ...], classes: int = 1000
    ) -> None:
        super().__init__()
        self.channels = channels
        self.stages = nn.ModuleList()
        before = 3
        for index, (width, depth) in enumerate(zip(channels, depths, strict=True)):
            down = nn.Conv2d(before, width, 3, 2, 1) if index else nn.Conv2d(3, width, 7, 4, 2)
            blocks = (PoolFormerBlock(width) for _ in range(depth))
            self.stages.append(nn.Sequential(down, *blocks))
            before = width
        self.classifier = nn.Sequential(
            nn.GroupNorm(1, before),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(1),
            nn.Linear(before, classes),
        )

    def features(self, x: Tensor) -> list[Tensor]:
        """Output of each stage, the pyramid that a detector reads."""
        outputs = []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return outputs

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x)[-1])
        return logits


_SMALL = (64, 128, 320, 512)
_MEDIUM = (96, 192, 384, 768)
VARIANTS = {
    "s12": (_SMALL, (2, 2, 6, 2)),
    "s24": (_SMALL, (4, 4, 12, 4)),
    "s36": (_SMALL, (6, 6, 18, 6)),
    "m36": (_MEDIUM, (6, 6, 18, 6)),
    "m48": (_MEDIUM, (8, 8, 24, 8)),
}

for _variant, (_channels, _depths) in VARIANTS.items():
    register(f"poolformer_{_variant}", partial(PoolFormer, _channels, _depths))
