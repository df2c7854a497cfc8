"""MobileNetV2, and MobileNetV2 with PATConv.

Source: "MobileNetV2: Inverted Residuals and Linear Bottlenecks": 3.50 M parameters and 0.300 G
multiply-accumulates at width 1, 6.11 M and 0.582 G at width 1.4.

PartialNet's Table 5 puts PATConv in MobileNetV2 and reports 4,560 instead of 3,924 images/s and
2.7 points of accuracy, but neither parameters nor operations nor which layers. Here PAT_ch
replaces every depthwise convolution of stride 1.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from costmodel.zoo.inverted_residual import InvertedResidual, SpatialFilter, depthwise
from costmodel.zoo.pat_channel import PATch
from costmodel.zoo.registry import register

STAGES = (  # expansion, channels, blocks, stride of the first block
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def partial_attention(channels: int, stride: int) -> nn.Module:
    """PAT_ch where the stride allows it, else the depthwise convolution."""
    return PATch(channels) if stride == 1 else depthwise(channels, stride)


def round_channels(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of `divisor`, at least one, never below nine tenths of `channels`."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


class MobileNetV2(nn.Module):
    """Inverted residuals at strides 2 to 32; input (n, 3, h, w), output (n, classes) logits."""

    def __init__(
        self, width: float = 1.0, spatial: SpatialFilter = depthwise, classes: int = 1000
    ) -> None:
        super().__init__()
        channels = round_channels(32 * width)
        layers: list[nn.Module] = [*_convolution(3, channels, 3, 2)]
        for expansion, base, blocks, stride in STAGES:
            out = round_channels(base * width)
            for block in range(blocks):
                layers.append(
                    InvertedResidual(channels, out, 1 if block else stride, expansion, spatial)
                )
                channels = out
        last = round_channels(1280 * max(1.0, width))
        layers += _convolution(channels, last, 1, 1)
        self.body = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.Dropout(0.2), nn.Linear(last, classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.body(x))
        return logits


def _convolution(in_channels: int, out_channels: int, kernel: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU6(),
    ]


register("mobilenet_v2", MobileNetV2)
register("mobilenet_v2_1.4", partial(MobileNetV2, 1.4))
register("mobilenet_v2_patconv", partial(MobileNetV2, spatial=partial_attention))
