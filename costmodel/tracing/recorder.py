"""Records every ATen operator that runs, by a dispatch mode: complete, for any Python code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import torch
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from costmodel.tracing.device_kernels import Attention
from costmodel.tracing.tape import Tape

ATTENTION = "aten::scaled_dot_product_attention"

FREE = frozenset(
    {
        "aten::_unsafe_view",
        "aten::as_strided",
        "aten::detach",
        "aten::empty",
        "aten::empty_like",
        "aten::empty_strided",
        "aten::new_empty",
        "aten::new_empty_strided",
        "aten::lift_fresh",
        "aten::lift_fresh_copy",
        "aten::is_same_size",
        "aten::unsafe_chunk",
        "aten::unsafe_split",
        "aten::unsafe_split_with_sizes",
        "aten::sym_size",
        "prim::device",
    }
)
"""Operators that move nothing and compute nothing: views, and memory that nobody filled."""


class _Schema(NamedTuple):
    target: str
    names: tuple[str, ...]
    is_view: bool
    written: frozenset[str]
    """Names of the arguments it writes into."""


@cache
def _schema_of(func: OpOverload) -> _Schema:
    schema = func._schema
    target = schema.name
    aliases = [a.alias_info for a in schema.arguments if a.alias_info is not None]
    written = {a.name for a in schema.arguments if a.alias_info and a.alias_info.is_write}
    if written and target.endswith("_") and not target.endswith("__"):
        target = target[:-1]
    is_view = (bool(aliases) and not written) or target in FREE
    names = tuple(a.name for a in schema.arguments)
    return _Schema(target, names, is_view, frozenset(written))


def is_fresh(func: OpOverload) -> bool:
    """Whether an operator gives memory of its own, neither a view nor an input it wrote into."""
    schema = _schema_of(func)
    return not (schema.is_view or schema.written)


class Resting:
    """What can look away: while `depth` is above zero nothing is recorded.

    So it is while the parts run of a composite (linear, attention) that is recorded as one.
    """

    depth = 0

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Record nothing while this lasts."""
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1


class Recorder(Resting, TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Puts every operator that reaches the dispatcher on the tape."""

    def __init__(self, tape: Tape) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tape = tape

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = self.tape.bounds.answer(func, args, kwargs)
        if result is NotImplemented:
            result = func(*args, **kwargs)
        if self.depth == 0 and not torch._C._dispatch_tls_is_dispatch_key_excluded(
            torch._C.DispatchKey.Python
        ):
            self.record(func, args, kwargs, result)
        return result

    def record(
        self, func: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> None:
        """Put one operator on the tape.

        One that returns nothing makes what it writes into; without that, it is left out.
        """
        schema = _schema_of(func)
        inputs: list[torch.Tensor | None] = []
        attrs: dict[str, Any] = {}
        for name, value in (*zip(schema.names, args, strict=False), *kwargs.items()):
            if isinstance(value, torch.Tensor):
                inputs.append(value)
            elif value is None:
                inputs.append(None)
            elif isinstance(value, (list, tuple)) and any(
                isinstance(v, torch.Tensor) for v in value
            ):
                inputs.extend(value)
            elif isinstance(value, torch.ScriptObject):
                layer = self.tape.packed.get(self.tape.paths.current)
                if layer is not None:
                    inputs += (layer.weight, layer.bias)
                    attrs |= layer.attrs
            else:
                attrs[name] = value
        outputs = tensors_in(result)
        if result is None and schema.written:
            named = (*zip(schema.names, args, strict=False), *kwargs.items())
            outputs = [t for name, v in named if name in schema.written for t in tensors_in(v)]
        if outputs:
            self.tape.emit(schema.target, inputs, outputs, attrs, schema.is_view)

    def attention(self, call: Attention, result: torch.Tensor) -> None:
        """Put an attention on the tape as one operator."""
        self.tape.emit(ATTENTION, call[:4], (result,), call.attrs)


def tensors_in(value: Any) -> list[torch.Tensor]:
    """All tensors in a result, however nested in lists, tuples, dicts and dataclasses."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, (list, tuple, set)):
        return [t for v in value for t in tensors_in(v)]
    if isinstance(value, dict):
        return [t for v in value.values() for t in tensors_in(v)]
    if hasattr(value, "__dataclass_fields__"):
        return [t for name in value.__dataclass_fields__ for t in tensors_in(getattr(value, name))]
    return []
