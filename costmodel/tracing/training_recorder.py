"""Records a whole training step: backward operators under the module whose forward they undo.

Four things differ from an inference run. A forward operator gives tensors stored as the device
stored them, which meta kernels know nothing of: a convolution of a channels-last image gives one.
A backward operator belongs to a node of autograd,
whose sequence number says during which module it was made. Gradients that autograd hands over
are copied here, since the tape holds on to them; in a real run nobody does, so the copy is put
on the tape as the hand-over it stands for. And optimisers are told apart by device: their step
counters are single numbers on the host.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from costmodel.tracing.recorder import Recorder, is_fresh, tensors_in
from costmodel.tracing.tape import Tape

HANDED_OVER = "handed_over"
"""Attribute of a view: its output takes over the memory of its input."""
ACCUMULATES = "accumulates"
"""Attribute of a sum of two gradients of one tensor, written into the first if it is dead."""

_ACCUMULATE_GRAD = "torch::autograd::AccumulateGrad"
_FUSED = ("aten::_fused_adam_", "aten::_fused_adamw_", "aten::_fused_sgd_")


class TrainingRecorder(Recorder):  # type: ignore[no-untyped-call]
    """A `Recorder` for all phases of a step."""

    def __init__(self, tape: Tape, parameters: Mapping[str, Tensor]) -> None:
        super().__init__(tape)
        self._homes = {id(p): name.rpartition(".")[0] for name, p in parameters.items()}
        self._paths: dict[int, str] = {}
        self._nodes: int = torch.autograd._get_sequence_nr()  # type: ignore[attr-defined]
        self.repeated: tuple[Any, Any] | None = None
        """The operator that is run again, and what it gave the first time."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = self.tape.bounds.answer(func, args, kwargs)
        if result is NotImplemented:
            result = None if func._schema.name in _FUSED else func(*args, **kwargs)
        if self.depth:
            return result
        if self.repeated is not None and func is self.repeated[0] and is_fresh(func):
            result = _stored_as(result, self.repeated[1])
        if self.tape.phase == "backward":
            self._record_backward(func, args, kwargs, result)
        elif self.tape.phase != "optimizer" or any(t.is_meta for t in tensors_in((args, result))):
            if self.tape.phase == "forward":
                self._remember_module()
            self.record(func, args, kwargs, result)
        return result

    def _remember_module(self) -> None:
        """Nodes that autograd made since the last operator are this module's."""
        made = torch.autograd._get_sequence_nr()  # type: ignore[attr-defined]
        for number in range(self._nodes, made):
            self._paths[number] = self.tape.paths.current
        self._nodes = made

    def _record_backward(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        node: Any = torch._C._current_autograd_node()
        paths, before = self.tape.paths, self.tape.paths.current
        paths.current = self._home_of(node)
        try:
            if node is None and func is torch.ops.aten.add.Tensor:
                self.tape.emit("aten::add", args[:2], (result,), {ACCUMULATES: True})
            elif (source := _handed_over(node, func, args)) is not None:
                self.tape.emit("aten::detach", (source,), (result,), {HANDED_OVER: True}, True)
            else:
                self.record(func, args, kwargs, result)
        finally:
            paths.current = before

    def _home_of(self, node: Any) -> str:
        if node is None:
            return ""
        if node.name() == _ACCUMULATE_GRAD:
            return self._homes.get(id(node.variable), "")
        return self._paths.get(node._sequence_nr(), "")


def _stored_as(result: Any, recorded: Any) -> Any:
    """New meta tensors of a result with the strides of those recorded, one by one."""
    others = iter(tensors_in(recorded))

    def stored(tensor: Any) -> Any:
        other = next(others, None) if isinstance(tensor, Tensor) else None
        if other is None or other.shape != tensor.shape or other.stride() == tensor.stride():
            return tensor
        return torch.empty_strided(
            other.shape, other.stride(), dtype=tensor.dtype, device=tensor.device
        )

    return tree_map(stored, result)


def _handed_over(node: Any, func: Any, args: Any) -> Tensor | None:
    """The gradient that autograd would have kept instead of copying it, if this is such a copy.

    It keeps one that nobody else holds and whose layout is that of its parameter.
    """
    if node is None or node.name() != _ACCUMULATE_GRAD or node.variable.grad is not None:
        return None
    copies = {torch.ops.aten.clone.default: 0, torch.ops.aten.copy_.default: 1}
    place = copies.get(func)
    if place is None:
        return None
    gradient, variable = args[place], node.variable
    sizes = zip(gradient.shape, gradient.stride(), variable.stride(), strict=True)
    return gradient if all(n == 1 or a == b for n, a, b in sizes) else None
