"""Pointwise operators: each output element from the same element of the inputs.

One formula serves all; what differs is the arithmetic per element, counted in primitives
(`costmodel.formulas.primitives`) so that it can be checked and changed. These FLOPs are kept
apart from MACs. Activation functions have tables of their own in `activation`.
"""

from __future__ import annotations

from costmodel.formulas.cost import Cost, S
from costmodel.formulas.primitives import flops
from costmodel.formulas.registry import Binder, Binding, Inputs, Kind, Outputs, bind, binds, formula
from costmodel.graph import Op

POINTWISE_FLOPS: dict[str, int] = {
    **dict.fromkeys(("add", "sub", "rsub", "mul", "neg", "abs", "sign", "square"), 1),
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge", "maximum", "minimum", "fmod"), 1),
    **dict.fromkeys(("floor", "ceil", "round", "trunc", "frac", "isnan", "isinf", "isfinite"), 1),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_not", "bitwise_xor"), 1),
    **dict.fromkeys(("logical_and", "logical_or", "logical_not", "logical_xor"), 1),
    **dict.fromkeys(("__and__", "__or__", "__xor__", "__lshift__", "__rshift__"), 1),
    **dict.fromkeys(("bitwise_left_shift", "bitwise_right_shift"), 1),
    **dict.fromkeys(("clamp_min", "clamp_max", "masked_fill", "where", "nan_to_num"), 1),
    **dict.fromkeys(("fmax", "fmin", "sgn", "signbit", "heaviside"), 1),
    "clamp": flops(compare=2),
    "div": flops(div=1),
    "floor_divide": flops(div=1, add=1),
    "remainder": flops(div=1, mul=1, add=2),
    "reciprocal": flops(div=1),
    "sqrt": flops(sqrt=1),
    "rsqrt": flops(sqrt=1, div=1),
    **dict.fromkeys(("exp", "exp2", "expm1", "log", "log2", "log10", "log1p"), flops(exp=1)),
    **dict.fromkeys(("sin", "cos", "tan", "asin", "acos", "atan", "atan2"), flops(exp=1)),
    **dict.fromkeys(("sinh", "cosh", "asinh", "acosh", "atanh", "lgamma", "digamma"), flops(exp=1)),
    **dict.fromkeys(("erf", "erfc", "erfinv", "special_erf", "special_erfinv"), flops(erf=1)),
    "logit": flops(exp=1, div=1, add=1),
    "logaddexp": flops(exp=2, add=3, compare=1),
    "xlogy": flops(exp=1, mul=1),
    "pow": flops(exp=2, mul=1),
    "hypot": flops(mul=2, add=1, sqrt=1),
    "addcmul": flops(mul=2, add=1),
    "addcdiv": flops(mul=1, div=1, add=1),
    "lerp": flops(mul=1, add=2),
    "dropout": flops(mul=1),
    "native_dropout": flops(mul=2, compare=1),
    "native_dropout_backward": flops(mul=2),
    "mse_loss": flops(add=1, mul=1),
    "mse_loss_backward": flops(add=1, mul=2),
    "smooth_l1_loss": flops(add=2, mul=2, compare=1),
    "smooth_l1_loss_backward": flops(add=1, mul=2, compare=2),
    "binary_cross_entropy": flops(exp=2, mul=2, add=3),
    "binary_cross_entropy_backward": flops(add=2, mul=2, div=1),
    "binary_cross_entropy_with_logits": flops(exp=2, mul=1, add=3, compare=1),
}
"""FLOPs per output element of pointwise operators, by ATen name.

Powers are exp(y · log x); a remainder is x - y · ⌊x / y⌋.
"""


@formula(
    "elementwise",
    kind="elementwise",
    source="definition: one pass over inputs and output; FLOPs per element from the tables of "
    "costmodel.formulas.elementwise and costmodel.formulas.activation",
)
def elementwise(e_x: S, e_w: S, e_y: S, f: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """A pointwise operator: reads e_x data and e_w constant elements, writes e_y.

    Broadcast operands are read once, so e_x can be smaller than a multiple of e_y.
    """
    return Cost(
        other_flops=f * e_y,
        bytes_read=e_x * b_x + e_w * b_w,
        bytes_written=e_y * b_y,
        weight_bytes=e_w * b_w,
    )


def operand_elements(inputs: Inputs, batched: bool) -> tuple[int, int]:
    """(data, constant) elements read; constants are what does not grow with a growing output."""
    data = constant = 0
    for spec in inputs:
        if spec is None:
            continue
        if spec.is_weight or (batched and not spec.batched):
            constant += spec.distinct
        else:
            data += spec.distinct
    return data, constant


def bind_pointwise(name: str, flops_per_element: float, kind: Kind = "elementwise") -> Binder:
    """A binder of the elementwise formula with a fixed number of FLOPs per output element."""

    def binder(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
        data, constant = operand_elements(inputs, outputs[0].batched)
        return bind(
            "elementwise",
            kind=kind,
            primitive=name,
            e_x=data,
            e_w=constant,
            e_y=sum(y.numel for y in outputs),
            f=flops_per_element,
        )

    return binder


for _name, _flops in POINTWISE_FLOPS.items():
    binds(f"aten::{_name}")(bind_pointwise(_name, _flops))


@binds("costmodel::fused")
def bind_fused(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    """Several operators as one, made by the fusion pass, which states their FLOPs together."""
    elements = sum(y.numel for y in outputs)
    return bind_pointwise("fused", op.attrs["flops"] / elements)(op, inputs, outputs)
