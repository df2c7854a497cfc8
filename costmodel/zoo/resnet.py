"""ResNet and ResNeXt with bottleneck blocks, and ResNet-50 with PATConv.

Sources: "Deep Residual Learning for Image Recognition" and "Aggregated Residual Transformations
for Deep Neural Networks", with the stride on the 3x3 convolution, as all common implementations
have it (25.56 M parameters and 4.09 G multiply-accumulates for ResNet-50).

PartialNet's Table 5 puts PATConv in ResNet-50 and reports 2.25 times the throughput, but neither
parameters nor operations nor which layers. Here PAT_ch replaces every 3x3 convolution of stride 1
(13 of 16); a split that leaves channels as they are has no stride, so the other three stay.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from costmodel.zoo.pat_channel import PATch
from costmodel.zoo.registry import register

Conv3x3 = Callable[[int, int, int], nn.Module]
"""Builds the middle layer of a bottleneck from (channels, stride, groups)."""


def dense(channels: int, stride: int, groups: int) -> nn.Module:
    """The 3x3 convolution of the original block."""
    return nn.Conv2d(channels, channels, 3, stride, 1, groups=groups, bias=False)


def partial_attention(channels: int, stride: int, groups: int) -> nn.Module:
    """PAT_ch where the stride allows it, else the original convolution."""
    return PATch(channels) if stride == 1 else dense(channels, stride, groups)


class Bottleneck(nn.Module):
    """1x1 narrowing, 3x3, 1x1 widening to `out_channels`, each with batch norm; shortcut; ReLU."""

    def __init__(
        self,
        in_channels: int,
        hidden: int,
        out_channels: int,
        stride: int,
        groups: int,
        conv3x3: Conv3x3,
    ) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(in_channels, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            conv3x3(hidden, stride, groups),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.shortcut(x) + self.residual(x))
        return y


class ResNet(nn.Module):
    """Four stages of 256, 512, 1024 and 2048 channels at strides 4, 8, 16 and 32.

    Input (n, 3, h, w), output (n, classes) logits. Bottlenecks are `groups * group_width` wide in
    the first stage and twice as wide in each that follows.
    """

    channels = (256, 512, 1024, 2048)

    def __init__(
        self,
        depths: tuple[int, int, int, int],
        groups: int = 1,
        group_width: int = 64,
        conv3x3: Conv3x3 = dense,
        classes: int = 1000,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
        )
        stages = []
        width = 64
        for index, (depth, out) in enumerate(zip(depths, self.channels, strict=True)):
            blocks = []
            for block in range(depth):
                stride = 2 if index and not block else 1
                hidden = groups * group_width * 2**index
                blocks.append(Bottleneck(width, hidden, out, stride, groups, conv3x3))
                width = out
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.Linear(width, classes)
        )

    def features(self, x: Tensor) -> list[Tensor]:
        """Output of each stage, the pyramid that a detector reads."""
        x = self.stem(x)
        outputs = []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return outputs

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x)[-1])
        return logits


register("resnet50", partial(ResNet, (3, 4, 6, 3)))
register("resnet50_patconv", partial(ResNet, (3, 4, 6, 3), conv3x3=partial_attention))
register("resnet101", partial(ResNet, (3, 4, 23, 3)))
register("resnext101_32x4d", partial(ResNet, (3, 4, 23, 3), groups=32, group_width=4))
register("resnext101_64x4d", partial(ResNet, (3, 4, 23, 3), groups=64, group_width=4))
