"""Building models on the meta device without filling weights that have no memory.

Initialisers write values in place, which on the meta device does nothing, and takes most of the
time in which a model is built: the framework works out the shapes of every step in Python.
"""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

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
