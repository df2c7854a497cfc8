"""Gradients of padding that repeats elements."""

from __future__ import annotations

from costmodel.formulas.registry import Binding, Inputs, Outputs, bind, binds, required
from costmodel.graph import Op


@binds(
    "aten::reflection_pad1d_backward",
    "aten::reflection_pad2d_backward",
    "aten::reflection_pad3d_backward",
    "aten::replication_pad1d_backward",
    "aten::replication_pad2d_backward",
    "aten::replication_pad3d_backward",
)
def bind_padding_backward(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    """Every element of the gradient is added to the one that it was a copy of."""
    (grad,) = required(op, inputs, 0)
    return bind("reduction", primitive="fold", e_x=grad.distinct, e_y=outputs[0].numel, f=1)
