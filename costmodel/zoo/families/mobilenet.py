"""MobileNetV2 with other widths, depths and expansions.

Source: "MobileNetV2: Inverted Residuals and Linear Bottlenecks". The defaults are the paper's
network at width 1; `zoo:mobilenet_v2_1.4` is width 1.4.
"""

from __future__ import annotations

from functools import partial

from torch import nn

from costmodel.zoo.families.family import Cell, Family, Parameter, Slot, register
from costmodel.zoo.inverted_residual import InvertedResidual
from costmodel.zoo.mobilenet_v2 import STAGES, round_channels


class ConvolutionNorm(nn.Sequential):
    """k x k convolution, batch norm, relu6: (n, c_in, h, w) to (n, c_out, h/stride, w/stride)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU6(),
        )


class Classifier(nn.Sequential):
    """1x1 convolution with norm and relu6, global pool, linear: (n, c, h, w) to (n, classes)."""

    def __init__(self, channels: int, hidden: int, classes: int) -> None:
        super().__init__(
            ConvolutionNorm(channels, hidden, 1, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(1),
            nn.Dropout(0.2),
            nn.Linear(hidden, classes),
        )


def _channels(stage: int, width: float) -> int:
    return round_channels((32 if stage < 0 else STAGES[stage][1]) * width)


def _size(stage: int, resolution: int) -> int:
    """Height and width of the map that a stage reads."""
    size = -(-resolution // 2)
    for _, _, _, stride in STAGES[:stage]:
        size = -(-size // stride)
    return size


def _stem(width: float, resolution: int) -> tuple[Cell, int]:
    shape = (3, resolution, resolution)
    return Cell(ConvolutionNorm, (3, _channels(-1, width), 3, 2), shape), 1


def _first(stage: int, width: float, expansion: int, resolution: int) -> tuple[Cell, int]:
    channels, size = _channels(stage - 1, width), _size(stage, resolution)
    arguments = (channels, _channels(stage, width), STAGES[stage][3], expansion)
    return Cell(InvertedResidual, arguments, (channels, size, size)), 1


def _rest(
    stage: int, width: float, expansion: int, depth: int, resolution: int
) -> tuple[Cell, int]:
    channels, size = _channels(stage, width), _size(stage + 1, resolution)
    return Cell(
        InvertedResidual, (channels, channels, 1, expansion), (channels, size, size)
    ), depth - 1


def _classifier(width: float, resolution: int, classes: int) -> tuple[Cell, int]:
    channels, size = _channels(6, width), _size(7, resolution)
    hidden = round_channels(1280 * max(1.0, width))
    return Cell(Classifier, (channels, hidden, classes), (channels, size, size)), 1


def _slots() -> tuple[Slot, ...]:
    slots = [Slot("stem", ("width", "resolution"), _stem)]
    for stage in range(7):
        t, depth = f"expansion{stage + 1}", f"depth{stage + 1}"
        first = Slot(f"stage{stage + 1}_first", ("width", t, "resolution"), partial(_first, stage))
        rest = Slot(
            f"stage{stage + 1}_rest", ("width", t, depth, "resolution"), partial(_rest, stage)
        )
        slots += [first, rest]
    return (*slots, Slot("classifier", ("width", "resolution", "classes"), _classifier))


MOBILENET_V2 = register(
    Family(
        "mobilenet_v2",
        "Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks (CVPR 2018)",
        {
            "width": Parameter(1.0, "multiplier of all channels", low=0.1, high=8.0),
            **{
                f"expansion{i}": Parameter(t, f"t, how much stage {i} widens", low=1, high=16)
                for i, (t, _, _, _) in enumerate(STAGES, 1)
            },
            **{
                f"depth{i}": Parameter(n, f"blocks in stage {i}", low=1, high=64)
                for i, (_, _, n, _) in enumerate(STAGES, 1)
            },
            "resolution": Parameter(224, "height and width of the image", low=32, high=4096),
            "classes": Parameter(1000, "that the classifier tells apart", low=1, high=10**6),
        },
        _slots(),
        {"zoo:mobilenet_v2": {}, "zoo:mobilenet_v2_1.4": {"width": 1.4}},
    )
)
