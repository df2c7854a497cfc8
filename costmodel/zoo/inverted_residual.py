"""Inverted residual: widen, filter each channel in space, narrow, and skip between narrow ends.

Source: "MobileNetV2: Inverted Residuals and Linear Bottlenecks". For 24 channels on 56 x 56 and
an expansion of six: 25,740,288 multiply-accumulates.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

SpatialFilter = Callable[[int, int], nn.Module]
"""Builds the k x k layer in the middle from (channels, stride)."""


def depthwise(channels: int, stride: int) -> nn.Module:
    """3x3 convolution with one filter per channel."""
    return nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False)


class InvertedResidual(nn.Module):
    """1x1 widening by `expansion`, 3x3 depthwise, linear 1x1 narrowing, each with batch norm.

    (n, c_in, h, w) to (n, c_out, h / stride, w / stride); the shortcut exists where the two
    shapes agree. `spatial` replaces the depthwise convolution by another filter.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        expansion: int = 6,
        spatial: SpatialFilter = depthwise,
    ) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.shortcut = stride == 1 and in_channels == out_channels
        layers: list[nn.Module] = []
        if expansion != 1:
            layers += [
                nn.Conv2d(in_channels, hidden, 1, bias=False),
                nn.BatchNorm2d(hidden),
                nn.ReLU6(),
            ]
        layers += [
            spatial(hidden, stride),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        ]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.shortcut else y
