"""Channel attention from the mean and the standard deviation of each channel.

SRM (style-based recalibration) weighs a channel by its own two statistics. PartialNet's enhanced
Gaussian squeeze-and-excitation lets every channel see the statistics of all others, which turns
2 c weights into 2 c^2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class StyleAttention(nn.Module):
    """x * gate(batch_norm(mix([mean(x), std(x)]))), shape (n, c, h, w) unchanged.

    The standard deviation is the population's (divided by h * w), so a 1 x 1 map has one.
    """

    def __init__(self, channels: int, groups: int, gate: nn.Module) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, (1, 2), groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        positions = x.flatten(2)
        mean = positions.mean(-1, keepdim=True)
        std = positions.std(-1, correction=0, keepdim=True)
        statistics = torch.cat([mean, std], dim=-1).unsqueeze(2)  # (n, c, 1, 2)
        weight: Tensor = self.gate(self.norm(self.mix(statistics)))
        return x * weight


class GaussianSE(StyleAttention):
    """The enhanced Gaussian channel attention of PAT_ch: dense mixing, hard sigmoid."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, groups=1, gate=nn.Hardsigmoid())


class SRM(StyleAttention):
    """Style-based recalibration: each channel from its own statistics, sigmoid."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, groups=channels, gate=nn.Sigmoid())
