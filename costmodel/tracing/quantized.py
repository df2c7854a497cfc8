"""Modules of torch.ao.nn.quantized: what their packed parameters hold.

A quantised layer gives its operator one opaque object with the weights inside. Here it is opened,
so that the graph has the weights as tensors, as any other operator's. Quantised kernels have no
meta form: such models are run for real, on zeros.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import Tensor, nn

_GEOMETRY = ("stride", "padding", "dilation", "groups")


class Packed(NamedTuple):
    """What one quantised layer holds."""

    weight: Tensor
    bias: Tensor | None
    attrs: dict[str, Any]
    """Of a convolution: stride, padding, dilation, groups."""


def packed_of(model: nn.Module) -> dict[str, Packed]:
    """Opened parameters by the qualified name of their module; empty if nothing is quantised."""
    opened: dict[int, Packed] = {}
    found: dict[str, Packed] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if not _is_quantized(module):
            continue
        if id(module) not in opened:
            layer: Any = module
            attrs = {key: getattr(layer, key) for key in _GEOMETRY if hasattr(layer, key)}
            opened[id(module)] = Packed(layer.weight(), layer.bias(), attrs)
        found[name] = opened[id(module)]
    return found


def _is_quantized(module: nn.Module) -> bool:
    kind = type(module)
    return kind.__module__.startswith("torch.ao.nn") and callable(getattr(kind, "weight", None))


def is_quantized(model: nn.Module) -> bool:
    """Whether any layer of a model holds packed parameters."""
    return any(_is_quantized(module) for module in model.modules())


def tensors_of(packed: dict[str, Packed]) -> Iterator[tuple[str, Tensor]]:
    """Qualified names and tensors of all layers, those of a shared layer once."""
    seen: set[int] = set()
    for name, layer in packed.items():
        for part, tensor in (("weight", layer.weight), ("bias", layer.bias)):
            if tensor is not None and id(tensor) not in seen:
                seen.add(id(tensor))
                yield f"{name}.{part}", tensor
