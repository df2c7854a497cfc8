"""PAT_ch: convolve some channels, apply channel attention to the rest.

Source: "Partial Convolution Meets Visual Attention" (PATNet) and "Partial Channel Network:
Compute Fewer, Perform Better" (PartialNet), section on PATConv. The attended part is batch
normalised: the papers do not say so and the parameter counts do not decide it; public ports of
the authors' code do it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from costmodel.zoo.split import partial_channels
from costmodel.zoo.style_attention import GaussianSE

Attended = Literal["rest", "all"]


class PATch(nn.Module):
    """Conv k x k on the first c_p channels beside channel attention on the other c - c_p.

    Shape (n, c, h, w) unchanged. `attended="all"` is the full-attention ablation: the convolution
    stays partial, and attention runs over all channels of its output.
    """

    def __init__(
        self,
        channels: int,
        ratio: float = 1 / 4,
        kernel_size: int = 3,
        attention: Callable[[int], nn.Module] = GaussianSE,
        attended: Attended = "rest",
    ) -> None:
        super().__init__()
        self.part = partial_channels(channels, ratio)
        self.rest = channels - self.part
        self.attended = attended
        self.conv = nn.Conv2d(
            self.part, self.part, kernel_size, padding=kernel_size // 2, bias=False
        )
        width = channels if attended == "all" else self.rest
        self.attention = attention(width)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        convolved, rest = torch.split(x, [self.part, self.rest], dim=1)
        convolved = self.conv(convolved)
        if self.attended == "all":
            y: Tensor = self.norm(self.attention(torch.cat([convolved, rest], dim=1)))
            return y
        return torch.cat([convolved, self.norm(self.attention(rest))], dim=1)
