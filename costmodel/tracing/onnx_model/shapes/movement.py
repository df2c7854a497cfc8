"""Shapes of operators that move data, and of those whose size depends on data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from costmodel.graph import Dim
from costmodel.tracing.onnx_model.folding import axes_of, normal_axes, slice_arguments
from costmodel.tracing.onnx_model.shapes.call import Call, Result, rule
from costmodel.tracing.onnx_model.shapes.sizes import (
    broadcast,
    ceil_divide,
    floor_divide,
    is_one,
    reduced,
)
from costmodel.tracing.onnx_model.values import (
    NodeError,
    Value,
    as_dim,
    dtype_of,
    is_symbolic,
    product,
)


@rule("Shape")
def _shape(call: Call) -> Result:
    return [([len(shape_slice(call))], "int64")]


def shape_slice(call: Call) -> tuple[Dim, ...]:
    """The sizes a Shape node returns."""
    shape = call.need(0).shape
    return shape[call.attrs.get("start", 0) : call.attrs.get("end", len(shape))]


@rule("Size")
def _size(call: Call) -> Result:
    return [([], "int64")]


@rule("Reshape")
def _reshape(call: Call) -> Result:
    x = call.need(0)
    wanted = call.sizes(1, "the new shape")
    if not call.attrs.get("allowzero"):
        if any(s == 0 and i >= x.rank for i, s in enumerate(wanted)):
            raise NodeError(f"new shape {wanted}: 0 copies a size that {list(x.shape)} lacks")
        wanted = [x.shape[i] if s == 0 else s for i, s in enumerate(wanted)]
    return [(fill_in(x, wanted), x.dtype)]


def fill_in(x: Value, wanted: Sequence[Any]) -> list[Dim]:
    """A new shape for x with its one -1 worked out.

    Raises:
        NodeError: if the element counts differ.
    """
    free = [i for i, s in enumerate(wanted) if not is_symbolic(s) and s == -1]
    rest = product([as_dim(s) for i, s in enumerate(wanted) if i not in free])
    total = x.numel
    message = f"{list(x.shape)} cannot be reshaped to {list(wanted)}"
    if len(free) > 1:
        raise NodeError(message)
    result = list(wanted)
    if is_symbolic(total) or is_symbolic(rest):
        if free:
            import sympy

            result[free[0]] = sympy.cancel(sympy.sympify(total) / rest)
        return result
    if free:
        if rest == 0 or total % rest:
            raise NodeError(message)
        result[free[0]] = total // rest
    elif rest != total:
        raise NodeError(message)
    return result


@rule("Flatten")
def _flatten(call: Call) -> Result:
    x = call.need(0)
    axis = int(call.attrs.get("axis", 1))
    if not -x.rank <= axis <= x.rank:
        raise NodeError(f"axis {axis} of a tensor of rank {x.rank}")
    axis = axis + x.rank if axis < 0 else axis
    return [([product(x.shape[:axis]), product(x.shape[axis:])], x.dtype)]


@rule("Transpose")
def _transpose(call: Call) -> Result:
    x = call.need(0)
    order = call.attrs.get("perm", tuple(reversed(range(x.rank))))
    if sorted(order) != list(range(x.rank)):
        raise NodeError(f"perm {list(order)} is not an order of {x.rank} dimensions")
    return [([x.shape[i] for i in order], x.dtype)]


@rule("Squeeze")
def _squeeze(call: Call) -> Result:
    x = call.need(0)
    axes = axes_of(call.attrs, call.known(1))
    if axes is None:
        return [([s for s in x.shape if not is_one(s)], x.dtype)]
    chosen = set(normal_axes(axes, x.rank))
    if any(not is_one(x.shape[a]) and not is_symbolic(x.shape[a]) for a in chosen):
        raise NodeError(f"axes {sorted(chosen)} of {list(x.shape)} are not all 1")
    return [(reduced(x.shape, chosen, keep=False), x.dtype)]


@rule("Unsqueeze")
def _unsqueeze(call: Call) -> Result:
    x = call.need(0)
    axes = axes_of(call.attrs, call.known(1))
    if axes is None:
        raise NodeError("the axes depend on data and cannot be known")
    rank = x.rank + len(axes)
    chosen = set(normal_axes(axes, rank))
    if len(chosen) != len(axes):
        raise NodeError(f"axes {axes} repeat")
    sizes = iter(x.shape)
    return [([1 if i in chosen else next(sizes) for i in range(rank)], x.dtype)]


@rule("Expand")
def _expand(call: Call) -> Result:
    x = call.need(0)
    return [(broadcast(x.shape, call.sizes(1, "the new shape")), x.dtype)]


@rule("Tile")
def _tile(call: Call) -> Result:
    x, times = call.need(0), call.sizes(1, "repeats")
    if len(times) != x.rank:
        raise NodeError(f"{len(times)} repeats for {x.rank} dimensions")
    return [([s * t for s, t in zip(x.shape, times, strict=True)], x.dtype)]


@rule("Concat", "QLinearConcat")
def _concat(call: Call) -> Result:
    values = [v for v in call.inputs if v is not None]
    if not values:
        raise NodeError("nothing to concatenate")
    (axis,) = normal_axes([int(call.attrs["axis"])], values[0].rank)
    shape = list(values[0].shape)
    for other in values[1:]:
        if other.rank != len(shape):
            raise NodeError("ranks of the inputs differ")
        for i, size in enumerate(other.shape):
            if i == axis:
                shape[i] = shape[i] + size
            elif is_symbolic(shape[i]):
                shape[i] = size
            elif size != shape[i] and not is_symbolic(size):
                listed = " and ".join(str(list(v.shape)) for v in values[:4])
                raise NodeError(f"shapes {listed} do not concatenate along axis {axis}")
    return [(shape, values[0].dtype)]


@rule("Split")
def _split(call: Call) -> Result:
    x = call.need(0)
    (axis,) = normal_axes([int(call.attrs.get("axis", 0))], x.rank)
    if "split" in call.attrs:
        parts = list(call.attrs["split"])
    elif call.optional(1) is not None:
        parts = call.sizes(1, "split sizes")
    else:
        count = int(call.attrs.get("num_outputs", call.outputs))
        each = ceil_divide(x.shape[axis], count)
        parts = [each] * (count - 1) + [x.shape[axis] - each * (count - 1)]
    total = sum(parts[1:], parts[0]) if parts else 0
    mixed = is_symbolic(total) or is_symbolic(x.shape[axis])
    if len(parts) < call.outputs or (not mixed and total != x.shape[axis]):
        raise NodeError(f"size {x.shape[axis]} cannot be split into {parts}")
    return [([*x.shape[:axis], p, *x.shape[axis + 1 :]], x.dtype) for p in parts[: call.outputs]]


@rule("Slice")
def _slice(call: Call) -> Result:
    x = call.need(0)
    if "starts" in call.attrs:
        raise NodeError("slices with attributes ended with opset 10")
    starts, ends, axes, steps = slice_arguments(
        [None if v is None else v.known for v in call.inputs], x.rank
    )
    if starts is None or ends is None or axes is None or len(starts) != len(ends):
        raise NodeError("the bounds depend on data and cannot be known")
    shape = list(x.shape)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        shape[axis] = _sliced(shape[axis], start, end, step)
    return [(shape, x.dtype)]


_FAR = 2**31 - 1


def _sliced(size: Dim, start: Any, end: Any, step: int) -> Dim:
    if step == 0:
        raise NodeError("a step of 0")
    if not any(is_symbolic(v) for v in (size, start, end)):
        return len(range(*slice(int(start), int(end), step).indices(int(size))))
    if step < 0:
        if not is_symbolic(start) and start == -1 and not is_symbolic(end) and end < -_FAR:
            return ceil_divide(size, -step)
        raise NodeError("a backward slice of a symbolic size")
    first = start if is_symbolic(start) or start >= 0 else size + start
    last = end
    if not is_symbolic(end):
        last = size if end >= _FAR else (end if end >= 0 else size + end)
    if not is_symbolic(first) and not is_symbolic(size):
        first = min(first, size)
    if is_symbolic(size) and not is_symbolic(last):
        import sympy

        last = sympy.Min(size, last)
    return ceil_divide(last - first, step)


@rule("Gather")
def _gather(call: Call) -> Result:
    x, index = call.need(0), call.need(1)
    (axis,) = normal_axes([int(call.attrs.get("axis", 0))], x.rank)
    return [([*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]], x.dtype)]


@rule("GatherElements")
def _gather_elements(call: Call) -> Result:
    return [(call.need(1).shape, call.need(0).dtype)]


@rule("GatherND")
def _gather_nd(call: Call) -> Result:
    x, index = call.need(0), call.need(1)
    batch = int(call.attrs.get("batch_dims", 0))
    depth = as_dim(index.shape[-1])
    return [([*index.shape[:-1], *x.shape[batch + depth :]], x.dtype)]


@rule("Pad")
def _pad(call: Call) -> Result:
    x = call.need(0)
    pads = list(call.attrs["pads"]) if "pads" in call.attrs else call.sizes(1, "the padding")
    axes = list(range(x.rank))
    if call.optional(3) is not None:
        axes = normal_axes(call.sizes(3, "the axes"), x.rank)
    if len(pads) != 2 * len(axes):
        raise NodeError(f"{len(pads)} padding amounts for {len(axes)} dimensions")
    shape = list(x.shape)
    for axis, before, after in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        shape[axis] = shape[axis] + before + after
    return [(shape, x.dtype)]


@rule("ConstantOfShape")
def _constant_of_shape(call: Call) -> Result:
    value = call.attrs.get("value")
    dtype = "float32" if value is None else str(value.dtype)
    return [(call.sizes(0, "the shape"), dtype)]


@rule("Range")
def _range(call: Call) -> Result:
    if any(call.known(i) is None for i in range(3)):
        raise NodeError("the bounds depend on data and cannot be known")
    start, limit, step = (call.known(i).reshape(-1)[0] for i in range(3))
    if not is_symbolic(step) and step == 0:
        raise NodeError("a step of 0")
    if any(is_symbolic(v) for v in (start, limit, step)):
        return [([ceil_divide(limit - start, step)], call.need(0).dtype)]
    import math

    return [([max(0, math.ceil((limit - start) / step))], call.need(0).dtype)]


@rule("OneHot")
def _one_hot(call: Call) -> Result:
    index = call.need(0)
    axis = int(call.attrs.get("axis", -1))
    (depth,) = call.sizes(1, "the depth")
    (axis,) = normal_axes([axis], index.rank + 1)
    shape = [*index.shape[:axis], depth, *index.shape[axis:]]
    return [(shape, call.need(2).dtype)]


def _blocks(call: Call) -> tuple[Value, int]:
    x, block = call.need(0), int(call.attrs["blocksize"])
    if x.rank != 4 or block < 1:
        raise NodeError(f"expected 4 dimensions, got {list(x.shape)} with blocks of {block}")
    return x, block


@rule("DepthToSpace")
def _depth_to_space(call: Call) -> Result:
    x, block = _blocks(call)
    n, c, h, w = x.shape
    return [([n, floor_divide(c, block * block), h * block, w * block], x.dtype)]


@rule("SpaceToDepth")
def _space_to_depth(call: Call) -> Result:
    x, block = _blocks(call)
    n, c, h, w = x.shape
    return [([n, c * block * block, floor_divide(h, block), floor_divide(w, block)], x.dtype)]


@rule("Resize", "Upsample")
def _resize(call: Call) -> Result:
    x = call.need(0)
    axes = [int(a) for a in call.attrs.get("axes", range(x.rank))]
    axes = normal_axes(axes, x.rank)
    shape = list(x.shape)
    scales, sizes = call.known(2), call.known(3)
    if sizes is not None and sizes.size:
        if sizes.size != len(axes):
            raise NodeError(f"{sizes.size} sizes for {len(axes)} dimensions")
        for axis, size in zip(axes, sizes.ravel(), strict=True):
            shape[axis] = as_dim(size)
    elif scales is not None and scales.size:
        if scales.size != len(axes):
            raise NodeError(f"{scales.size} scales for {len(axes)} dimensions")
        for axis, scale in zip(axes, scales.ravel().tolist(), strict=True):
            shape[axis] = _scaled(shape[axis], scale)
    else:
        raise NodeError("neither scales nor sizes are known")
    return [(shape, x.dtype)]


def _scaled(size: Dim, scale: float) -> Dim:
    import math
    from fractions import Fraction

    if not math.isfinite(scale) or scale <= 0:
        raise NodeError(f"a scale of {scale}")
    if is_symbolic(size):
        ratio = Fraction(scale).limit_denominator(2**20)
        return floor_divide(size * ratio.numerator, ratio.denominator)
    return math.floor(size * scale)


@rule("GridSample")
def _grid_sample(call: Call) -> Result:
    x, grid = call.need(0), call.need(1)
    return [([*x.shape[:2], *grid.shape[1:-1]], x.dtype)]


@rule("RoiAlign")
def _roi_align(call: Call) -> Result:
    x, rois = call.need(0), call.need(1)
    height = int(call.attrs.get("output_height", 1))
    width = int(call.attrs.get("output_width", 1))
    return [([rois.shape[0], x.shape[1], height, width], x.dtype)]


@rule("RandomNormalLike", "RandomUniformLike")
def _random_like(call: Call) -> Result:
    x = call.need(0)
    return [(x.shape, dtype_of(call.attrs["dtype"]) if "dtype" in call.attrs else x.dtype)]


@rule("RandomNormal", "RandomUniform")
def _random(call: Call) -> Result:
    return [(call.attrs["shape"], dtype_of(call.attrs.get("dtype", 1)))]


@rule("NonZero")
def _non_zero(call: Call) -> Result:
    x = call.need(0)
    return [([x.rank, x.numel], "int64")]


@rule("NonMaxSuppression")
def _non_max_suppression(call: Call) -> Result:
    boxes, scores = call.need(0), call.need(1)
    per_class = boxes.shape[1]
    most = call.known(2)
    if most is not None and not is_symbolic(per_class):
        per_class = min(per_class, max(int(most.reshape(-1)[0]), 0))
    return [([scores.shape[0] * scores.shape[1] * per_class, 3], "int64")]


@rule("Compress")
def _compress(call: Call) -> Result:
    x = call.need(0)
    axis = call.attrs.get("axis")
    if axis is None:
        return [([x.numel], x.dtype)]
    normal_axes([int(axis)], x.rank)
    return [(x.shape, x.dtype)]


@rule("Unique")
def _unique(call: Call) -> Result:
    x = call.need(0)
    count = x.numel if "axis" not in call.attrs else x.shape[int(call.attrs["axis"])]
    shape = [x.numel] if "axis" not in call.attrs else x.shape
    return [(shape, x.dtype), *[([count], "int64")] * 3][: call.outputs]


DATA_DEPENDENT = frozenset({"NonZero", "NonMaxSuppression", "Compress", "Unique"})
"""Operators whose output size depends on data: charged at its largest, which the graph says."""
