"""Weight normalisation: a weight as a direction and a length, put together at every forward, and
their gradients."""

from __future__ import annotations

from costmodel.formulas.cost import Cost, S
from costmodel.formulas.primitives import flops
from costmodel.formulas.registry import Binding, Inputs, Outputs, bind, binds, formula, required
from costmodel.graph import Op


@formula(
    "weight_norm",
    kind="normalization",
    source="Salimans and Kingma, Weight normalization (2016), equation 2",
)
def weight_norm(e_w: S, c: S, b_w: S, b_y: S) -> Cost:
    """w = g v / |v| of e_w elements v in c vectors with a length g each; writes w and the norms.

    Per element a square and a sum for the norm, and a product; per vector a root and a division.
    """
    return Cost(
        other_flops=e_w * flops(mul=2, add=1) + c * flops(sqrt=1, div=1),
        bytes_read=(e_w + c) * b_w,
        bytes_written=(e_w + c) * b_y,
        weight_bytes=(e_w + c) * b_w,
    )


@binds("aten::_weight_norm_interface")
def bind_weight_norm(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    v, g = required(op, inputs, 0, 1)
    return bind("weight_norm", e_w=v.numel, c=g.numel)


@formula(
    "weight_norm_backward",
    kind="normalization",
    source="Salimans and Kingma, Weight normalization (2016), equation 3",
)
def weight_norm_backward(e_w: S, c: S, b_w: S, b_y: S) -> Cost:
    """∇g = ∇w · v / |v| and ∇v = (g / |v|) (∇w - v ∇g / |v|) of e_w elements in c vectors.

    Per element a product and a sum for ∇g, then two products and a difference; per vector three
    divisions. Reads ∇w, v, the lengths and the norms.
    """
    return Cost(
        other_flops=e_w * flops(mul=3, add=2) + c * flops(div=3),
        bytes_read=2 * (e_w + c) * b_w,
        bytes_written=(e_w + c) * b_y,
        weight_bytes=(e_w + 2 * c) * b_w,
    )


@binds("aten::_weight_norm_interface_backward")
def bind_weight_norm_backward(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    _, v, g = required(op, inputs, 0, 1, 2)
    return bind("weight_norm_backward", e_w=v.numel, c=g.numel)
