"""Questions about values that a forward asks only while it trains, answered without any.

Some models leave layers out at random (LayerDrop, Fan et al., 2019); some look for infinities
before they clamp. In the step that is traced every layer runs, and activations are finite.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from costmodel.tracing.bounds import Bounds

_ASKED = {
    torch.isfinite: True, Tensor.isfinite: True,
    torch.isinf: False, Tensor.isinf: False,
    torch.isnan: False, Tensor.isnan: False,
}  # fmt: skip
_JOINED = {torch.all, Tensor.all, torch.any, Tensor.any}


class TrainingValues(TorchFunctionMode):
    """Answers such questions, and states each answer as an assumption of the trace."""

    def __init__(self, bounds: Bounds) -> None:
        super().__init__()
        self._bounds = bounds
        self._answers: dict[int, tuple[Tensor, bool]] = {}  # with the tensor, which keeps its id

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.rand and args and args[0] in ([], ()):
            self._bounds.assume("layers that are left out at random all run")
            return 1.0  # drawn on the host, so that no operator of the device compares it
        known = self._answers.get(id(args[0])) if args else None
        if func is Tensor.__bool__ and known is not None:
            self._bounds.assume("activations are finite")
            return known[1]
        result = func(*args, **kwargs)
        if func in _ASKED:
            self._answers[id(result)] = (result, _ASKED[func])
        elif known is not None and func in _JOINED:
            self._answers[id(result)] = (result, known[1])
        return result
