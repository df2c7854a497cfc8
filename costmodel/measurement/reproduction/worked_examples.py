"""Single operators that the documents count by hand, built and traced like networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from costmodel.errors import UsageError
from costmodel.formulas import get_formula
from costmodel.measurement.reproduction.networks import macs_of
from costmodel.tracing.eager import trace
from costmodel.zoo import InvertedResidual, PConv, SeparableConv


class Example(NamedTuple):
    """An operator or block and what it works on."""

    build: Callable[[], nn.Module]
    input_shape: tuple[int, int, int]
    """(channels, height, width)."""


EXAMPLES: Mapping[str, Example] = {
    "conv 3x3, 256 to 256, 56x56": Example(lambda: dense(256), (256, 56, 56)),
    "depthwise 3x3, 256, 56x56": Example(
        lambda: nn.Conv2d(256, 256, 3, padding=1, groups=256, bias=False), (256, 56, 56)
    ),
    "pointwise, 256 to 256, 56x56": Example(
        lambda: nn.Conv2d(256, 256, 1, bias=False), (256, 56, 56)
    ),
    "depthwise separable 3x3, 256 to 256, 56x56": Example(
        lambda: SeparableConv(256, 256), (256, 56, 56)
    ),
    "inverted residual, 24 channels, expansion 6, 56x56": Example(
        lambda: InvertedResidual(24, 24), (24, 56, 56)
    ),
    "conv 3x3, 144 to 144, 56x56": Example(lambda: dense(144), (144, 56, 56)),
}
"""By row of the table of worked examples."""


def dense(channels: int) -> nn.Module:
    """3x3 convolution of all channels, without bias."""
    return nn.Conv2d(channels, channels, 3, padding=1, bias=False)


def example_figure(row: str, column: str) -> float:
    """A figure of a worked example: "macs" for one image, or "weights".

    Raises:
        UsageError: for a row that no example stands for.
    """
    if row not in EXAMPLES:
        raise UsageError(f"worked example {row!r}: no operator is built for it")
    build, shape = EXAMPLES[row]
    if column == "weights":
        with torch.device("meta"):
            return sum(p.numel() for p in build().parameters())
    return macs(build, shape)


def macs(build: Callable[[], nn.Module], shape: tuple[int, ...]) -> float:
    """Multiply-accumulates of a module for one input of this shape."""
    with torch.device("meta"):
        return macs_of(trace(build().eval(), (1, *shape)))


def partial_macs_ratio() -> float:
    """PConv over dense convolution at split ratio 1/4, multiply-accumulates."""
    shape = (64, 56, 56)
    return macs(lambda: PConv(64), shape) / macs(lambda: dense(64), shape)


def partial_traffic_ratio() -> float:
    """PConv over dense convolution at split ratio 1/4, activations read and written."""

    def traffic(name: str, **channels: int) -> Any:
        elements = {"b_x": 4, "b_w": 4, "b_y": 4}
        cost = get_formula(name)(n=1, h=56, w=56, k=3, **channels, **elements)
        return cost.bytes - cost.weight_bytes

    return float(traffic("pconv", c_p=16) / traffic("conv", c=64))


def separable_macs_ratio(channels: int) -> float:
    """Dense 3x3 convolution over depthwise separable, multiply-accumulates."""
    shape = (channels, 56, 56)
    return macs(lambda: dense(channels), shape) / macs(
        lambda: SeparableConv(channels, channels), shape
    )
