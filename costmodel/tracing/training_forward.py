"""The forward pass of a training step: recorded call by call, then run again under autograd.

Autocast, layouts and fused dropout follow the device type, so that the model runs on fake tensors
that claim to be on the device; autograd's engine cannot run without that device. The calls that
reached the dispatcher are therefore repeated on meta tensors with gradients, each under the path
of its module. Casts and copies are among the calls, so that the gradients get their dtypes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from costmodel.errors import TraceError
from costmodel.tracing.bounds import Bounds
from costmodel.tracing.device_kernels import Attention
from costmodel.tracing.modules import ModulePaths
from costmodel.tracing.recorder import Resting, tensors_in
from costmodel.tracing.training_attention import RECORDER, differentiable_attention

NATIVE: dict[Any, Any] = {
    torch.ops.aten.cudnn_batch_norm.default: torch.ops.aten.native_batch_norm.default,
    torch.ops.aten.miopen_batch_norm.default: torch.ops.aten.native_batch_norm.default,
}
"""Operators of vendor libraries by the native ones of the same arguments, work and gradient."""


class Call(NamedTuple):
    """One operator as it was called."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any
    module: str


class CallRecorder(Resting, TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down every call that returns tensors, with the path of the running module."""

    def __init__(self, paths: ModulePaths) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[Call] = []
        self.paths = paths
        self.bounds = Bounds()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = self.bounds.answer(func, args, kwargs)
        if result is NotImplemented:
            result = func(*args, **kwargs)
        if not self.depth and tensors_in(result):
            self.calls.append(Call(func, args, kwargs, result, self.paths.current))
        return result

    def attention(self, call: Attention, result: Tensor) -> None:
        """Write down an attention as one call."""
        self.calls.append(
            Call(differentiable_attention, tuple(call), {}, result, self.paths.current)
        )


class Replay:
    """Runs recorded calls on meta tensors."""

    def __init__(self, paths: ModulePaths) -> None:
        self.paths = paths
        self._known: dict[int, Tensor] = {}

    def parameters(self, model: nn.Module) -> dict[str, nn.Parameter]:
        """Meta parameters in place of a model's, by name; shared ones once."""
        made: dict[str, nn.Parameter] = {}
        for name, parameter in model.named_parameters():
            made[name] = nn.Parameter(self.of(parameter), requires_grad=parameter.requires_grad)
            self.stands_for(parameter, made[name])
        return made

    def knows(self, recorded: Tensor) -> bool:
        """Whether a meta tensor stands for this one already."""
        return id(recorded) in self._known

    def stands_for(self, recorded: Tensor, tensor: Tensor) -> None:
        """Take this meta tensor wherever that one was used."""
        self._known[id(recorded)] = tensor

    def of(self, value: Any) -> Any:
        """A recorded argument with its tensors and devices replaced."""
        if isinstance(value, Tensor):
            found = self._known.get(id(value))
            if found is None:
                found = self._known[id(value)] = torch.empty_strided(
                    value.shape, value.stride(), dtype=value.dtype, device="meta"
                )
            return found
        return torch.device("meta") if isinstance(value, torch.device) else value

    def run(self, calls: Iterable[Call]) -> None:
        """Repeat these calls, each under the path of its module, with results stored alike."""
        before, recorder = self.paths.current, RECORDER.get()
        try:
            for call in calls:
                self.paths.current = call.module
                function = NATIVE.get(call.function, call.function)
                recorder.repeated = function, call.result
                args, kwargs = tree_map(self.of, (call.args, call.kwargs))
                result = function(*args, **kwargs)
                _require_gradient(function, result)
                pairs = zip(tensors_in(call.result), tensors_in(result), strict=False)
                for recorded, tensor in pairs:
                    self._known[id(recorded)] = tensor
        finally:
            self.paths.current, recorder.repeated = before, None

    def function(
        self, calls: Sequence[Call], inputs: Sequence[Tensor], outputs: Sequence[Tensor]
    ) -> Callable[..., tuple[Tensor, ...]]:
        """The calls as a function of recorded tensors; it leaves nothing else behind."""

        def run(*tensors: Tensor) -> tuple[Tensor, ...]:
            before = dict(self._known)
            for recorded, tensor in zip(inputs, tensors, strict=True):
                self._known[id(recorded)] = tensor
            self.run(calls)
            found = tuple(self._known[id(recorded)] for recorded in outputs)
            self._known = before
            return found

        return run


def _require_gradient(function: Any, result: Any) -> None:
    """Refuse an operator of which the framework knows no gradient: its work would be left out.

    Raises:
        TraceError: with the operator's name.
    """
    for tensor in tensors_in(result):
        node = tensor.grad_fn
        if node is not None and "NotImplemented" in node.name():
            raise TraceError(f"{function}: has no gradient, so that it cannot be trained")
