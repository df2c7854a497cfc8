"""Reductions over dimensions, running sums, and the order of elements."""

from __future__ import annotations

from typing import Any

from costmodel.formulas.cost import Cost, S
from costmodel.formulas.primitives import flops
from costmodel.formulas.registry import (
    Binder,
    Binding,
    Inputs,
    Outputs,
    bind,
    binds,
    formula,
    required,
)
from costmodel.formulas.sizes import largest
from costmodel.graph import Op


@formula("reduction", kind="reduction", source="definition: one pass over the input")
def reduction(e_x: S, e_y: S, f: S, b_x: S, b_y: S) -> Cost:
    """e_x elements reduced to e_y with f FLOPs per input element.

    A sum of k elements counts k additions, its mean as many (1/k comes with the result).
    """
    return Cost(other_flops=f * e_x, bytes_read=e_x * b_x, bytes_written=e_y * b_y)


@formula("sort", kind="reduction", source="Knuth, The Art of Computer Programming 3, section 5.3.1")
def sort(m: S, c: S, b_x: S, b_y: S) -> Cost:
    """m rows of c elements put in order: c log₂ c comparisons, values and indices written.

    Element widths of values and indices are averaged in b_y.
    """
    import sympy

    return Cost(
        other_flops=m * c * sympy.log(c, 2),
        bytes_read=m * c * b_x,
        bytes_written=2 * m * c * b_y,
    )


@formula("topk", kind="reduction", source="Knuth, The Art of Computer Programming 3, section 5.2.3")
def topk(m: S, c: S, k: S, b_x: S, b_y: S) -> Cost:
    """The k largest of c elements in m rows: a heap of k, log₂ k + 1 comparisons per element."""
    import sympy

    return Cost(
        other_flops=m * c * (sympy.log(k, 2) + 1),
        bytes_read=m * c * b_x,
        bytes_written=2 * m * k * b_y,
    )


REDUCTION_FLOPS: dict[str, int] = {
    **dict.fromkeys(("sum", "mean", "prod", "amax", "amin", "max", "min", "argmax", "argmin"), 1),
    **dict.fromkeys(("_is_all_true", "_is_any_true"), 1),
    **dict.fromkeys(("any", "all", "cumsum", "cumprod", "count_nonzero", "nansum"), 1),
    **dict.fromkeys(("cummax", "cummin", "aminmax", "median", "mode"), 1),
    **dict.fromkeys(("var", "std", "var_mean", "std_mean"), flops(add=3, mul=1)),
    **dict.fromkeys(("norm", "linalg_vector_norm"), flops(mul=1, add=1)),
    "logsumexp": flops(compare=1, add=2, exp=1),
    "logcumsumexp": flops(compare=1, add=2, exp=2),
    "_cdist_forward": flops(add=2, mul=1),
}
"""FLOPs per input element, by ATen name; what is done once per output (a root) is left out.

Variance: add to the mean, then subtract it, square and add.
"""

_TWO_OPERANDS = frozenset({"max", "min"})
"""Names that are also pointwise: max(x, y) compares element by element."""


def _reduction(name: str, per_element: int) -> Binder:
    def binder(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
        read = sum(x.distinct for x in inputs if x is not None)
        written = sum(y.numel for y in outputs)
        many = sum(x is not None for x in inputs) > 1
        work = written if many and name in _TWO_OPERANDS else read
        if work is not read:
            return bind(
                "elementwise", primitive=name, kind="elementwise",
                e_x=read, e_w=0, e_y=written, f=per_element,
            )  # fmt: skip
        return bind("reduction", primitive=name, e_x=read, e_y=written, f=per_element)

    return binder


for _name, _flops in REDUCTION_FLOPS.items():
    binds(f"aten::{_name}")(_reduction(_name, _flops))


@binds("aten::sort", "aten::argsort", "aten::msort", "aten::_unique2")
def bind_sort(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    return bind("sort", **_rows(op, inputs))


@binds("aten::topk", "aten::kthvalue")
def bind_topk(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    return bind("topk", **_rows(op, inputs), k=largest(op.attrs["k"], 1))


def _rows(op: Op, inputs: Inputs) -> dict[str, Any]:
    """Rows of at least one element, since an empty one would have no logarithm."""
    (x,) = required(op, inputs, 0)
    c = largest(x.shape[op.attrs.get("dim", -1)], 1) if x.shape else 1
    return {"m": x.numel // c, "c": c}
