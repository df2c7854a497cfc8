"""Shapes of what slides a window, of normalisations, and of recurrent cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from costmodel.graph import Dim
from costmodel.tracing.onnx_model.folding import normal_axes
from costmodel.tracing.onnx_model.shapes.call import Call, Result, rule
from costmodel.tracing.onnx_model.shapes.sizes import (
    ceil_divide,
    floor_divide,
)
from costmodel.tracing.onnx_model.values import (
    NodeError,
    Value,
    is_symbolic,
)


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


@rule("Conv", "ConvInteger", "FusedConv")
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


@rule("QLinearConv")
def _qlinear_conv(call: Call) -> Result:
    return [(conv_shape(call.need(0), call.need(3), call.attrs), call.need(7).dtype)]


@rule("DeformConv")
def _deform_conv(call: Call) -> Result:
    return [(conv_shape(call.need(0), call.need(1), call.attrs), call.need(0).dtype)]


@rule("ConvTranspose")
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


@rule("MaxPool", "AveragePool", "LpPool", "QLinearAveragePool")
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


@rule("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "QLinearGlobalAveragePool")
def _global_pool(call: Call) -> Result:
    x = call.need(0)
    return [([*x.shape[:2], *[1] * (x.rank - 2)], x.dtype)]


@rule("BatchNormalization")
def _batch_norm(call: Call) -> Result:
    x = call.need(0)
    if x.rank < 2:
        raise NodeError(f"input {list(x.shape)} has no channels")
    c = call.need(1)
    return [(x.shape, x.dtype), *[(c.shape, c.dtype)] * 4][: call.outputs]


@rule("LayerNormalization")
def _layer_norm(call: Call) -> Result:
    x = call.need(0)
    (axis,) = normal_axes([int(call.attrs.get("axis", -1))], x.rank)
    rows = [*x.shape[:axis], *[1] * (x.rank - axis)]
    return [(x.shape, x.dtype), (rows, "float32"), (rows, "float32")][: call.outputs]


@rule("LSTM", "GRU", "RNN")
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
