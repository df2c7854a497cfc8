"""Pooling: a window, or a share of the plane, reduced to one value; and its gradients."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from costmodel.formulas.cost import Cost, S
from costmodel.formulas.registry import Binding, Inputs, Outputs, bind, binds, formula, required
from costmodel.formulas.sizes import ceiling, is_symbolic, smallest
from costmodel.graph import Op

_SOURCE = (
    "Dumoulin and Visin, A guide to convolution arithmetic for deep learning (2016), chapter 3"
)


@formula("pooling", kind="pooling", source=_SOURCE)
def pooling(e_x: S, e_y: S, k: S, b_x: S, b_y: S) -> Cost:
    """Windows of k elements, each reduced to one of e_y outputs.

    A maximum takes k comparisons, from minus infinity on; a mean k - 1 additions and one
    multiplication by 1/k. Padding is counted as in `convolution`.
    """
    return Cost(
        other_flops=k * e_y,
        bytes_read=e_x * b_x,
        bytes_written=e_y * b_y,
    )


@formula("pooling_indices", kind="pooling", source=_SOURCE)
def pooling_indices(e_x: S, e_y: S, k: S, b_x: S, b_y: S) -> Cost:
    """Maximum pooling that writes e_y maxima and, for the gradient, where each of them was.

    b_y is the mean width of maxima and indices.
    """
    return Cost(
        other_flops=k * e_y,
        bytes_read=e_x * b_x,
        bytes_written=2 * e_y * b_y,
    )


@formula(
    "adaptive_pooling",
    kind="pooling",
    source="definition: output i of o has the elements ⌊i s/o⌋ … ⌈(i + 1) s/o⌉ - 1 of s, so "
    "windows overlap where o does not divide s",
)
def adaptive_pooling(m: S, p_in: S, p_out: S, v: S, b_x: S, b_y: S) -> Cost:
    """m planes of p_in positions reduced to p_out; v elements in all windows of a plane."""
    return Cost(
        other_flops=m * v,
        bytes_read=m * p_in * b_x,
        bytes_written=m * p_out * b_y,
    )


@formula("max_pooling_backward", kind="pooling", source=_SOURCE)
def max_pooling_backward(e_x: S, e_y: S, b_i: S, b_x: S, b_y: S) -> Cost:
    """e_x gradients added at the recorded places of e_y zeros."""
    return Cost(
        other_flops=e_x,
        bytes_read=e_x * (b_x + b_i),
        bytes_written=e_y * b_y,
    )


@formula("mean_pooling_backward", kind="pooling", source=_SOURCE)
def mean_pooling_backward(e_x: S, e_y: S, k: S, b_x: S, b_y: S) -> Cost:
    """e_x gradients times 1/k, each added to the k of e_y inputs that its mean was of."""
    return Cost(
        other_flops=e_x * (1 + k),
        bytes_read=e_x * b_x,
        bytes_written=e_y * b_y,
    )


def adaptive_elements(size: Any, size_out: Any) -> Any:
    """Elements in all windows along one axis; overlaps count in each."""
    if is_symbolic(size_out):  # each window as large as the largest
        return size_out * ceiling(size, size_out)
    return sum(-(-(i + 1) * size // size_out) - i * size // size_out for i in range(size_out))


def window_size(op: Op, rank: int) -> Any:
    """Elements in one pooling window of so many dimensions."""
    value = op.attrs["kernel_size"]
    sizes: Sequence[Any] = [value] if isinstance(value, int) else value
    return prod(sizes) ** (rank if len(sizes) == 1 else 1)


@binds(
    "aten::max_pool1d",
    "aten::max_pool2d",
    "aten::quantized_max_pool2d",
    "aten::max_pool3d",
    "aten::avg_pool1d",
    "aten::avg_pool2d",
    "aten::avg_pool3d",
)
def bind_pool(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    x, y = required(op, inputs, 0)[0], outputs[0]
    k = window_size(op, int(op.target[-2]))
    # A window smaller than its stride skips elements.
    return bind("pooling", e_x=smallest(x.distinct, y.numel * k), e_y=y.numel, k=k)


@binds("aten::max_pool2d_with_indices", "aten::max_pool3d_with_indices")
def bind_pool_indices(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    x, y = required(op, inputs, 0)[0], outputs[0]
    k = window_size(op, int(op.target[len("aten::max_pool")]))
    return bind("pooling_indices", e_x=smallest(x.distinct, y.numel * k), e_y=y.numel, k=k)


@binds(
    "aten::adaptive_avg_pool1d",
    "aten::adaptive_avg_pool2d",
    "aten::adaptive_avg_pool3d",
    "aten::_adaptive_avg_pool2d",
    "aten::_adaptive_avg_pool3d",
    "aten::adaptive_max_pool1d",
    "aten::adaptive_max_pool2d",
    "aten::adaptive_max_pool3d",
)
def bind_adaptive_pool(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    x, y = required(op, inputs, 0)[0], outputs[0]
    rank = int(op.target[-2])
    axes = list(zip(x.shape[-rank:], y.shape[-rank:], strict=True))
    return bind(
        "adaptive_pooling",
        m=prod(x.shape[:-rank]),
        p_in=prod(x.shape[-rank:]),
        p_out=prod(y.shape[-rank:]),
        v=prod(adaptive_elements(size, size_out) for size, size_out in axes),
    )


@binds(
    "aten::max_pool2d_with_indices_backward",
    "aten::max_pool3d_with_indices_backward",
    "aten::adaptive_max_pool2d_backward",
    "aten::adaptive_max_pool3d_backward",
)
def bind_max_pool_backward(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    (grad,) = required(op, inputs, 0)
    return bind(
        "max_pooling_backward",
        e_x=grad.numel,
        e_y=outputs[0].numel,
        b_i=8,
        indices=frozenset({1, 2}),  # the input is named for its shape only
    )


@binds("aten::avg_pool2d_backward", "aten::avg_pool3d_backward")
def bind_mean_pool_backward(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    (grad,) = required(op, inputs, 0)
    k = window_size(op, int(op.target[len("aten::avg_pool")]))
    return bind("mean_pooling_backward", e_x=grad.numel, e_y=outputs[0].numel, k=k)


@binds("aten::_adaptive_avg_pool2d_backward", "aten::_adaptive_avg_pool3d_backward")
def bind_adaptive_pool_backward(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    grad, y = required(op, inputs, 0)[0], outputs[0]
    k = ceiling(y.numel, grad.numel)
    return bind("mean_pooling_backward", e_x=grad.numel, e_y=y.numel, k=k)
