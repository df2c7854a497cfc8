"""Arithmetic on known contents: what an exporter wrote for sizes is worked out, not charged.

Each rule takes the inputs' contents and the node's attributes and returns the outputs' contents.
Sizes may be expressions; then arrays hold objects and the same rules work on them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from costmodel.tracing.onnx_model.values import MAX_KNOWN, Array, check_length, is_symbolic

Rule = Callable[[list[Array | None], Mapping[str, Any]], Any]

FOLDED: dict[str, Rule] = {}
"""Rule by ONNX operator name."""


def fold(name: str, inputs: list[Array | None], attrs: Mapping[str, Any]) -> list[Array] | None:
    """Contents of the outputs, or None if they cannot be known or are large."""
    rule = FOLDED.get(name)
    if rule is None or not inputs or inputs[0] is None:
        return None
    if sum(a.size for a in inputs if a is not None) > 4 * MAX_KNOWN:
        return None
    if name not in _MOVES and any(a is not None and a.dtype == object for a in inputs):
        inputs = [None if a is None else a.astype(object) for a in inputs]
    with np.errstate(all="ignore"):
        result = rule(inputs, attrs)
    if result is None:
        return None
    arrays = [_tidy(np.asarray(a)) for a in (result if isinstance(result, list) else [result])]
    return None if any(a.size > MAX_KNOWN for a in arrays) else arrays


def _tidy(array: Array) -> Array:
    """Back to plain integers where no expression is left."""
    if array.dtype != object:
        return array
    for value in array.ravel():
        check_length(value)
    if not any(is_symbolic(v) for v in array.ravel()):
        values = array.ravel().tolist()
        whole = all(int(v) == v for v in values)
        return np.array([int(v) if whole else float(v) for v in values]).reshape(array.shape)
    return array


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        for name in names:
            FOLDED[name] = rule
        return rule

    return register


def _on_all(function: Callable[..., Any]) -> Rule:
    """A rule that needs every input."""

    def rule(inputs: list[Array | None], attrs: Mapping[str, Any]) -> Any:
        if any(a is None for a in inputs):
            return None
        if len(inputs) > 1 and np.broadcast(*inputs).size > MAX_KNOWN:  # type: ignore[arg-type]
            return None
        return function(*inputs)

    return rule


def _divide(a: Array, b: Array) -> Any:
    """Integers are truncated towards zero; expressions (sizes, so positive) are floored."""
    if a.dtype == object:
        import sympy

        return np.frompyfunc(lambda x, y: sympy.floor(sympy.cancel(sympy.sympify(x) / y)), 2, 1)(
            a, b
        )
    if a.dtype.kind == "f" or b.dtype.kind == "f":
        return a / b
    if (b == 0).any():
        return None
    return np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))


def _remainder(a: Array, b: Array) -> Any:
    if a.dtype == object:
        import sympy

        return np.frompyfunc(sympy.Mod, 2, 1)(a, b)
    return None if (b == 0).any() else np.mod(a, b)


def _plain(function: Callable[..., Any]) -> Rule:
    """A rule for numbers only."""

    def rule(*arrays: Array) -> Any:
        return None if any(a.dtype == object for a in arrays) else function(*arrays)

    return _on_all(rule)


def _extreme(numeric: Any, symbolic: str) -> Rule:
    def rule(*arrays: Array) -> Any:
        result = arrays[0]
        for other in arrays[1:]:
            if result.dtype == object:
                import sympy

                result = np.frompyfunc(getattr(sympy, symbolic), 2, 1)(result, other)
            else:
                result = numeric(result, other)
        return result

    return _on_all(rule)


FOLDED.update({
    "Add": _on_all(np.add),
    "Sub": _on_all(np.subtract),
    "Mul": _on_all(np.multiply),
    "Div": _on_all(_divide),
    "Neg": _on_all(np.negative),
    "Mod": _on_all(_remainder),
    "Identity": _on_all(lambda a: a),
    "Pow": _plain(lambda a, b: np.power(a.astype(np.float64), b).astype(a.dtype)),
    "Sqrt": _plain(np.sqrt),
    "Reciprocal": _plain(lambda a: 1 / a),
    "Exp": _plain(np.exp),
    "Log": _plain(np.log),
    "Abs": _plain(np.abs),
    "Sign": _plain(np.sign),
    "Floor": _plain(np.floor),
    "Ceil": _plain(np.ceil),
    "Round": _plain(np.round),
    "Equal": _plain(np.equal),
    "Less": _plain(np.less),
    "Greater": _plain(np.greater),
    "LessOrEqual": _plain(np.less_equal),
    "GreaterOrEqual": _plain(np.greater_equal),
    "Not": _plain(np.logical_not),
    "And": _plain(np.logical_and),
    "Or": _plain(np.logical_or),
    "Xor": _plain(np.logical_xor),
    "Where": _on_all(lambda c, a, b: None if c.dtype == object else np.where(c, a, b)),
    "Max": _extreme(np.maximum, "Max"),
    "Min": _extreme(np.minimum, "Min"),
    "Sum": _on_all(lambda *arrays: sum(arrays[1:], arrays[0])),
})  # fmt: skip

_MOVES = frozenset({"Gather", "Slice", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Split"})
"""Rules that only rearrange their first input: indices stay plain integers."""


@_rule("Cast")
def _cast(inputs: list[Array | None], attrs: Mapping[str, Any]) -> Any:
    from costmodel.tracing.onnx_model.values import dtype_of, followed

    x = inputs[0]
    assert x is not None
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        return None
    return followed(x, dtype_of(attrs["to"]))


def axes_of(attrs: Mapping[str, Any], given: Array | None) -> list[int] | None:
    """Axes from the attribute (older operator sets) or from an input; None if absent."""
    if "axes" in attrs:
        return [int(a) for a in attrs["axes"]]
    return None if given is None else [int(a) for a in given.ravel()]


def _second(inputs: Sequence[Array | None]) -> Array | None:
    return inputs[1] if len(inputs) > 1 else None


def normal_axes(axes: Sequence[int], rank: int) -> list[int]:
    """Axes counted from the front.

    Raises:
        IndexError: if one lies outside the rank.
    """
    for axis in axes:
        if not -rank <= axis < rank:
            raise IndexError(f"axis {axis} of a tensor of rank {rank}")
    return [axis % rank for axis in axes]


@_rule("Squeeze")
def _squeeze(inputs: list[Array | None], attrs: Mapping[str, Any]) -> Any:
    x, axes = inputs[0], axes_of(attrs, _second(inputs))
    assert x is not None
    return np.squeeze(x) if axes is None else np.squeeze(x, tuple(normal_axes(axes, x.ndim)))


@_rule("Unsqueeze")
def _unsqueeze(inputs: list[Array | None], attrs: Mapping[str, Any]) -> Any:
    x, axes = inputs[0], axes_of(attrs, _second(inputs))
    if axes is None or x is None:
        return None
    return np.expand_dims(x, tuple(normal_axes(axes, x.ndim + len(axes))))


@_rule("Reshape")
def _reshape(inputs: list[Array | None], attrs: Mapping[str, Any]) -> Any:
    x, shape = inputs[0], _second(inputs)
    if shape is None or shape.dtype == object or x is None:
        return None
    return x.reshape([x.shape[i] if s == 0 else int(s) for i, s in enumerate(shape.ravel())])


@_rule("Transpose")
def _transpose(inputs: list[Array | None], attrs: Mapping[str, Any]) -> Any:
    assert inputs[0] is not None
    return np.transpose(inputs[0], attrs.get("perm"))


@_rule("Concat")
def _concat(inputs: list[Array | None], attrs: Mapping[str, Any]) -> Any:
    if any(a is None for a in inputs):
        return None
    return np.concatenate([a for a in inputs if a is not None], axis=attrs["axis"])


@_rule("Gather")
def _gather(inputs: list[Array | None], attrs: Mapping[str, Any]) -> Any:
    x, index = inputs[0], _second(inputs)
    if index is None or index.dtype == object or x is None:
        return None
    axis = attrs.get("axis", 0)
    if index.size * x.size > MAX_KNOWN**2:
        return None
    return np.take(x, index.astype(np.int64), axis=axis)


@_rule("Slice")
def _slice(inputs: list[Array | None], attrs: Mapping[str, Any]) -> Any:
    x = inputs[0]
    if x is None or any(a is None or a.dtype == object for a in inputs[1:3]):
        return None
    starts, ends, axes, steps = slice_arguments(inputs, x.ndim)
    if axes is None or steps is None or starts is None or ends is None:
        return None
    index = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        stop = None if step < 0 and end < -x.shape[axis] else end
        index[axis] = slice(start, stop, step)
    return x[tuple(index)]


def slice_arguments(inputs: Sequence[Array | None], rank: int) -> tuple[Any, Any, Any, Any]:
    """(starts, ends, axes, steps) of a Slice node, each None where it is not known."""
    given = [*inputs[1:5], None, None, None, None]
    present = len(inputs)
    starts = None if given[0] is None else given[0].ravel().tolist()
    ends = None if given[1] is None else given[1].ravel().tolist()
    count = len(starts or ends or ())
    axes: Any = list(range(count))
    if present > 3 and given[2] is not None:
        axes = normal_axes([int(a) for a in given[2].ravel()], rank)
    steps: Any = [1] * count
    if present > 4 and given[3] is not None:
        steps = [int(s) for s in given[3].ravel()]
    return starts, ends, axes, steps


@_rule("Split")
def _split(inputs: list[Array | None], attrs: Mapping[str, Any]) -> Any:
    x, sizes = inputs[0], attrs.get("split", _second(inputs))
    if x is None or sizes is None:
        return None
    bounds = np.cumsum([int(s) for s in sizes])[:-1]
    return list(np.split(x, bounds, axis=attrs.get("axis", 0)))


@_rule("Range")
def _range(inputs: list[Array | None], attrs: Mapping[str, Any]) -> Any:
    if any(a is None or a.dtype == object for a in inputs):
        return None
    start, limit, step = (a.reshape(()).item() for a in inputs if a is not None)
    if step == 0 or not 0 <= (limit - start) / step <= MAX_KNOWN:
        return None
    return np.arange(start, limit, step)


@_rule("ConstantOfShape")
def _constant_of_shape(inputs: list[Array | None], attrs: Mapping[str, Any]) -> Any:
    shape = inputs[0]
    assert shape is not None
    if shape.dtype == object or len(shape) > 8 or not _small(shape):
        return None
    value = attrs.get("value")
    fill = 0.0 if value is None else np.asarray(value).reshape(-1)[0]
    return np.full([int(s) for s in shape], fill)


def _small(shape: Array) -> bool:
    sizes = [int(s) for s in shape]
    total = 1
    for size in sizes:
        total *= size
    return all(s >= 0 for s in sizes) and total <= MAX_KNOWN


@_rule("Expand")
def _expand(inputs: list[Array | None], attrs: Mapping[str, Any]) -> Any:
    x, shape = inputs[0], _second(inputs)
    if shape is None or shape.dtype == object or x is None or not _small(shape):
        return None
    target = np.broadcast_shapes(x.shape, tuple(int(s) for s in shape))
    return None if not _small(np.array(target)) else np.broadcast_to(x, target)


@_rule("Tile")
def _tile(inputs: list[Array | None], attrs: Mapping[str, Any]) -> Any:
    x, times = inputs[0], _second(inputs)
    if times is None or times.dtype == object or x is None:
        return None
    if any(t < 0 for t in times) or int(np.prod(times.astype(float))) * x.size > MAX_KNOWN:
        return None
    return np.tile(x, times.astype(np.int64))


def _reduction(numeric: Callable[..., Any], on_objects: bool) -> Rule:
    def rule(inputs: list[Array | None], attrs: Mapping[str, Any]) -> Any:
        x, axes = inputs[0], axes_of(attrs, _second(inputs))
        assert x is not None
        if (x.dtype == object and not on_objects) or x.size == 0:
            return None
        if axes is None and attrs.get("noop_with_empty_axes"):
            return x
        chosen = None if not axes else tuple(normal_axes(axes, x.ndim))
        return numeric(x, axis=chosen, keepdims=bool(attrs.get("keepdims", 1)))

    return rule


for _name, _function, _objects in (
    ("ReduceProd", np.prod, True), ("ReduceSum", np.sum, True), ("ReduceMax", np.max, False),
    ("ReduceMin", np.min, False), ("ReduceMean", np.mean, False),
):  # fmt: skip
    FOLDED[_name] = _reduction(_function, _objects)


@_rule("Trilu")
def _trilu(inputs: list[Array | None], attrs: Mapping[str, Any]) -> Any:
    x, k = inputs[0], _second(inputs)
    assert x is not None
    if x.dtype == object or (len(inputs) > 1 and k is None):
        return None
    offset = 0 if k is None else int(k.reshape(()))
    return np.triu(x, offset) if attrs.get("upper", 1) else np.tril(x, offset)
