"""Output shapes and dtypes of ONNX operators, for sizes that are numbers or expressions.

An operator without a rule here is asked of onnx's own shape inference, with what is known of its
inputs; if that cannot tell either, the shape the file declares is taken, and failing that the
walk stops at the node with one clear error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from costmodel.graph import Dim
from costmodel.tracing.onnx_model.folding import axes_of, normal_axes, slice_arguments
from costmodel.tracing.onnx_model.values import (
    NodeError,
    Value,
    as_dim,
    dtype_of,
    is_symbolic,
    product,
)

Result = list[tuple[Sequence[Any], str]]


class Call(NamedTuple):
    """A node with its inputs resolved."""

    inputs: Sequence[Value | None]
    attrs: Mapping[str, Any]
    outputs: int
    """How many outputs the node names."""
    opset: int

    def need(self, index: int) -> Value:
        """The input at an index, which must be there."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None:
            raise NodeError(f"input {index} is missing")
        return value

    def optional(self, index: int) -> Value | None:
        """The input at an index, or None."""
        return self.inputs[index] if index < len(self.inputs) else None

    def known(self, index: int) -> Any:
        """Contents of an input, or None."""
        value = self.optional(index)
        return None if value is None else value.known

    def sizes(self, index: int, what: str) -> list[Any]:
        """Contents of an input that holds sizes, as a list."""
        known = self.known(index)
        if known is None:
            raise NodeError(f"{what} (input {index}) depends on data and cannot be known")
        return [v if is_symbolic(v) else int(v) for v in known.ravel()]


Rule = Callable[[Call], Result]
SHAPES: dict[str, Rule] = {}


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        for name in names:
            SHAPES[name] = rule
        return rule

    return register


# ------------------------------------------------------------------ size algebra


def floor_divide(a: Dim, b: Dim) -> Dim:
    """a / b rounded down."""
    if is_symbolic(a) or is_symbolic(b):
        import sympy

        return sympy.floor(sympy.cancel(sympy.sympify(a) / b))
    return a // b


def ceil_divide(a: Dim, b: Dim) -> Dim:
    """a / b rounded up."""
    return -floor_divide(-a, b)


def broadcast(*shapes: Sequence[Dim]) -> list[Dim]:
    """The shape that all broadcast to.

    Raises:
        NodeError: if they do not.
    """
    result: list[Dim] = [1] * max((len(s) for s in shapes), default=0)
    for shape in shapes:
        for i, size in enumerate(reversed(shape), 1):
            have = result[-i]
            if size == have or _is_one(size):
                continue
            if _is_one(have) or (is_symbolic(have) and not is_symbolic(size)):
                result[-i] = size
            elif not is_symbolic(size) and not is_symbolic(have):
                listed = " and ".join(str(list(s)) for s in shapes)
                raise NodeError(f"shapes {listed} do not broadcast")
    return result


def _is_one(size: Dim) -> bool:
    return not is_symbolic(size) and size == 1


# ------------------------------------------------------------------ pointwise


@_rule(
    "Relu", "Sigmoid", "Tanh", "Erf", "Exp", "Log", "Sqrt", "Reciprocal", "Neg", "Abs", "Sign",
    "Floor", "Ceil", "Round", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh",
    "Asinh", "Acosh", "Atanh", "Softplus", "Softsign", "Elu", "Selu", "Celu", "LeakyRelu",
    "ThresholdedRelu", "HardSigmoid", "HardSwish", "Gelu", "Mish", "Swish", "Clip", "Softmax",
    "LogSoftmax", "Hardmax", "Identity", "LpNormalization", "InstanceNormalization",
    "GroupNormalization", "RMSNormalization", "LRN", "MeanVarianceNormalization", "CumSum",
    "Trilu", "Not", "BitwiseNot", "Shrink", "ScatterND", "ScatterElements", "Scatter", "Bernoulli",
    "EyeLike", "ReverseSequence", "QuickGelu", "FastGelu", "BiasGelu",
)  # fmt: skip
def _same(call: Call) -> Result:
    x = call.need(0)
    return [(x.shape, x.dtype)] * call.outputs


