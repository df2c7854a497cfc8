"""Softmax over the last rows' elements, and its gradient."""

from __future__ import annotations

from typing import Any

from costmodel.formulas.cost import Cost, S
from costmodel.formulas.primitives import flops
from costmodel.formulas.registry import Binding, Inputs, Outputs, bind, binds, formula, required
from costmodel.formulas.sizes import largest
from costmodel.graph import Op

SOFTMAX_FLOPS = flops(compare=1, add=2, exp=1, div=1)
"""Per element: running maximum, subtract it, exponential, sum, divide."""

LOG_SOFTMAX_FLOPS = flops(compare=1, add=3, exp=1)
"""Per element: running maximum, subtract it, exponential, sum, subtract the sum's logarithm."""


@formula(
    "softmax",
    kind="softmax",
    source="Milakov and Gimelshein, Online normalizer calculation for softmax (2018): "
    "one read and one write of a row that fits on chip",
)
def softmax(m: S, c: S, b_x: S, b_y: S) -> Cost:
    """m rows of c elements to exponentials that sum to one."""
    return Cost(
        other_flops=SOFTMAX_FLOPS * m * c,
        bytes_read=m * c * b_x,
        bytes_written=m * c * b_y,
    )


@formula("log_softmax", kind="softmax", source="definition: x - max x - log Σ exp(x - max x)")
def log_softmax(m: S, c: S, b_x: S, b_y: S) -> Cost:
    """m rows of c elements to logarithms of their softmax; one logarithm per row."""
    return Cost(
        other_flops=LOG_SOFTMAX_FLOPS * m * c + flops(exp=1) * m,
        bytes_read=m * c * b_x,
        bytes_written=m * c * b_y,
    )


@formula("softmax_backward", kind="softmax", source="definition: y · (dy - Σ y · dy)")
def softmax_backward(m: S, c: S, b_x: S, b_y: S) -> Cost:
    """Gradient of m softmax rows, from the rows and their gradient."""
    return Cost(
        other_flops=flops(mul=2, add=2) * m * c,
        bytes_read=2 * m * c * b_x,
        bytes_written=m * c * b_y,
    )


@formula("log_softmax_backward", kind="softmax", source="definition: dy - exp(y) · Σ dy")
def log_softmax_backward(m: S, c: S, b_x: S, b_y: S) -> Cost:
    """Gradient of m log-softmax rows, from the rows and their gradient."""
    return Cost(
        other_flops=flops(add=2, exp=1, mul=1) * m * c,
        bytes_read=2 * m * c * b_x,
        bytes_written=m * c * b_y,
    )


def _rows(op: Op, inputs: Inputs) -> dict[str, Any]:
    (x,) = required(op, inputs, 0)
    dim = op.attrs.get("dim")
    c = x.shape[-1 if dim is None else dim] if x.shape else 1
    return {"m": x.numel // largest(c, 1), "c": c}


@binds("aten::softmax", "aten::_softmax", "aten::_safe_softmax")
def bind_softmax(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    return bind("softmax", **_rows(op, inputs))


@binds("aten::log_softmax", "aten::_log_softmax")
def bind_log_softmax(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    return bind("log_softmax", **_rows(op, inputs))


@binds("aten::_softmax_backward_data")
def bind_softmax_backward(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    return bind("softmax_backward", **_rows(op, inputs))


@binds("aten::_log_softmax_backward_data")
def bind_log_softmax_backward(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    return bind("log_softmax_backward", **_rows(op, inputs))
