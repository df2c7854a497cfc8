"""Convolution without its padding: only taps that fall on real input elements are counted.

Kernels usually compute the taps on padding too, so `convolution` counts them; this variant is
what direct kernels that skip them do, and the exact number of useful multiply-accumulates. It
needs stride, padding and dilation, where the padded count needs the output size only.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from costmodel.errors import UsageError
from costmodel.formulas.convolution import SOURCE, kind_of
from costmodel.formulas.cost import Cost, S
from costmodel.formulas.registry import Binding, Inputs, Outputs, bind, formula, required
from costmodel.formulas.sizes import is_symbolic
from costmodel.graph import Op


@formula("conv_valid", kind="convolution", source=SOURCE + ", chapter 2")
def conv_valid(
    n: S, c_in: S, c_out: S, p_in: S, p_out: S, v: S, k: S, g: S, bias: S, b_x: S, b_w: S, b_y: S
) -> Cost:
    """Convolution in any number of dimensions, taps on padding left out.

    v pairs of an output position and one of the k kernel taps fall inside the input; p_in input
    positions are read. Both are products of what `valid_taps` and `positions_read` give per axis.
    """
    parameters = k * c_in * c_out / g + bias * c_out
    return Cost(
        macs=n * v * c_in * c_out / g,
        other_flops=bias * n * c_out * p_out,
        bytes_read=n * c_in * p_in * b_x + parameters * b_w,
        bytes_written=n * c_out * p_out * b_y,
        weight_bytes=parameters * b_w,
        parameters=parameters,
    )


def valid_taps(size: int, size_out: int, k: int, stride: int, padding: int, dilation: int) -> int:
    """Pairs (output, tap) along one axis whose input position lies in 0 … size - 1."""
    return sum(len(_outputs_on(size, size_out, tap, stride, padding, dilation)) for tap in range(k))


def positions_read(
    size: int, size_out: int, k: int, stride: int, padding: int, dilation: int
) -> int:
    """Input positions along one axis that at least one tap falls on."""
    return len(
        {
            o * stride + tap * dilation - padding
            for tap in range(k)
            for o in _outputs_on(size, size_out, tap, stride, padding, dilation)
        }
    )


def same_valid_taps(size: S, k: S) -> S:
    """`valid_taps` in closed form for odd k, stride 1 and padding (k - 1)/2 <= size.

    On each side the i-th of (k - 1)/2 outputs loses i taps: k · size - (k² - 1)/4 are left.
    """
    return k * size - (k**2 - 1) / 4


def _outputs_on(
    size: int, size_out: int, tap: int, stride: int, padding: int, dilation: int
) -> range:
    """Outputs o with 0 <= o · stride + tap · dilation - padding < size."""
    offset = tap * dilation - padding
    first = max(0, -(offset // stride))
    last = min(size_out - 1, (size - 1 - offset) // stride)
    return range(first, last + 1)


def bind_valid_convolution(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    """Bind "aten::convolution" to the count of valid taps.

    In a transposed convolution input and output change places.

    Raises:
        UsageError: if a size is symbolic.
    """
    x, weight = required(op, inputs, 0, 1)
    bias = inputs[2] if len(inputs) > 2 else None
    y = outputs[0]
    if is_symbolic(*x.shape, *y.shape):
        raise UsageError(f"{op.target} {x.shape}: valid taps cannot be counted on symbolic sizes")
    kernel = weight.shape[2:]
    rank = len(kernel)
    n, c_in = (x.shape[0] if len(x.shape) > rank + 1 else 1), x.shape[-rank - 1]
    c_out, g = y.shape[-rank - 1], op.attrs.get("groups", 1)
    space_in, space_out = x.shape[-rank:], y.shape[-rank:]
    settings = [_per_axis(op.attrs.get(name, d), rank) for name, d in _SETTINGS.items()]
    if op.attrs.get("transposed", False):
        axes = list(zip(space_out, space_in, kernel, *settings, strict=True))
        p_in = prod(space_in)
    else:
        axes = list(zip(space_in, space_out, kernel, *settings, strict=True))
        p_in = prod(positions_read(*axis) for axis in axes)
    return bind(
        "conv_valid",
        kind=kind_of(g, c_in),
        n=n,
        c_in=c_in,
        c_out=c_out,
        p_in=p_in,
        p_out=prod(space_out),
        v=prod(valid_taps(*axis) for axis in axes),
        k=prod(kernel),
        g=g,
        bias=int(bias is not None),
    )


_SETTINGS = {"stride": 1, "padding": 0, "dilation": 1}


def _per_axis(value: Any, rank: int) -> Sequence[int]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * rank if len(values) == 1 else values
