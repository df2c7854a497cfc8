"""Recurrences along a sequence whose state never leaves the chip: Mamba's scan, RWKV's wkv."""

from __future__ import annotations

from costmodel.formulas.activation import ACTIVATION_FLOPS
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


@formula(
    "selective_scan",
    kind="recurrent",
    source="Gu and Dao, Mamba: Linear-time sequence modeling with selective state spaces (2023), "
    "algorithm 2 and section 3.3.2",
)
def selective_scan(n: S, l: S, c: S, states: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """h = exp(Δ A) h + Δ B x, y = C h + D x over l steps of c channels with `states` states each.

    Reads x and Δ (c per step), B and C (`states` per step), A and D; writes y. Per state and
    step: Δ A and its exponential, (Δ x) B, one MAC into h, one into y; per channel and step:
    Δ x, and one MAC for D x.
    """
    steps = n * l * c
    constants = c * states + c
    return Cost(
        macs=steps * (2 * states + 1),
        other_flops=steps * (states * flops(mul=2, exp=1) + flops(mul=1)),
        bytes_read=(2 * steps + 2 * n * l * states) * b_x + constants * b_w,
        bytes_written=steps * b_y,
        weight_bytes=constants * b_w,
        parameters=constants,
    )


@composition(
    "gated_selective_scan",
    source="Gu and Dao, Mamba (2023), sections 3.3.2 and 3.4: the step size and the gate in the "
    "kernel of the scan",
)
def gated_selective_scan(
    n: S, l: S, c: S, states: S, gates: S, bias: S, b_x: S, b_w: S, b_y: S
) -> dict[str, Cost]:
    """A selective scan that also makes Δ = softplus(Δ + bias) and, with gates = 1, y · SiLU(z)."""
    steps = n * l * c
    return {
        "step size": Cost(
            other_flops=bias * steps * (flops(add=1) + ACTIVATION_FLOPS["softplus"]),
            bytes_read=bias * c * b_w,
            weight_bytes=bias * c * b_w,
        ),
        "scan": selective_scan.function(n=n, l=l, c=c, states=states, b_x=b_x, b_w=b_w, b_y=b_y),
        "gate": Cost(
            other_flops=gates * steps * (ACTIVATION_FLOPS["silu"] + flops(mul=1)),
            bytes_read=gates * steps * b_x,
        ),
    }


WKV_FLOPS = flops(add=10, compare=2, mul=6, div=1, exp=4)
"""Per channel and step. Both for the output and for the state: a maximum of two exponents (one of
them a sum), two differences and exponentials, a numerator of two products and a sum, a denominator
of one product and a sum. The output then is numerator over denominator."""


@formula(
    "wkv",
    kind="recurrent",
    source="Peng et al., RWKV: Reinventing RNNs for the transformer era (2023), equations 14 and "
    "19-25 (the form with a running maximum)",
)
def wkv(n: S, l: S, c: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """Decaying weighted means of values v with weights exp(k) along l steps of c channels."""
    steps = n * l * c
    return Cost(
        other_flops=WKV_FLOPS * steps,
        bytes_read=2 * steps * b_x + 2 * c * b_w,
        bytes_written=steps * b_y,
        weight_bytes=2 * c * b_w,
    )


@binds("costmodel::selective_scan")
def bind_selective_scan(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    """x (n, c, l) and A (c, states); heads of channels count as samples do."""
    x, _, a = required(op, inputs, 0, 1, 2)
    *samples, c, l = x.shape
    n = 1
    for size in samples:
        n = n * size
    return bind(
        "gated_selective_scan", kind="recurrent", n=n, l=l, c=c, states=a.shape[-1],
        gates=int(len(inputs) > 6 and inputs[6] is not None),
        bias=int(len(inputs) > 7 and inputs[7] is not None),
    )  # fmt: skip


@binds("costmodel::wkv")
def bind_wkv(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    (key,) = required(op, inputs, 2)
    n, l, c = key.shape
    return bind("wkv", n=n, l=l, c=c)
