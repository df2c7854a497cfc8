"""Reductions over dimensions, softmax, and ordering."""

from __future__ import annotations

from collections.abc import Sequence

from costmodel.formulas.cost import Cost, S
from costmodel.formulas.elementwise import SOFTMAX_FLOPS, flops
from costmodel.formulas.registry import Binding, bind, binds, formula
from costmodel.graph import Op, TensorSpec


@formula(
    "reduction",
    kind="reduction",
    source="definition: one pass over the input",
)
def reduction(e_x: S, e_y: S, f: S, b_x: S, b_y: S) -> Cost:
    """e_x elements reduced to e_y with f FLOPs per input element."""
    return Cost(other_flops=f * e_x, bytes_read=e_x * b_x, bytes_written=e_y * b_y)


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


REDUCTION_FLOPS: dict[str, int] = {
    **dict.fromkeys(("sum", "mean", "prod", "amax", "amin", "max", "min", "argmax", "argmin"), 1),
    **dict.fromkeys(("any", "all", "cumsum", "cumprod", "count_nonzero", "nansum"), 1),
    **dict.fromkeys(("var", "std", "var_mean", "std_mean"), flops(add=2, mul=1)),
    **dict.fromkeys(("norm", "linalg_vector_norm"), flops(mul=1, add=1)),
    "logsumexp": flops(compare=1, add=2, exp=1),
}
"""FLOPs per input element, by ATen name."""


def _reduction(name: str, per_element: int):  # type: ignore[no-untyped-def]
    def binder(
        op: Op, inputs: Sequence[TensorSpec | None], outputs: Sequence[TensorSpec]
    ) -> Binding:
        x = inputs[0]
        assert x is not None
        written = sum(y.numel for y in outputs)
        return bind("reduction", primitive=name, e_x=x.distinct, e_y=written, f=per_element)

    return binder


for _name, _flops in REDUCTION_FLOPS.items():
    binds(f"aten::{_name}")(_reduction(_name, _flops))


@binds("aten::softmax", "aten::_softmax", "aten::_safe_softmax", "aten::_log_softmax")
def bind_softmax(
    op: Op, inputs: Sequence[TensorSpec | None], outputs: Sequence[TensorSpec]
) -> Binding:
    x = inputs[0]
    assert x is not None
    c = x.shape[op.attrs.get("dim", -1)] if x.shape else 1
    return bind("softmax", m=x.numel // max(c, 1), c=c)
