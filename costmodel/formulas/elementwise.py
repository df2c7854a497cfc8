"""Pointwise operators: each output element from the same element of the inputs.

One formula serves all; what differs is the arithmetic per element, written out below as a count
of primitives so that it can be checked and changed. These FLOPs are kept apart from MACs.
"""

from __future__ import annotations

from collections.abc import Sequence

from costmodel.formulas.cost import Cost, S
from costmodel.formulas.registry import Binding, Kind, bind, binds, formula
from costmodel.graph import Op, TensorSpec

PRIMITIVE_FLOPS = {"add": 1, "mul": 1, "compare": 1, "div": 4, "sqrt": 4, "exp": 8, "erf": 8}
"""FLOPs by which one primitive counts.

Source: the weights of the Livermore Loops (McMahon, The Livermore Fortran Kernels, LLNL 1986):
add, subtract, multiply and compare 1; divide and square root 4; exponential and the like 8.
"""


def flops(**counts: int) -> int:
    """FLOPs of so many primitives: flops(mul=2, exp=1) is 10."""
    return sum(PRIMITIVE_FLOPS[name] * count for name, count in counts.items())


SOFTMAX_FLOPS = flops(compare=1, add=2, exp=1, div=1)
"""Per element: running maximum, subtract it, exponential, sum, divide."""

ACTIVATION_FLOPS: dict[str, int] = {
    "relu": flops(compare=1),
    "relu6": flops(compare=2),
    "hardtanh": flops(compare=2),
    "leaky_relu": flops(compare=1, mul=1),
    "prelu": flops(compare=1, mul=1),
    "_prelu_kernel": flops(compare=1, mul=1),
    "threshold": flops(compare=1),
    "hardsigmoid": flops(add=1, compare=2, mul=1),
    "hardswish": flops(add=1, compare=2, mul=2),
    "sigmoid": flops(exp=1, add=1, div=1),
    "log_sigmoid_forward": flops(exp=2, add=2),
    "silu": flops(exp=1, add=1, div=1, mul=1),
    "mish": flops(exp=3, add=1, mul=1),
    "softplus": flops(exp=2, add=1, compare=1),
    "tanh": flops(exp=1, add=2, div=1),
    "elu": flops(exp=1, add=1, compare=1, mul=1),
    "gelu": flops(erf=1, add=1, mul=3),
    "glu": flops(exp=1, add=1, div=1, mul=1),
}
"""FLOPs per element of the activation functions, by ATen name."""

POINTWISE_FLOPS: dict[str, int] = {
    **dict.fromkeys(("add", "sub", "rsub", "mul", "neg", "abs", "sign", "square"), 1),
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge", "maximum", "minimum", "fmod"), 1),
    **dict.fromkeys(("floor", "ceil", "round", "trunc", "frac", "remainder", "isnan"), 1),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_not", "bitwise_xor"), 1),
    **dict.fromkeys(("logical_and", "logical_or", "logical_not", "logical_xor"), 1),
    **dict.fromkeys(("__and__", "__or__", "__lshift__", "__rshift__"), 1),
    **dict.fromkeys(("bitwise_left_shift", "bitwise_right_shift", "isinf", "isfinite"), 1),
    **dict.fromkeys(("clamp_min", "clamp_max", "masked_fill", "where", "nan_to_num"), 1),
    "clamp": flops(compare=2),
    "div": flops(div=1),
    "floor_divide": flops(div=1, add=1),
    "reciprocal": flops(div=1),
    "sqrt": flops(sqrt=1),
    "rsqrt": flops(sqrt=1, div=1),
    **dict.fromkeys(("exp", "exp2", "expm1", "log", "log2", "log1p", "sin", "cos", "atan"), 8),
    **dict.fromkeys(("erf", "erfinv", "atan2", "acos", "asin", "tan", "special_erf"), 8),
    "logit": flops(exp=1, div=1, add=1),
    "pow": flops(exp=2, mul=1),
    "addcmul": flops(mul=2, add=1),
    "addcdiv": flops(mul=1, div=1, add=1),
    "lerp": flops(mul=1, add=2),
    "dropout": flops(mul=1),
    "native_dropout": flops(mul=2, compare=1),
}
"""FLOPs per element of other pointwise operators, by ATen name."""


@formula(
    "elementwise",
    kind="elementwise",
    source="definition: one pass over inputs and output; FLOPs per element from the tables of "
    "costmodel.formulas.elementwise",
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


def operand_elements(
    inputs: Sequence[TensorSpec | None], batched: bool
) -> tuple[int, int]:
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


def bind_pointwise(name: str, flops_per_element: int, kind: Kind = "elementwise"):  # type: ignore[no-untyped-def]
    """A binder of the elementwise formula with a fixed number of FLOPs per element."""

    def binder(
        op: Op, inputs: Sequence[TensorSpec | None], outputs: Sequence[TensorSpec]
    ) -> Binding:
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


for _name, _flops in ACTIVATION_FLOPS.items():
    binds(f"aten::{_name}")(bind_pointwise(_name, _flops, "activation"))
for _name, _flops in POINTWISE_FLOPS.items():
    binds(f"aten::{_name}")(bind_pointwise(_name, _flops))
