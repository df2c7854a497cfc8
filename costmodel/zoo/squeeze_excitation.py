"""Squeeze-and-excitation (SE): weigh each channel by what its mean says.

Source: "Squeeze-and-Excitation Networks"; one of the two conventional channel attentions that
PartialNet's ablation puts in the place of its own.
"""

from __future__ import annotations

from torch import Tensor, nn


class SqueezeExcitation(nn.Module):
    """x * sigmoid(expand(relu(reduce(mean(x))))), shape (n, c, h, w) unchanged.

    Two 1x1 convolutions through c / `reduction` channels: 2 c^2 / reduction weights, plus biases.
    """

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        squeezed = max(1, channels // reduction)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.act = nn.ReLU()
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        weight: Tensor = self.gate(self.expand(self.act(self.reduce(self.pool(x)))))
        return x * weight
