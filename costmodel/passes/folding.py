"""Fold batch norms of a PyTorch module into the convolution or linear layer before them.

In evaluation mode a batch norm is one multiplication and one addition per channel,
y = s x + t with s = weight / sqrt(var + eps) and t = bias - mean s, so a layer W x + b before it
becomes (s W) x + (s b + t): the same function, one operator fewer. Where each batch norm stands is
not read from the module tree but seen in a run on meta tensors, so it holds for any network that
runs; a layer whose output goes anywhere else too keeps its batch norm.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from costmodel.errors import UsageError

Model = TypeVar("Model", bound=nn.Module)
Foldable = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def fold_batch_norm(model: Model, *inputs: Tensor) -> Model:
    """A copy of `model` without the batch norms that directly follow a convolution or linear layer.

    `inputs` are examples of what the model takes; only their shapes and types matter, on any
    device. Works on meta models. Exact up to rounding. Raises UsageError in training mode.
    """
    if model.training:
        raise UsageError("batch norms fold in evaluation mode only; call model.eval() first")
    folded = copy.deepcopy(model)
    for layer_name, norm_name in foldable_pairs(model, *inputs):
        norm = folded.get_submodule(norm_name)
        assert isinstance(norm, _BatchNorm)
        _fold(folded.get_submodule(layer_name), norm)
        _replace(folded, norm_name, _after(norm))
    return folded


def foldable_pairs(model: nn.Module, *inputs: Tensor) -> list[tuple[str, str]]:
    """Names of (layer, batch norm) where the layer feeds that batch norm and nothing else."""
    twin = copy.deepcopy(model).to("meta")
    layers = _Outputs(twin, Foldable)
    uses = _Uses()
    fed: dict[str, list[Tensor]] = {}

    def before_norm(name: str) -> Any:
        def hook(_: nn.Module, args: tuple[Tensor, ...]) -> None:
            fed.setdefault(name, []).append(args[0])

        return hook

    for name, module in twin.named_modules():
        if isinstance(module, _BatchNorm):
            module.register_forward_pre_hook(before_norm(name))
    with torch.no_grad(), uses:
        twin(*(x.to("meta") for x in inputs))
    return list(_matches(twin, layers, fed, uses))


def _matches(
    twin: nn.Module, layers: _Outputs, fed: dict[str, list[Tensor]], uses: _Uses
) -> Iterator[tuple[str, str]]:
    for norm_name, received in fed.items():
        if len(received) != 1:
            continue
        x = received[0]
        layer_name = layers.once.get(id(x))
        if layer_name is None or uses.count.get(id(x)) != 1:
            continue
        if isinstance(twin.get_submodule(layer_name), nn.Linear) and x.dim() != 2:
            continue  # batch norm reads dimension 1, a linear layer writes the last one
        norm = twin.get_submodule(norm_name)
        if isinstance(norm, _BatchNorm) and norm.running_mean is not None:
            yield layer_name, norm_name


class _Outputs:
    """Outputs of the layers that run exactly once: id of the tensor to the layer's name."""

    def __init__(self, model: nn.Module, kinds: tuple[type[nn.Module], ...]) -> None:
        self.once: dict[int, str] = {}
        self._calls: dict[str, list[Tensor]] = {}
        for name, module in model.named_modules():
            if isinstance(module, kinds):
                module.register_forward_hook(self._hook(name))

    def _hook(self, name: str) -> Any:
        def hook(_: nn.Module, __: Any, output: Tensor) -> None:
            calls = self._calls.setdefault(name, [])
            calls.append(output)  # keeps the tensor alive, so that its id stays its own
            if len(calls) == 1:
                self.once[id(output)] = name
            else:
                self.once.pop(id(calls[0]), None)

        return hook


class _Uses(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """How many operators read each tensor, by id."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count: dict[int, int] = {}
        self._alive: list[Tensor] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        for value in tree_iter((args, kwargs or {})):
            if isinstance(value, Tensor):
                self._alive.append(value)
                self.count[id(value)] = self.count.get(id(value), 0) + 1
        return func(*args, **(kwargs or {}))


def _fold(layer: nn.Module, norm: _BatchNorm) -> None:
    """Multiply the layer's rows and shift its bias, in place."""
    assert isinstance(layer, Foldable)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = torch.rsqrt(norm.running_var + norm.eps)
    if norm.weight is not None:
        scale = norm.weight * scale
    shift = -norm.running_mean * scale
    if norm.bias is not None:
        shift = norm.bias + shift
    with torch.no_grad():
        rows = scale.reshape(-1, *[1] * (layer.weight.dim() - 1))
        bias = shift if layer.bias is None else layer.bias * scale + shift
        layer.weight = nn.Parameter((layer.weight * rows).to(layer.weight.dtype))
        layer.bias = nn.Parameter(bias.to(layer.weight.dtype))


def _after(norm: nn.Module) -> nn.Module:
    """What remains of a batch norm: nothing, or the activation that some libraries put inside."""
    inside = [getattr(norm, name, None) for name in ("drop", "act")]
    kept = [part for part in inside if isinstance(part, nn.Module)]
    return nn.Sequential(*kept) if kept else nn.Identity()


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)
