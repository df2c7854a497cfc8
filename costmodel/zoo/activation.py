"""Activations by the names that papers use."""

from __future__ import annotations

from typing import Literal

from torch import nn

from costmodel.errors import UnknownNameError

Activation = Literal["gelu", "relu", "relu6", "silu", "hardswish"]

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "gelu": nn.GELU,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "silu": nn.SiLU,
    "hardswish": nn.Hardswish,
}


def activation(name: Activation) -> nn.Module:
    """A new activation module."""
    if name not in _ACTIVATIONS:
        raise UnknownNameError("activation", name, _ACTIVATIONS)
    return _ACTIVATIONS[name]()
