"""The mechanism of shape rules: functions of torch that are answered at the call.

A rule takes the tape and the function's own arguments. It puts the operator on the tape and
returns the result, or returns NotImplemented to let the framework answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from costmodel.tracing.tape import Tape

Rule = Callable[..., Any]
RULES: dict[Any, Rule] = {}
no_dispatch = torch._C._DisableTorchDispatch


class ShapeRules(TorchFunctionMode):
    """Applies the rules to every torch function called inside it."""

    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self.tape = tape

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        rule = RULES.get(func)
        if rule is not None:
            result = rule(self.tape, *args, **kwargs) if kwargs else rule(self.tape, *args)
            if result is not NotImplemented:
                return result
        return func(*args, **kwargs) if kwargs else func(*args)


def rule_for(*functions: Any) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        for function in functions:
            RULES[function] = rule
        return rule

    return register


def empty_of(shape: Sequence[int], like: Tensor) -> Tensor:
    with no_dispatch():
        return torch.empty(shape, dtype=like.dtype, device="meta")


def attention_output(query: Tensor, value: Tensor) -> Tensor:
    """What fused attention writes to, (batch, heads, queries, width) or of other shapes.

    Fused kernels store a position's heads side by side, so that joining them copies nothing.
    """
    shape = (*query.shape[:-1], value.shape[-1])
    if query.dim() != 4:
        return query.new_empty(shape)
    return query.new_empty((shape[0], shape[2], shape[1], shape[3])).transpose(1, 2)


def is_plain(*tensors: Tensor | None) -> bool:
    """Whether all are ordinary contiguous meta tensors, the case the rules answer."""
    return all(
        t is None or (t.is_meta and t.is_contiguous() and type(t) in ORDINARY) for t in tensors
    )


ORDINARY = (Tensor, torch.nn.Parameter)


def same_layout(x: Tensor) -> Tensor:
    """An empty tensor of the same shape and strides (dense inputs only, see `is_dense`)."""
    with no_dispatch():
        return torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device="meta")


def is_dense(x: Any) -> bool:
    """Whether x is a meta tensor that fills its memory exactly, in whatever order of dimensions."""
    if not (type(x) in ORDINARY and x.is_meta):
        return False
    if x.is_contiguous():
        return True
    expected = 1
    for step, size in sorted(zip(x.stride(), x.shape, strict=True)):
        if size != 1:
            if step != expected:
                return False
            expected *= size
    return True


def is_meta(x: Any) -> bool:
    return type(x) in ORDINARY and x.is_meta