@_rule("Add", "Sub", "Mul", "Div", "Mod", "Pow", "Max", "Min", "Sum", "Mean", "PRelu",
       "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitShift")  # fmt: skip
def _binary(call: Call) -> Result:
    values = [call.need(i) for i in range(len(call.inputs))]
    return [(broadcast(*(v.shape for v in values)), values[0].dtype)]


@_rule("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "And", "Or", "Xor")
def _comparison(call: Call) -> Result:
    return [(broadcast(call.need(0).shape, call.need(1).shape), "bool")]


@_rule("IsNaN", "IsInf")
def _test(call: Call) -> Result:
    return [(call.need(0).shape, "bool")]


@_rule("Where")
def _where(call: Call) -> Result:
    values = [call.need(i) for i in range(3)]
    return [(broadcast(*(v.shape for v in values)), values[1].dtype)]


@_rule("Dropout")
def _dropout(call: Call) -> Result:
    x = call.need(0)
    return [(x.shape, x.dtype), (x.shape, "bool")][: call.outputs]


@_rule("Cast")
def _cast(call: Call) -> Result:
    return [(call.need(0).shape, dtype_of(call.attrs["to"]))]


@_rule("CastLike")
def _cast_like(call: Call) -> Result:
    return [(call.need(0).shape, call.need(1).dtype)]


# ---------------------------------------------------------------- convolution


def _spatial(values: Any, count: int, what: str, default: int) -> list[int]:
    result = [int(v) for v in values] if values is not None else [default] * count
    if len(result) != count:
        raise NodeError(f"{what} {result}: expected {count} values")
    return result


def window_attributes(
    attrs: Mapping[str, Any], space: Sequence[Dim], kernel: Sequence[int]
) -> tuple[list[int], list[int], list[Dim], list[Dim]]:
    """(strides, dilations, padding before, padding after) of a convolution or pooling window."""
    count = len(kernel)
    strides = _spatial(attrs.get("strides"), count, "strides", 1)
    dilations = _spatial(attrs.get("dilations"), count, "dilations", 1)
    if any(v < 1 for v in (*strides, *dilations, *kernel)):
        raise NodeError(
            f"kernel {list(kernel)}, strides {strides}, dilations {dilations}: must be positive"
        )
    auto = attrs.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        before, after = [], []
        for size, k, s, d in zip(space, kernel, strides, dilations, strict=True):
            total = (ceil_divide(size, s) - 1) * s + d * (k - 1) + 1 - size
            total = total if is_symbolic(total) else max(total, 0)
            small = floor_divide(total, 2)
            first, second = (small, total - small)
            before.append(first if auto == "SAME_UPPER" else second)
            after.append(second if auto == "SAME_UPPER" else first)
        return strides, dilations, before, after
    pads = _spatial(attrs.get("pads") if auto != "VALID" else None, 2 * count, "pads", 0)
    return strides, dilations, list(pads[:count]), list(pads[count:])


def _windows(
    size: Dim, k: int, stride: int, dilation: int, padding: Dim, ceil: bool = False, before: Dim = 0
) -> Dim:
    span = size + padding - dilation * (k - 1) - 1
    if not is_symbolic(span) and span < 0:
        raise NodeError(f"a window of {dilation * (k - 1) + 1} does not fit size {size + padding}")
    if not ceil:
        return floor_divide(span, stride) + 1
    count = ceil_divide(span, stride) + 1
    if not is_symbolic(count) and (count - 1) * stride >= size + before:
        count -= 1  # the last window must start inside the input or its left padding
    return count


@_rule("Conv", "ConvInteger", "FusedConv")
def _conv(call: Call) -> Result:
    x, w = call.need(0), call.need(1)
    dtype = "int32" if x.dtype in ("int8", "uint8") else x.dtype
    return [(conv_shape(x, w, call.attrs), dtype)]


def conv_shape(x: Value, w: Value, attrs: Mapping[str, Any]) -> list[Dim]:
    """Output shape of a convolution of x (n, c_in, ...) with w (c_out, c_in/g, ...)."""
    if x.rank != w.rank or x.rank < 3:
        raise NodeError(f"input {list(x.shape)} and kernel {list(w.shape)} do not fit")
    group = int(attrs.get("group", 1))
    if group < 1 or (not is_symbolic(x.shape[1]) and x.shape[1] != w.shape[1] * group):
        raise NodeError(
            f"{x.shape[1]} input channels do not fit kernel {list(w.shape)} in {group} groups"
        )
    if not is_symbolic(w.shape[0]) and w.shape[0] % group:
        raise NodeError(f"{w.shape[0]} output channels in {group} groups")
    kernel = [int(k) for k in w.shape[2:]]
    stated = attrs.get("kernel_shape")
    if stated is not None and [int(k) for k in stated] != kernel:
        raise NodeError(f"kernel_shape {list(stated)} differs from the weight's {kernel}")
    strides, dilations, before, after = window_attributes(attrs, x.shape[2:], kernel)
    space = [
        _windows(size, k, s, d, p + q)
        for size, k, s, d, p, q in zip(
            x.shape[2:], kernel, strides, dilations, before, after, strict=True
        )
    ]
    return [x.shape[0], w.shape[0], *space]


@_rule("QLinearConv")
def _qlinear_conv(call: Call) -> Result:
    return [(conv_shape(call.need(0), call.need(3), call.attrs), call.need(7).dtype)]


@_rule("DeformConv")
def _deform_conv(call: Call) -> Result:
    return [(conv_shape(call.need(0), call.need(1), call.attrs), call.need(0).dtype)]


@_rule("ConvTranspose")
def _conv_transpose(call: Call) -> Result:
    x, w = call.need(0), call.need(1)
    if x.rank != w.rank or x.rank < 3 or x.shape[1] != w.shape[0]:
        raise NodeError(f"input {list(x.shape)} and kernel {list(w.shape)} do not fit")
    group = int(call.attrs.get("group", 1))
    kernel = [int(k) for k in w.shape[2:]]
    strides, dilations, before, after = window_attributes(
        {k: v for k, v in call.attrs.items() if k != "auto_pad"}, x.shape[2:], kernel
    )
    extra = _spatial(call.attrs.get("output_padding"), len(kernel), "output_padding", 0)
    stated = call.attrs.get("output_shape")
    if stated is not None:
        space: list[Dim] = [int(s) for s in stated][-len(kernel) :]
    elif call.attrs.get("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER"):
        space = [size * s for size, s in zip(x.shape[2:], strides, strict=True)]
    else:
        space = [
            (size - 1) * s + d * (k - 1) + 1 - p - q + e
            for size, s, d, k, p, q, e in zip(
                x.shape[2:], strides, dilations, kernel, before, after, extra, strict=True
            )
        ]
    return [([x.shape[0], w.shape[1] * group, *space], x.dtype)]


@_rule("MaxPool", "AveragePool", "LpPool", "QLinearAveragePool")
def _pool(call: Call) -> Result:
    x = call.need(0)
    kernel = [int(k) for k in call.attrs["kernel_shape"]]
    if call.attrs.get("channels_last"):
        raise NodeError("channels_last layouts are not supported")
    if x.rank != len(kernel) + 2:
        raise NodeError(f"kernel {kernel} does not fit input {list(x.shape)}")
    strides, dilations, before, after = window_attributes(call.attrs, x.shape[2:], kernel)
    ceil = bool(call.attrs.get("ceil_mode", 0))
    space = [
        _windows(size, k, s, d, p + q, ceil, p)
        for size, k, s, d, p, q in zip(
            x.shape[2:], kernel, strides, dilations, before, after, strict=True
        )
    ]
    shape = [*x.shape[:2], *space]
    return [(shape, x.dtype), (shape, "int64")][: call.outputs]


@_rule("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "QLinearGlobalAveragePool")
def _global_pool(call: Call) -> Result:
    x = call.need(0)
    return [([*x.shape[:2], *[1] * (x.rank - 2)], x.dtype)]


@_rule("BatchNormalization")
def _batch_norm(call: Call) -> Result:
    x = call.need(0)
    if x.rank < 2:
        raise NodeError(f"input {list(x.shape)} has no channels")
    c = call.need(1)
    return [(x.shape, x.dtype), *[(c.shape, c.dtype)] * 4][: call.outputs]


@_rule("LayerNormalization")
def _layer_norm(call: Call) -> Result:
    x = call.need(0)
    (axis,) = normal_axes([int(call.attrs.get("axis", -1))], x.rank)
    rows = [*x.shape[:axis], *[1] * (x.rank - axis)]
    return [(x.shape, x.dtype), (rows, "float32"), (rows, "float32")][: call.outputs]


# -------------------------------------------------------------- matrix products


def matmul_shape(a: Sequence[Dim], b: Sequence[Dim]) -> list[Dim]:
    """Shape of a @ b as NumPy defines it."""
    if not a or not b:
        raise NodeError("a scalar cannot be multiplied as a matrix")
    left = [1, *a] if len(a) == 1 else list(a)
    right = [*b, 1] if len(b) == 1 else list(b)
    inner = (left[-1], right[-2])
    if inner[0] != inner[1] and not any(is_symbolic(s) for s in inner):
        raise NodeError(f"shapes {list(a)} and {list(b)} do not multiply")
    shape = broadcast(left[:-2], right[:-2])
    shape += ([left[-2]] if len(a) > 1 else []) + ([right[-1]] if len(b) > 1 else [])
    return shape


@_rule("MatMul")
def _matmul(call: Call) -> Result:
    a, b = call.need(0), call.need(1)
    return [(matmul_shape(a.shape, b.shape), a.dtype)]


@_rule("MatMulInteger")
def _matmul_integer(call: Call) -> Result:
    return [(matmul_shape(call.need(0).shape, call.need(1).shape), "int32")]


@_rule("QLinearMatMul")
def _qlinear_matmul(call: Call) -> Result:
    return [(matmul_shape(call.need(0).shape, call.need(3).shape), call.need(7).dtype)]


@_rule("Gemm")
def _gemm(call: Call) -> Result:
    a, b = call.need(0), call.need(1)
    if a.rank != 2 or b.rank != 2:
        raise NodeError(f"expected matrices, got {list(a.shape)} and {list(b.shape)}")
    left = a.shape[::-1] if call.attrs.get("transA") else a.shape
    right = b.shape[::-1] if call.attrs.get("transB") else b.shape
    return [(matmul_shape(left, right), a.dtype)]


def einsum_terms(equation: Any, ranks: Sequence[int]) -> tuple[list[str], str]:
    """Letters of each operand and of the result of an einsum without ellipsis.

    Raises:
        NodeError: if the equation does not fit the operands.
    """
    text = str(equation).replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if "." in text:
        free = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in text]
        widths = [rank - len(t.replace("...", "")) for t, rank in zip(terms, ranks, strict=False)]
        most = max([w for w, t in zip(widths, terms, strict=False) if "..." in t], default=0)
        if not 0 <= most <= len(free) or min(widths, default=0) < 0:
            raise NodeError(f"equation {equation!r} does not fit its operands")
        letters = "".join(free[:most])
        terms = [
            t.replace("...", letters[most - w :] if w else "")
            for t, w in zip(terms, widths, strict=False)
        ]
        right = right.replace("...", letters)
    if len(terms) != len(ranks) or [len(t) for t in terms] != list(ranks):
        raise NodeError(f"equation {equation!r} does not fit operands of ranks {list(ranks)}")
    if not arrow:
        joined = "".join(terms)
        right = "".join(sorted(c for c in set(joined) if joined.count(c) == 1))
    if any(c not in "".join(terms) for c in right) or len(set(right)) != len(right):
        raise NodeError(f"equation {equation!r} has a malformed result")
    return terms, right


@_rule("Einsum")
def _einsum(call: Call) -> Result:
    values = [call.need(i) for i in range(len(call.inputs))]
    terms, right = einsum_terms(call.attrs["equation"], [v.rank for v in values])
    sizes: dict[str, Dim] = {}
    for term, value in zip(terms, values, strict=True):
        for letter, size in zip(term, value.shape, strict=True):
            sizes[letter] = broadcast([sizes.get(letter, 1)], [size])[0]
    return [([sizes[letter] for letter in right], values[0].dtype)]


# ------------------------------------------------------------------- reductions


@_rule("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
       "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare")  # fmt: skip
def _reduce(call: Call) -> Result:
    x = call.need(0)
    if call.optional(1) is not None and call.known(1) is None:
        raise NodeError("the axes depend on data and cannot be known")
    axes = axes_of(call.attrs, call.known(1))
    if not axes and call.attrs.get("noop_with_empty_axes"):
        return [(x.shape, x.dtype)]
    chosen = set(normal_axes(axes, x.rank)) if axes else set(range(x.rank))
    return [(reduced(x.shape, chosen, bool(call.attrs.get("keepdims", 1))), x.dtype)]


def reduced(shape: Sequence[Dim], axes: set[int], keep: bool) -> list[Dim]:
    """A shape with some axes reduced to 1, or removed."""
    if keep:
        return [1 if i in axes else s for i, s in enumerate(shape)]
    return [s for i, s in enumerate(shape) if i not in axes]


@_rule("ArgMax", "ArgMin")
def _argument(call: Call) -> Result:
    x = call.need(0)
    axes = set(normal_axes([int(call.attrs.get("axis", 0))], x.rank))
    return [(reduced(x.shape, axes, bool(call.attrs.get("keepdims", 1))), "int64")]


@_rule("TopK")
def _topk(call: Call) -> Result:
    x = call.need(0)
    (axis,) = normal_axes([int(call.attrs.get("axis", -1))], x.rank)
    (k,) = call.sizes(1, "k")
    if not is_symbolic(k) and not is_symbolic(x.shape[axis]) and k > x.shape[axis]:
        raise NodeError(f"k = {k} of {x.shape[axis]} elements")
    shape = [*x.shape[:axis], k, *x.shape[axis + 1 :]]
    return [(shape, x.dtype), (shape, "int64")]


# --------------------------------------------------------------------- movement


@_rule("Shape")
def _shape(call: Call) -> Result:
    return [([len(shape_slice(call))], "int64")]


def shape_slice(call: Call) -> tuple[Dim, ...]:
    """The sizes a Shape node returns."""
    shape = call.need(0).shape
    return shape[call.attrs.get("start", 0) : call.attrs.get("end", len(shape))]


@_rule("Size")
def _size(call: Call) -> Result:
    return [([], "int64")]


@_rule("Reshape")
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


@_rule("Flatten")
def _flatten(call: Call) -> Result:
    x = call.need(0)
    axis = int(call.attrs.get("axis", 1))
    if not -x.rank <= axis <= x.rank:
        raise NodeError(f"axis {axis} of a tensor of rank {x.rank}")
    axis = axis + x.rank if axis < 0 else axis
    return [([product(x.shape[:axis]), product(x.shape[axis:])], x.dtype)]


@_rule("Transpose")
def _transpose(call: Call) -> Result:
    x = call.need(0)
    order = call.attrs.get("perm", tuple(reversed(range(x.rank))))
    if sorted(order) != list(range(x.rank)):
        raise NodeError(f"perm {list(order)} is not an order of {x.rank} dimensions")
    return [([x.shape[i] for i in order], x.dtype)]


@_rule("Squeeze")
def _squeeze(call: Call) -> Result:
    x = call.need(0)
    axes = axes_of(call.attrs, call.known(1))
    if axes is None:
        return [([s for s in x.shape if not _is_one(s)], x.dtype)]
    chosen = set(normal_axes(axes, x.rank))
    if any(not _is_one(x.shape[a]) and not is_symbolic(x.shape[a]) for a in chosen):
        raise NodeError(f"axes {sorted(chosen)} of {list(x.shape)} are not all 1")
    return [(reduced(x.shape, chosen, keep=False), x.dtype)]


@_rule("Unsqueeze")
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


@_rule("Expand")
def _expand(call: Call) -> Result:
    x = call.need(0)
    return [(broadcast(x.shape, call.sizes(1, "the new shape")), x.dtype)]


@_rule("Tile")
def _tile(call: Call) -> Result:
    x, times = call.need(0), call.sizes(1, "repeats")
    if len(times) != x.rank:
        raise NodeError(f"{len(times)} repeats for {x.rank} dimensions")
    return [([s * t for s, t in zip(x.shape, times, strict=True)], x.dtype)]


@_rule("Concat", "QLinearConcat")
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


@_rule("Split")
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


@_rule("Slice")
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


@_rule("Gather")
def _gather(call: Call) -> Result:
    x, index = call.need(0), call.need(1)
    (axis,) = normal_axes([int(call.attrs.get("axis", 0))], x.rank)
    return [([*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]], x.dtype)]


