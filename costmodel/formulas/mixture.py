"""Mixture of experts: each row multiplied by the matrix of the expert it was routed to."""

from __future__ import annotations

from costmodel.formulas.cost import Cost, S
from costmodel.formulas.registry import Binding, Inputs, Outputs, bind, binds, formula, required
from costmodel.formulas.sizes import smallest
from costmodel.graph import Op


@formula(
    "grouped_linear",
    kind="matmul",
    source="Shazeer et al., Outrageously large neural networks (2017), section 2; "
    "Gale et al., MegaBlocks (2022), section 4",
    gemm=lambda m, c_in, c_out, g, **_: (g, m / g, c_out, c_in),
)
def grouped_linear(m: S, c_in: S, c_out: S, g: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """m rows in g groups, each group times its own c_in x c_out matrix.

    Rows are spread over as many experts as can be: g is the number of experts, or of rows if there
    are fewer, so the traffic of the matrices is the most that routing can cause.
    """
    weights = g * c_in * c_out
    return Cost(
        macs=m * c_in * c_out,
        bytes_read=m * c_in * b_x + weights * b_w,
        bytes_written=m * c_out * b_y,
        weight_bytes=weights * b_w,
        parameters=weights,
    )


@binds("aten::_grouped_mm")
def bind_grouped_mm(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    x, weight = required(op, inputs, 0, 1)
    m, c_in = x.shape[-2:]
    experts, c_out = weight.shape[0], weight.shape[-1]
    return bind(
        "grouped_linear", m=m, c_in=c_in, c_out=c_out, g=smallest(experts, m),
        follows=frozenset({"m"}), indices=frozenset({2}),
    )  # fmt: skip


@binds("aten::histc")
def bind_histogram(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    """One addition to a bin per element."""
    (x,) = required(op, inputs, 0)
    return bind("reduction", primitive="histc", e_x=x.distinct, e_y=outputs[0].numel, f=1)
