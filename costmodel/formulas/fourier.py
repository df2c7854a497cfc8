"""Fast Fourier transforms."""

from __future__ import annotations

from math import prod

from costmodel.formulas.cost import Cost, S
from costmodel.formulas.registry import Binding, Inputs, Outputs, bind, binds, formula, required
from costmodel.graph import Op


@formula(
    "fft",
    kind="elementwise",
    source="Cooley and Tukey (1965): c/2 · log₂ c butterflies of one complex product (6 FLOPs) "
    "and two complex sums (4)",
)
def fft(m: S, c: S, e_x: S, e_y: S, real: S, b_x: S, b_y: S) -> Cost:
    """m transforms of c points, over one or several dimensions: 5 c log₂ c FLOPs each.

    A real side halves the work and one of the two widths.
    """
    import sympy

    return Cost(
        other_flops=m * 5 * c * sympy.log(c, 2) / (1 + real),
        bytes_read=e_x * b_x,
        bytes_written=e_y * b_y,
    )


@binds("aten::_fft_r2c", "aten::_fft_c2c", "aten::_fft_c2r")
def bind_fft(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    x, y = required(op, inputs, 0)[0], outputs[0]
    whole = y if op.target == "aten::_fft_c2r" else x
    c = prod(whole.shape[d] for d in op.attrs["dim"])
    real = int(op.target != "aten::_fft_c2c")
    return bind("fft", m=whole.numel // c, c=c, e_x=x.distinct, e_y=y.numel, real=real)
