"""Feature pyramid network (FPN): every level gets the detail of its own stage and the context of
all deeper ones.

Source: "Feature Pyramid Networks for Object Detection".
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional


class FeaturePyramid(nn.Module):
    """Stage outputs at strides 4, 8, 16, 32 to five maps of `width` channels, strides 4 to 64."""

    def __init__(self, in_channels: Sequence[int], width: int = 256) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(c, width, 1) for c in in_channels)
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in in_channels)

    def forward(self, stages: list[Tensor]) -> list[Tensor]:
        maps = [lateral(stage) for lateral, stage in zip(self.lateral, stages, strict=True)]
        for deeper in range(len(maps) - 1, 0, -1):
            size = maps[deeper - 1].shape[-2:]
            maps[deeper - 1] = maps[deeper - 1] + functional.interpolate(maps[deeper], size=size)
        levels = [smooth(level) for smooth, level in zip(self.smooth, maps, strict=True)]
        return [*levels, functional.max_pool2d(levels[-1], 1, stride=2)]