@_rule("GatherElements")
def _gather_elements(call: Call) -> Result:
    return [(call.need(1).shape, call.need(0).dtype)]


@_rule("GatherND")
def _gather_nd(call: Call) -> Result:
    x, index = call.need(0), call.need(1)
    batch = int(call.attrs.get("batch_dims", 0))
    depth = as_dim(index.shape[-1])
    return [([*index.shape[:-1], *x.shape[batch + depth :]], x.dtype)]


@_rule("Pad")
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


@_rule("ConstantOfShape")
def _constant_of_shape(call: Call) -> Result:
    value = call.attrs.get("value")
    dtype = "float32" if value is None else str(value.dtype)
    return [(call.sizes(0, "the shape"), dtype)]


@_rule("Range")
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


@_rule("OneHot")
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


@_rule("DepthToSpace")
def _depth_to_space(call: Call) -> Result:
    x, block = _blocks(call)
    n, c, h, w = x.shape
    return [([n, floor_divide(c, block * block), h * block, w * block], x.dtype)]


@_rule("SpaceToDepth")
def _space_to_depth(call: Call) -> Result:
    x, block = _blocks(call)
    n, c, h, w = x.shape
    return [([n, c * block * block, floor_divide(h, block), floor_divide(w, block)], x.dtype)]


