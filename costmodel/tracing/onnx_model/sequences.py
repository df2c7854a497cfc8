"""Sequences of tensors: lists that exporters write for loops that append."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from costmodel.tracing.onnx_model.shapes import SHAPES, Call, Result
from costmodel.tracing.onnx_model.values import (
    NodeError,
    Value,
    ValueList,
    as_shape,
    constant,
)

if TYPE_CHECKING:
    from costmodel.tracing.onnx_model.step import Step
    from costmodel.tracing.onnx_model.walking import Walk

Anything = Value | ValueList | None
Handler = Callable[..., Sequence[Value | ValueList]]

MAX_ITEMS = 10_000


def _list(inputs: Sequence[Anything], index: int = 0) -> ValueList:
    found = inputs[index] if index < len(inputs) else None
    if not isinstance(found, ValueList):
        raise NodeError(f"input {index}: expected a sequence")
    return found


def _tensor(inputs: Sequence[Anything], index: int) -> Value:
    found = inputs[index] if index < len(inputs) else None
    if not isinstance(found, Value):
        raise NodeError(f"input {index}: expected a tensor")
    return found


def _position(inputs: Sequence[Anything], index: int, count: int) -> int:
    value = _tensor(inputs, index)
    number = value.scalar()
    if number is None:
        raise NodeError("the position depends on data and cannot be known")
    position = int(number) + (count if number < 0 else 0)
    if not 0 <= position <= count:
        raise NodeError(f"position {int(number)} of {count} items")
    return position


def _empty(walk: Walk, attrs: Any, inputs: Any, *rest: Any) -> list[Value | ValueList]:
    return [ValueList()]


def _construct(walk: Walk, attrs: Any, inputs: Any, *rest: Any) -> list[Value | ValueList]:
    return [ValueList([_tensor(inputs, i) for i in range(len(inputs))])]


def _insert(walk: Walk, attrs: Any, inputs: Any, *rest: Any) -> list[Value | ValueList]:
    items = list(_list(inputs).items)
    if len(items) >= MAX_ITEMS:
        raise NodeError(f"a sequence of more than {MAX_ITEMS:,} items")
    at = _position(inputs, 2, len(items)) if len(inputs) > 2 and inputs[2] else len(items)
    items.insert(at, _tensor(inputs, 1))
    return [ValueList(items)]


def _erase(walk: Walk, attrs: Any, inputs: Any, *rest: Any) -> list[Value | ValueList]:
    items = list(_list(inputs).items)
    at = _position(inputs, 1, len(items) - 1) if len(inputs) > 1 and inputs[1] else -1
    del items[at]
    return [ValueList(items)]


def _at(walk: Walk, attrs: Any, inputs: Any, *rest: Any) -> list[Value | ValueList]:
    items = _list(inputs).items
    return [items[_position(inputs, 1, len(items))]]


def _length(walk: Walk, attrs: Any, inputs: Any, *rest: Any) -> list[Value | ValueList]:
    import numpy as np

    return [constant(np.array(len(_list(inputs).items), dtype=np.int64), "int64")]


def _emit(
    name: str, inputs: list[Value | None], result: Result, attrs: Any, steps: list[Step], label: str
) -> list[Value]:
    from costmodel.tracing.onnx_model.step import Step

    outputs = [Value(as_shape(shape), dtype) for shape, dtype in result]
    steps.append(Step(name, inputs, outputs, dict(attrs), "", label))
    return outputs


def _concat(
    walk: Walk, attrs: Any, inputs: Any, steps: list[Step], outputs: int, label: str
) -> list[Value | ValueList]:
    items: list[Value | None] = list(_list(inputs).items)
    if attrs.get("new_axis"):
        first = items[0]
        assert first is not None
        axis = int(attrs["axis"])
        axis = axis + first.rank + 1 if axis < 0 else axis
        shape = [*first.shape[:axis], len(items), *first.shape[axis:]]
        return list(_emit("Stack", items, [(shape, first.dtype)], attrs, steps, label))
    result = SHAPES["Concat"](Call(items, attrs, 1, 0))
    return list(_emit("Concat", items, result, attrs, steps, label))


def _split(
    walk: Walk, attrs: Any, inputs: Any, steps: list[Step], outputs: int, label: str
) -> list[Value | ValueList]:
    x = _tensor(inputs, 0)
    axis = int(attrs.get("axis", 0)) % max(x.rank, 1)
    size = int(x.shape[axis])
    each, sizes = 1, inputs[1] if len(inputs) > 1 else None
    parts: list[int]
    if isinstance(sizes, Value):
        if sizes.known is None:
            raise NodeError("split sizes depend on data and cannot be known")
        if sizes.rank:
            parts = [int(s) for s in sizes.known]
        else:
            each = max(int(sizes.known), 1)
            if size // each > MAX_ITEMS:
                raise NodeError(f"a sequence of more than {MAX_ITEMS:,} items")
            parts = [min(each, size - i) for i in range(0, size, each)]
    else:
        if size > MAX_ITEMS:
            raise NodeError(f"a sequence of more than {MAX_ITEMS:,} items")
        parts = [1] * size
    if sum(parts) != size:
        raise NodeError(f"size {size} cannot be split into {parts}")
    squeeze = not isinstance(sizes, Value) and not attrs.get("keepdims", 1)
    shapes: Result = [
        (
            [*x.shape[:axis], *([] if squeeze else [part]), *x.shape[axis + 1 :]],
            x.dtype,
        )
        for part in parts
    ]
    made = _emit("Split", [x], shapes, {"axis": axis}, steps, label)
    return [ValueList(made)]


SEQUENCES: dict[str, Handler] = {
    "SequenceEmpty": _empty,
    "SequenceConstruct": _construct,
    "SequenceInsert": _insert,
    "SequenceErase": _erase,
    "SequenceAt": _at,
    "SequenceLength": _length,
    "ConcatFromSequence": _concat,
    "SplitToSequence": _split,
}
"""Handler by operator name: (walk, attrs, inputs, steps, outputs, label) to outputs."""
