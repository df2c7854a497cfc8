"""Pooling: a small window or the whole plane reduced to one value."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from costmodel.formulas.cost import Cost, S
from costmodel.formulas.registry import Binding, bind, binds, formula
from costmodel.graph import Op, TensorSpec


@formula(
    "pooling",
    kind="pooling",
    source="Dumoulin and Visin, A guide to convolution arithmetic for deep learning (2016), "
    "chapter 3",
)
def pooling(e_x: S, e_y: S, k: S, b_x: S, b_y: S) -> Cost:
    """Windows of k elements, each reduced to one of e_y outputs (maximum or mean)."""
    return Cost(
        other_flops=k * e_y,
        bytes_read=e_x * b_x,
        bytes_written=e_y * b_y,
    )


def _window(value: object) -> list[int]:
    return [value] if isinstance(value, int) else list(value)  # type: ignore[call-overload]


def _bind(x: TensorSpec, y: TensorSpec, window: int) -> Binding:
    elements = x.distinct
    # A window smaller than its stride skips elements.
    return bind("pooling", e_x=min(elements, y.numel * window), e_y=y.numel, k=window)


@binds(
    "aten::max_pool1d",
    "aten::max_pool2d",
    "aten::max_pool3d",
    "aten::max_pool2d_with_indices",
    "aten::max_pool3d_with_indices",
    "aten::avg_pool1d",
    "aten::avg_pool2d",
    "aten::avg_pool3d",
)
def bind_pool(
    op: Op, inputs: Sequence[TensorSpec | None], outputs: Sequence[TensorSpec]
) -> Binding:
    x, y = inputs[0], outputs[0]
    assert x is not None
    window = _window(op.attrs["kernel_size"])
    space = len(x.shape) - 2 if len(window) == 1 and "1d" not in op.target else len(window)
    taps = prod(window) ** (space if len(window) == 1 else 1)
    return _bind(x, y, taps)


@binds(
    "aten::adaptive_avg_pool1d",
    "aten::adaptive_avg_pool2d",
    "aten::_adaptive_avg_pool2d",
    "aten::_adaptive_avg_pool3d",
    "aten::adaptive_max_pool2d",
    "aten::adaptive_max_pool3d",
)
def bind_adaptive_pool(
    op: Op, inputs: Sequence[TensorSpec | None], outputs: Sequence[TensorSpec]
) -> Binding:
    x, y = inputs[0], outputs[0]
    assert x is not None
    return _bind(x, y, -(-x.numel // y.numel))
