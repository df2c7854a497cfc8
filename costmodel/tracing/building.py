"""Building models on the meta device, without filling weights that have no memory.

Initialisers write values in place, which on the meta device does nothing, and takes most of the
time in which a model is built: the framework works out the shapes of every step in Python.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from costmodel.errors import TraceError, UsageError

IMAGE = (3, 224, 224)
"""Input of a vision model that states none: channels, height, width."""

_DEVICE: ContextVar[str] = ContextVar("device models are built on", default="meta")

_FILLS = frozenset(
    {
        Tensor.uniform_, Tensor.normal_, Tensor.fill_, Tensor.zero_, Tensor.erfinv_, Tensor.mul_,
        Tensor.add_, Tensor.div_, Tensor.sub_, Tensor.clamp_, Tensor.exponential_,
        *(f for n, f in inspect.getmembers(nn.init, inspect.isfunction) if n.endswith("_")),
    }
)  # fmt: skip


class WeightsLeftEmpty(TorchFunctionMode):
    """Answers writes into tensors on the meta device with the tensor itself."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _FILLS:
            target = args[0] if args else kwargs.get("tensor")
            if isinstance(target, Tensor) and target.is_meta:
                return target
        return func(*args, **kwargs)


@contextmanager
def building_on(device: str) -> Iterator[None]:
    """Build models on another device than meta: with real weights, for measuring."""
    token = _DEVICE.set(device)
    try:
        yield
    finally:
        _DEVICE.reset(token)


def build_device() -> torch.device:
    """Where models are built: meta, unless `building_on` says otherwise."""
    return torch.device(_DEVICE.get())


def build_on_meta(what: str, factory: Callable[[], Any]) -> Any:
    """Run a factory on the meta device; for real if it needs values.

    Raises:
        TraceError: if it fails both ways.
    """
    try:
        with build_device(), WeightsLeftEmpty():
            return factory()
    except (Exception, SystemExit) as first:
        try:
            return factory()
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {error}"
            raise TraceError(f"{what}: could not be built: {reason}") from first


def sample_of(batch: int, sample: Sequence[int]) -> Tensor:
    """So many samples of a shape, as a float32 tensor on the meta device.

    Raises:
        UsageError: for a size that is not positive.
    """
    if any(size < 1 for size in sample):
        raise UsageError(f"input shape {tuple(sample)}: sizes must be positive")
    return torch.empty((batch, *sample), device="meta")
