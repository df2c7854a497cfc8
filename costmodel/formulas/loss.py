"""Classification loss: the negative logarithm of the probability of the right class."""

from __future__ import annotations

from costmodel.formulas.cost import Cost, S
from costmodel.formulas.registry import Binding, Inputs, Outputs, bind, binds, formula, required
from costmodel.graph import DTYPE_BYTES, Op

_SOURCE = "definition: -log p[class], averaged over rows"


@formula("nll_loss", kind="reduction", source=_SOURCE)
def nll_loss(m: S, b_i: S, b_x: S, b_y: S) -> Cost:
    """One of the log-probabilities of each of m rows picked by its class, and added up.

    Writes the loss and the total weight.
    """
    return Cost(other_flops=m, bytes_read=m * (b_i + b_x), bytes_written=2 * b_y)


@formula("nll_loss_backward", kind="movement", source=_SOURCE)
def nll_loss_backward(m: S, c: S, b_i: S, b_y: S) -> Cost:
    """m rows of c zeros, and -1/m written at the class of each."""
    return Cost(bytes_read=m * b_i, bytes_written=(m * c + m) * b_y)


@binds("aten::nll_loss_forward", "aten::nll_loss2d_forward")
def bind_nll_loss(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    (target,) = required(op, inputs, 1)
    width = DTYPE_BYTES[target.dtype]
    return bind("nll_loss", m=target.numel, b_i=width, indices=frozenset({1}))


@binds("aten::nll_loss_backward", "aten::nll_loss2d_backward")
def bind_nll_loss_backward(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    (target,) = required(op, inputs, 2)
    m = target.numel
    return bind(
        "nll_loss_backward",
        m=m,
        c=outputs[0].numel // m,
        b_i=DTYPE_BYTES[target.dtype],
        indices=frozenset({2}),
    )