@_rule("Resize", "Upsample")
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


@_rule("GridSample")
def _grid_sample(call: Call) -> Result:
    x, grid = call.need(0), call.need(1)
    return [([*x.shape[:2], *grid.shape[1:-1]], x.dtype)]


@_rule("RoiAlign")
def _roi_align(call: Call) -> Result:
    x, rois = call.need(0), call.need(1)
    height = int(call.attrs.get("output_height", 1))
    width = int(call.attrs.get("output_width", 1))
    return [([rois.shape[0], x.shape[1], height, width], x.dtype)]


@_rule("RandomNormalLike", "RandomUniformLike")
def _random_like(call: Call) -> Result:
    x = call.need(0)
    return [(x.shape, dtype_of(call.attrs["dtype"]) if "dtype" in call.attrs else x.dtype)]


@_rule("RandomNormal", "RandomUniform")
def _random(call: Call) -> Result:
    return [(call.attrs["shape"], dtype_of(call.attrs.get("dtype", 1)))]


# ----------------------------------------------------- sizes that depend on data


@_rule("NonZero")
def _non_zero(call: Call) -> Result:
    x = call.need(0)
    return [([x.rank, x.numel], "int64")]


@_rule("NonMaxSuppression")
def _non_max_suppression(call: Call) -> Result:
    boxes, scores = call.need(0), call.need(1)
    per_class = boxes.shape[1]
    most = call.known(2)
    if most is not None and not is_symbolic(per_class):
        per_class = min(per_class, max(int(most.reshape(-1)[0]), 0))
    return [([scores.shape[0] * scores.shape[1] * per_class, 3], "int64")]


