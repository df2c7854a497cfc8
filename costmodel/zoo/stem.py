"""Layers between stages: patch embedding and merging, and the classifier after the last stage.

FasterNet and PartialNet share them. Each downsampling is a convolution whose kernel equals its
stride, followed by batch norm.
"""

from __future__ import annotations

from torch import Tensor, nn

from costmodel.zoo.activation import Activation, activation


class Downsample(nn.Sequential):
    """k x k convolution with stride k and batch norm: (n, c_in, h, w) to (n, c_out, h/k, w/k)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, stride, stride, bias=False),
            nn.BatchNorm2d(out_channels),
        )


class Classifier(nn.Module):
    """Global average pool, 1x1 convolution to `hidden`, activation, linear: (n, c, h, w) to
    (n, classes)."""

    def __init__(
        self, channels: int, hidden: int, classes: int, act: Activation, bias: bool = False
    ) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.expand = nn.Conv2d(channels, hidden, 1, bias=bias)
        self.act = activation(act)
        self.fc = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.act(self.expand(self.pool(x)))
        logits: Tensor = self.fc(hidden.flatten(1))
        return logits
