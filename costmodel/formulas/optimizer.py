"""Optimiser steps: one pass over parameters, gradients and the optimiser's own state."""

from __future__ import annotations

from collections.abc import Mapping

from costmodel.formulas.cost import Cost, S
from costmodel.formulas.elementwise import POINTWISE_FLOPS
from costmodel.formulas.primitives import flops
from costmodel.formulas.reduction import REDUCTION_FLOPS
from costmodel.formulas.registry import Binder, Binding, Inputs, Outputs, bind, binds, formula
from costmodel.graph import Op

ADAM_FLOPS = (
    flops(mul=2, add=1)
    + flops(mul=3, add=1)
    + flops(sqrt=1, mul=1, add=1, div=1)
    + flops(mul=1, add=1)
)
"""m = β₁ m + (1 - β₁) g;  v = β₂ v + (1 - β₂) g²;  step = m / (√v · s + ε);  p = p - η · step."""

WEIGHT_DECAY_FLOPS = flops(mul=1, add=1)

SGD_FLOPS = flops(mul=1, add=1)
"""p = p - η g."""

MOMENTUM_FLOPS = flops(mul=1, add=1)
"""u = μ u + g."""


@formula(
    "adam",
    kind="elementwise",
    source="Kingma and Ba, Adam (2015), algorithm 1, fused: bias corrections are scalars",
)
def adam(e_w: S, b_w: S) -> Cost:
    """One step on e_w parameters with decoupled or added weight decay.

    Reads parameter, gradient and two moments; writes all but the gradient.
    """
    return Cost(
        other_flops=(ADAM_FLOPS + WEIGHT_DECAY_FLOPS) * e_w,
        bytes_read=4 * e_w * b_w,
        bytes_written=3 * e_w * b_w,
        weight_bytes=4 * e_w * b_w,
    )


@formula("sgd", kind="elementwise", source="Sutskever et al., On the importance of initialization "
         "and momentum in deep learning (2013), fused")  # fmt: skip
def sgd(e_w: S, f: S, b_w: S) -> Cost:
    """One step on e_w parameters; with f = 1 a momentum is read and written as well."""
    return Cost(
        other_flops=(SGD_FLOPS + WEIGHT_DECAY_FLOPS + f * MOMENTUM_FLOPS) * e_w,
        bytes_read=(2 + f) * e_w * b_w,
        bytes_written=(1 + f) * e_w * b_w,
        weight_bytes=(2 + f) * e_w * b_w,
    )


def _first_list(inputs: Inputs, lists: int) -> int:
    """Elements of the first of so many equally long lists of tensors, flattened one by one."""
    return sum(x.numel for x in inputs[: len(inputs) // lists] if x is not None)


@binds("aten::_fused_adam", "aten::_fused_adamw")
def bind_adam(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    """(parameters, gradients, two or three moments, step counts): lists of equal length."""
    lists = 6 if op.attrs.get("amsgrad", False) else 5
    return bind("adam", e_w=_first_list(inputs, lists))


@binds("aten::_fused_sgd")
def bind_sgd(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    momentum = int(op.attrs.get("momentum", 0) != 0)
    return bind("sgd", e_w=_first_list(inputs, 2 + momentum), f=momentum)


_LISTS: Mapping[str, int] = {
    "add": 2, "sub": 2, "mul": 2, "div": 2, "maximum": 2, "minimum": 2, "clamp_min": 2,
    "clamp_max": 2, "pow": 2, "addcmul": 3, "addcdiv": 3, "lerp": 2, "sqrt": 1, "rsqrt": 1,
    "reciprocal": 1, "neg": 1, "abs": 1, "exp": 1, "sign": 1,
}  # fmt: skip
"""How many lists of tensors an operator on lists takes, unless its last one is a scalar."""

_SCALARS = ("scalar", "scalars", "other", "exponent")


def _on_lists(name: str, lists: int) -> Binder:
    """The pointwise operator on every tensor of a list; the output is often the first list."""

    def binder(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
        many = 1 if lists == 2 and any(key in op.attrs for key in _SCALARS) else lists
        tensors = [x for x in inputs if x is not None]
        read = sum(x.distinct for x in tensors)
        written = sum(y.numel for y in outputs) or _first_list(tensors, many)
        return bind(
            "elementwise", primitive=name, e_x=read, e_w=0, e_y=written, f=POINTWISE_FLOPS[name]
        )

    return binder


for _name, _lists in _LISTS.items():
    binds(f"aten::_foreach_{_name}")(_on_lists(_name, _lists))


@binds("aten::_foreach_norm")
def bind_norms(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    tensors = [x for x in inputs if x is not None]
    return bind(
        "reduction",
        primitive="norm",
        e_x=sum(x.distinct for x in tensors),
        e_y=len(tensors),
        f=REDUCTION_FLOPS["norm"],
    )