@_rule("Compress")
def _compress(call: Call) -> Result:
    x = call.need(0)
    axis = call.attrs.get("axis")
    if axis is None:
        return [([x.numel], x.dtype)]
    normal_axes([int(axis)], x.rank)
    return [(x.shape, x.dtype)]


@_rule("Unique")
def _unique(call: Call) -> Result:
    x = call.need(0)
    count = x.numel if "axis" not in call.attrs else x.shape[int(call.attrs["axis"])]
    shape = [x.numel] if "axis" not in call.attrs else x.shape
    return [(shape, x.dtype), *[([count], "int64")] * 3][: call.outputs]


DATA_DEPENDENT = frozenset({"NonZero", "NonMaxSuppression", "Compress", "Unique"})
"""Operators whose output size depends on data: charged at its largest, which the graph says."""


# ---------------------------------------------------------------- recurrent cells


@_rule("LSTM", "GRU", "RNN")
def _recurrent(call: Call) -> Result:
    x, w, r = call.need(0), call.need(1), call.need(2)
    if x.rank != 3 or r.rank != 3:
        raise NodeError(f"expected three dimensions, got {list(x.shape)} and {list(r.shape)}")
    hidden, directions = r.shape[2], w.shape[0]
    steps, n = (x.shape[1], x.shape[0]) if call.attrs.get("layout") else x.shape[:2]
    if call.attrs.get("layout"):
        whole, last = [n, steps, directions, hidden], [n, directions, hidden]
    else:
        whole, last = [steps, directions, n, hidden], [directions, n, hidden]
    return [(whole, x.dtype), (last, x.dtype), (last, x.dtype)][: call.outputs]


