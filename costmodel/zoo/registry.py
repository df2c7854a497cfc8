"""The catalogue of networks: names to builders, registered once each.

A builder is registered with `@network("name")`; it takes keyword options and returns a module
that runs on an input of `input_shape`. Building under `torch.device("meta")` allocates nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from costmodel.errors import UnknownNameError, UsageError

IMAGENET_SHAPE = (3, 224, 224)

Builder = Callable[..., nn.Module]


@dataclass(frozen=True)
class Network:
    """One entry of the catalogue."""

    name: str
    build: Builder
    input_shape: tuple[int, ...]
    """Shape of one example without its batch dimension, (channels, height, width)."""


_networks: dict[str, Network] = {}


def register(name: str, build: Builder, input_shape: tuple[int, ...] = IMAGENET_SHAPE) -> None:
    """Add a network to the catalogue. Raises UsageError if the name is taken."""
    if name in _networks:
        raise UsageError(f"network {name!r} is already in the zoo; choose another name")
    _networks[name] = Network(name, build, input_shape)


def network(
    name: str, input_shape: tuple[int, ...] = IMAGENET_SHAPE
) -> Callable[[Builder], Builder]:
    """Decorator form of `register`."""

    def decorate(build: Builder) -> Builder:
        register(name, build, input_shape)
        return build

    return decorate


def names() -> list[str]:
    """All names that `create` knows, sorted."""
    return sorted(_networks)


def create(name: str, **options: Any) -> nn.Module:
    """Build a network by name, in evaluation mode.

    `options` are passed to its builder. Raises UnknownNameError, with the nearest names.
    """
    return _look_up(name).build(**options).eval()


def input_shape(name: str) -> tuple[int, ...]:
    """Shape of one example for this network, without the batch dimension."""
    return _look_up(name).input_shape


def _look_up(name: str) -> Network:
    try:
        return _networks[name]
    except KeyError:
        raise UnknownNameError(
            "zoo network", name, _networks, hint="(costmodel.zoo.names() lists all)"
        ) from None
