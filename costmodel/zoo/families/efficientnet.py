"""EfficientNet by compound scaling: one baseline made deeper, wider and finer.

Source: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks"
(ICML 2019): table 1 is the baseline B0, equation 3 the rule depth = alpha^phi, width = beta^phi,
resolution = gamma^phi with alpha beta^2 gamma^2 = 2 for twice the operations per phi; alpha 1.2,
beta 1.1, gamma 1.15 were found for B0. The published B1 to B7 use rounded multipliers, which
`efficientnet` takes; `efficientnet_compound` takes phi, alpha, beta and gamma themselves.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from torch import Tensor, nn

from costmodel.zoo.families.family import Cell, Family, Parameter, Slot, register
from costmodel.zoo.mobilenet_v2 import round_channels

STAGES = (  # expansion, kernel, stride of the first block, channels, blocks
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
BASE_RESOLUTION = 224


class Convolution(nn.Sequential):
    """k x k convolution and batch norm, with SiLU unless told otherwise."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        act: bool = True,
    ) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(
                in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False
            ),
            nn.BatchNorm2d(out_channels),
        ]
        super().__init__(*layers, *([nn.SiLU()] if act else []))


class Excitation(nn.Module):
    """Squeeze-and-excitation with SiLU inside: (n, c, h, w) unchanged."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.act = nn.SiLU()
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        weight: Tensor = self.gate(self.expand(self.act(self.reduce(self.pool(x)))))
        return x * weight


class MBConv(nn.Module):
    """Inverted residual with squeeze-and-excitation to a quarter of the block's input channels."""

    def __init__(
        self, in_channels: int, out_channels: int, expansion: int, kernel: int, stride: int
    ) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.shortcut = stride == 1 and in_channels == out_channels
        widen = [Convolution(in_channels, hidden, 1)] if expansion != 1 else []
        self.layers = nn.Sequential(
            *widen,
            Convolution(hidden, hidden, kernel, stride, groups=hidden),
            Excitation(hidden, max(1, in_channels // 4)),
            Convolution(hidden, out_channels, 1, act=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.shortcut else y


class Head(nn.Sequential):
    """1x1 convolution, global pool, linear: (n, c, h, w) to (n, classes)."""

    def __init__(self, channels: int, hidden: int, classes: int) -> None:
        super().__init__(
            Convolution(channels, hidden, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(1),
            nn.Dropout(0.2),
            nn.Linear(hidden, classes),
        )


def _channels(stage: int, width: float) -> int:
    return round_channels((32 if stage < 0 else STAGES[stage][3]) * width)


def _size(stage: int, resolution: int) -> int:
    """Height and width of the map that a stage reads."""
    size = -(-resolution // 2)
    for _, _, stride, _, _ in STAGES[:stage]:
        size = -(-size // stride)
    return size


def _stem(width: float, resolution: int) -> tuple[Cell, int]:
    return Cell(Convolution, (3, _channels(-1, width), 3, 2), (3, resolution, resolution)), 1


def _first(stage: int, width: float, resolution: int) -> tuple[Cell, int]:
    expansion, kernel, stride, _, _ = STAGES[stage]
    channels, size = _channels(stage - 1, width), _size(stage, resolution)
    arguments = (channels, _channels(stage, width), expansion, kernel, stride)
    return Cell(MBConv, arguments, (channels, size, size)), 1


def _rest(stage: int, width: float, depth: float, resolution: int) -> tuple[Cell, int]:
    expansion, kernel, _, _, blocks = STAGES[stage]
    channels, size = _channels(stage, width), _size(stage + 1, resolution)
    count = math.ceil(depth * blocks) - 1
    return Cell(MBConv, (channels, channels, expansion, kernel, 1), (channels, size, size)), count


def _head(width: float, resolution: int, classes: int) -> tuple[Cell, int]:
    channels, size = _channels(6, width), _size(7, resolution)
    return Cell(Head, (channels, round_channels(1280 * width), classes), (channels, size, size)), 1


def _slots() -> tuple[Slot, ...]:
    slots = [Slot("stem", ("width", "resolution"), _stem)]
    for stage in range(7):
        first = Slot(f"stage{stage + 1}_first", ("width", "resolution"), partial(_first, stage))
        needs = ("width", "depth", "resolution")
        slots += [first, Slot(f"stage{stage + 1}_rest", needs, partial(_rest, stage))]
    return (*slots, Slot("head", ("width", "resolution", "classes"), _head))


_CLASSES = Parameter(1000, "that the classifier tells apart", low=1, high=10**6)

MULTIPLIERS = {
    "b0": (1.0, 1.0, 224),
    "b1": (1.0, 1.1, 240),
    "b2": (1.1, 1.2, 260),
    "b3": (1.2, 1.4, 300),
    "b4": (1.4, 1.8, 380),
    "b5": (1.6, 2.2, 456),
    "b6": (1.8, 2.6, 528),
    "b7": (2.0, 3.1, 600),
}
"""Width, depth and resolution of the published networks."""

EFFICIENTNET = register(
    Family(
        "efficientnet",
        "Tan and Le, EfficientNet: Rethinking Model Scaling for CNNs (ICML 2019)",
        {
            "width": Parameter(1.0, "multiplier of all channels", low=0.1, high=8.0),
            "depth": Parameter(1.0, "multiplier of all blocks, rounded up", low=0.1, high=16.0),
            "resolution": Parameter(224, "height and width of the image", low=32, high=4096),
            "classes": _CLASSES,
        },
        _slots(),
        {
            f"timm:efficientnet_{name}": {"width": w, "depth": d, "resolution": r}
            for name, (w, d, r) in MULTIPLIERS.items()
        },
    )
)


def scaled(phi: float, alpha: float, beta: float, gamma: float) -> dict[str, Any]:
    """Width, depth and resolution of the compound rule; the resolution is a multiple of 8."""
    resolution = 8 * round(BASE_RESOLUTION * gamma**phi / 8)
    return {"width": beta**phi, "depth": alpha**phi, "resolution": resolution}


def _compound(slot: Slot) -> Slot:
    """A slot that is decided by phi, alpha, beta and gamma."""
    sources = {"width": "beta", "depth": "alpha", "resolution": "gamma"}
    kept = tuple(sources[name] for name in slot.needs if name in sources)
    others = tuple(name for name in slot.needs if name not in sources)
    return Slot(slot.name, ("phi", *kept, *others), partial(_scaled_place, slot))


def _scaled_place(slot: Slot, phi: float, *rest: Any) -> tuple[Cell, int]:
    factors = {"width": "beta", "depth": "alpha", "resolution": "gamma"}
    taken, values = iter(rest), []
    for name in slot.needs:
        factor = next(taken)
        if name in factors:
            given = {"alpha": 1.0, "beta": 1.0, "gamma": 1.0, factors[name]: factor}
            values.append(scaled(phi, **given)[name])
        else:
            values.append(factor)
    return slot.place(*values)


EFFICIENTNET_COMPOUND = register(
    Family(
        "efficientnet_compound",
        "Tan and Le, EfficientNet: Rethinking Model Scaling for CNNs (ICML 2019)",
        {
            "phi": Parameter(0.0, "how often the baseline is scaled", low=0.0, high=10.0),
            "alpha": Parameter(1.2, "depth per phi", low=1.0, high=4.0),
            "beta": Parameter(1.1, "width per phi", low=1.0, high=4.0),
            "gamma": Parameter(1.15, "resolution per phi", low=1.0, high=4.0),
            "classes": _CLASSES,
        },
        tuple(_compound(slot) for slot in EFFICIENTNET.slots),
        {"timm:efficientnet_b0": {}},
    )
)
