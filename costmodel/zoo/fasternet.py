"""FasterNet T0 to L.

Source: "Run, Don't Walk: Chasing Higher FLOPS for Faster Neural Networks". A block is a PConv
followed by two 1x1 convolutions that widen by two and narrow again, with one batch norm and one
activation between them and a shortcut around all three. Stochastic depth and layer scale exist
in training only, and are left out.

Published: 3.9, 7.6, 15.0, 31.1, 53.5, 93.5 M parameters and 0.34, 0.85, 1.91, 4.56, 8.74,
15.52 G multiply-accumulates (printed as FLOPs). These variants have 3.91, 7.60, 14.98, 31.18,
53.52, 93.47 M and 0.335, 0.851, 1.904, 4.550, 8.722, 15.494 G: S was cut off rather than rounded,
and the published counts run 0.2 to 0.3% higher because their counter adds batch norm and pooling.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from costmodel.zoo.activation import Activation, activation
from costmodel.zoo.pconv import PConv, PConvForm
from costmodel.zoo.registry import register
from costmodel.zoo.stem import Classifier, Downsample


class FasterNetBlock(nn.Module):
    """x + narrow(act(bn(widen(pconv(x))))), shape (n, c, h, w) unchanged."""

    def __init__(
        self, channels: int, ratio: float, act: Activation, form: PConvForm = "split_cat"
    ) -> None:
        super().__init__()
        hidden = 2 * channels
        self.pconv = PConv(channels, ratio, form=form)
        self.mlp = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            activation(act),
            nn.Conv2d(hidden, channels, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.mlp(self.pconv(x))
        return y


class FasterNet(nn.Module):
    """Four stages with `width`, 2, 4 and 8 times `width` channels at strides 4, 8, 16 and 32.

    Input (n, 3, h, w) with h and w multiples of 32; output (n, classes) logits.
    """

    def __init__(
        self,
        width: int,
        depths: tuple[int, int, int, int],
        act: Activation,
        ratio: float = 1 / 4,
        form: PConvForm = "split_cat",
        classes: int = 1000,
    ) -> None:
        super().__init__()
        self.channels = tuple(width * 2**stage for stage in range(4))
        self.stem = Downsample(3, width, 4)
        self.stages = nn.ModuleList(
            nn.Sequential(*(FasterNetBlock(c, ratio, act, form) for _ in range(depth)))
            for c, depth in zip(self.channels, depths, strict=True)
        )
        self.merges = nn.ModuleList(Downsample(c, 2 * c, 2) for c in self.channels[:-1])
        self.classifier = Classifier(self.channels[-1], 1280, classes, act)

    def features(self, x: Tensor) -> list[Tensor]:
        """Output of each stage, the pyramid that a detector reads."""
        x = self.stem(x)
        outputs = []
        for index, stage in enumerate(self.stages):
            if index:
                x = self.merges[index - 1](x)
            x = stage(x)
            outputs.append(x)
        return outputs

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x)[-1])
        return logits


@dataclass(frozen=True)
class Variant:
    """Width, depths and activation of one published size."""

    width: int
    depths: tuple[int, int, int, int]
    act: Activation


VARIANTS = {
    "t0": Variant(40, (1, 2, 8, 2), "gelu"),
    "t1": Variant(64, (1, 2, 8, 2), "gelu"),
    "t2": Variant(96, (1, 2, 8, 2), "relu"),
    "s": Variant(128, (1, 2, 13, 2), "relu"),
    "m": Variant(144, (3, 4, 18, 3), "relu"),
    "l": Variant(192, (3, 4, 18, 3), "relu"),
}


def fasternet(variant: str, **options: Any) -> FasterNet:
    """A published size; `options` override `ratio`, `form`, `classes`, `depths`, `act`."""
    spec = VARIANTS[variant]
    return FasterNet(**{"width": spec.width, "depths": spec.depths, "act": spec.act, **options})


for _variant in VARIANTS:
    register(f"fasternet_{_variant}", partial(fasternet, _variant))
