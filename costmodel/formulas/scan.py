"""Selective scan: the state-space recurrence of Mamba, whose state never leaves the chip."""

from __future__ import annotations

from costmodel.formulas.cost import Cost, S
from costmodel.formulas.primitives import flops
from costmodel.formulas.registry import formula


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
