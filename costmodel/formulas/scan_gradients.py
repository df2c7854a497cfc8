"""Gradients of Mamba's scan, whose states are computed again rather than kept."""

from __future__ import annotations

from costmodel.formulas.activation import ACTIVATION_FLOPS, GRADIENT_FLOPS
from costmodel.formulas.cost import Cost, S
from costmodel.formulas.primitives import flops
from costmodel.formulas.registry import (
    Binding,
    Inputs,
    Outputs,
    bind,
    binds,
    composition,
    formula,
    required,
)
from costmodel.graph import Op

_SOURCE = (
    "Gu and Dao, Mamba: Linear-time sequence modeling with selective state spaces (2023), "
    "section 3.3.2 (recomputation)"
)


@formula("selective_scan_backward", kind="recurrent", source=_SOURCE)
def selective_scan_backward(n: S, l: S, c: S, states: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """Gradients of x, Δ, A, B, C and D from that of y, along l steps run from both ends.

    With a = exp(Δ A), again h = a h + Δ B x; then g = C ∇y + a' g' from the step after. Per state
    and step: Δ A, its exponential, (Δ x) B and a MAC into h; a MAC into ∇C (∇y h), the product and
    the MAC of g, a MAC into ∇(Δ x) (g B) and into ∇B (g Δ x), two products for ∇(Δ A) = g h' a, a
    MAC each into ∇Δ and ∇A. Per channel and step: Δ x; ∇x = Δ ∇(Δ x) + D ∇y, a MAC into ∇Δ and
    into ∇D.
    """
    steps, shared, constants = n * l * c, 2 * n * l * states, c * states + c
    return Cost(
        macs=steps * (7 * states + 3),
        other_flops=steps * (states * flops(mul=5, exp=1) + flops(mul=2)),
        bytes_read=(3 * steps + shared) * b_x + constants * b_w,
        bytes_written=(2 * steps + shared) * b_y + constants * b_w,
        weight_bytes=constants * b_w,
    )


@composition("gated_selective_scan_backward", source=_SOURCE)
def gated_selective_scan_backward(
    n: S, l: S, c: S, states: S, gates: S, bias: S, b_x: S, b_w: S, b_y: S
) -> dict[str, Cost]:
    """A scan's gradients, those of Δ = softplus(Δ + bias), and with gates = 1 of y · SiLU(z).

    The gate's needs y, which is computed again: a MAC per state and one for D x.
    """
    steps = n * l * c
    softplus = ACTIVATION_FLOPS["softplus"] + GRADIENT_FLOPS["softplus_backward"]
    silu = ACTIVATION_FLOPS["silu"] + GRADIENT_FLOPS["silu_backward"]
    return {
        "step size": Cost(
            other_flops=bias * steps * (flops(add=2) + softplus),
            bytes_read=bias * c * b_w,
            bytes_written=bias * c * b_w,
            weight_bytes=bias * c * b_w,
        ),
        "scan": selective_scan_backward.function(
            n=n, l=l, c=c, states=states, b_x=b_x, b_w=b_w, b_y=b_y
        ),
        "gate": Cost(
            macs=gates * steps * (states + 1),
            other_flops=gates * steps * (silu + flops(mul=2)),
            bytes_read=gates * steps * b_x,
            bytes_written=gates * steps * b_y,
        ),
    }


@binds("costmodel::selective_scan_backward")
def bind_selective_scan_backward(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    """(∇y, x, Δ, A, B, C, D, z, bias): x (n, c, l), A (c, states)."""
    _, x, _, a = required(op, inputs, 0, 1, 2, 3)
    *samples, c, l = x.shape
    n = 1
    for size in samples:
        n = n * size
    return bind(
        "gated_selective_scan_backward", kind="recurrent", n=n, l=l, c=c, states=a.shape[-1],
        gates=int(inputs[7] is not None), bias=int(inputs[8] is not None),
    )  # fmt: skip
