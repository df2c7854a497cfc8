"""Rules for what computes nothing: views run in the framework's C++, tensors made on meta."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from costmodel.tracing.rules import (
    Rule,
    is_meta,
    no_dispatch,
    rule_for,
)
from costmodel.tracing.tape import Tape

# ----------------------------------------------------------------------- views


def _view(function: Any, name: str) -> Rule:
    """Run the framework's own C++ view without a round trip through the dispatcher."""

    def rule(tape: Tape, input: Any, *args: Any, **kwargs: Any) -> Any:
        if not is_meta(input):
            return NotImplemented
        with no_dispatch():
            result = function(input, *args, **kwargs)
        if result is input:
            return result
        results = (result,) if isinstance(result, Tensor) else tuple(result)
        storage = input.untyped_storage()._cdata
        if results[0].untyped_storage()._cdata == storage:
            tape.emit(f"aten::{name}", (input,), results, {}, True)
        else:
            tape.emit("aten::clone", (input,), results, {})
        return result

    return rule


for _name in (
    "view", "reshape", "permute", "transpose", "flatten", "unflatten", "unsqueeze", "squeeze",
    "expand", "chunk", "split", "unbind", "narrow", "contiguous", "expand_as", "view_as",
    "movedim", "swapaxes", "select",
):  # fmt: skip
    for _owner in (Tensor, torch):
        _function = getattr(_owner, _name, None)
        if _function is not None:
            rule_for(_function)(_view(_function, _name))


@rule_for(Tensor.__getitem__)
def _getitem(tape: Tape, input: Tensor, index: Any) -> Any:
    parts = index if isinstance(index, tuple) else (index,)
    if not is_meta(input) or not all(
        part is None or part is Ellipsis or type(part) in (int, slice) for part in parts
    ):
        return NotImplemented
    with no_dispatch():
        y = input[index]
    if y is not input:
        tape.emit("aten::slice", (input,), (y,), {}, True)
    return y


# ------------------------------------------------------------------- factories


def _on_meta(function: Any) -> Rule:
    """Tensors made without naming a device belong beside the model: on the meta device."""

    def rule(tape: Tape, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("device") is not None:
            return NotImplemented
        return function(*args, **{**kwargs, "device": "meta"})

    return rule


for _name in (
    "zeros", "ones", "full", "empty", "arange", "linspace", "eye", "rand", "randn", "randint",
    "tensor", "as_tensor", "tril_indices", "triu_indices",
):  # fmt: skip
    _function = getattr(torch, _name)
    rule_for(_function)(_on_meta(_function))