# ------------------------------------------------------------------- quantisation


@_rule("QuantizeLinear")
def _quantize(call: Call) -> Result:
    zero = call.optional(2)
    stated = call.attrs.get("output_dtype", 0)
    dtype = zero.dtype if zero is not None else dtype_of(stated) if stated else "uint8"
    return [(call.need(0).shape, dtype)]


@_rule("DequantizeLinear")
def _dequantize(call: Call) -> Result:
    return [(call.need(0).shape, call.need(1).dtype)]


@_rule("DynamicQuantizeLinear")
def _dynamic_quantize(call: Call) -> Result:
    return [(call.need(0).shape, "uint8"), ([], "float32"), ([], "uint8")]


@_rule("QLinearAdd", "QLinearMul")
def _qlinear_binary(call: Call) -> Result:
    a, b = call.need(0), call.need(3)
    return [(broadcast(a.shape, b.shape), a.dtype)]


@_rule("QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax")
def _qlinear_unary(call: Call) -> Result:
    return [(call.need(0).shape, call.need(0).dtype)]


# ---------------------------------------------------------------------- attention


@_rule("Attention")
def _attention(call: Call) -> Result:
    q, k, v = call.need(0), call.need(1), call.need(2)
    if q.rank == 4:
        shape = [*q.shape[:3], v.shape[3]]
    elif q.rank == 3:
        heads = int(call.attrs["q_num_heads"])
        kv_heads = int(call.attrs["kv_num_heads"])
        shape = [*q.shape[:2], heads * floor_divide(v.shape[2], kv_heads)]
    else:
        raise NodeError(f"query {list(q.shape)}: expected 3 or 4 dimensions")
    if call.outputs > 1:
        raise NodeError("key and value caches as outputs are not supported")
    return [(shape, q.dtype)]


@_rule("RotaryEmbedding")
def _rotary(call: Call) -> Result:
    x = call.need(0)
    return [(x.shape, x.dtype)]
