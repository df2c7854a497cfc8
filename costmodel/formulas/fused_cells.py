"""The pointwise part of one step of a recurrent layer as GPUs run it without cuDNN, and its
gradient; the products of the step are operators of their own."""

from __future__ import annotations

from costmodel.formulas.activation import ACTIVATION_FLOPS
from costmodel.formulas.cost import Cost, S
from costmodel.formulas.elementwise import operand_elements
from costmodel.formulas.primitives import flops
from costmodel.formulas.recurrent import GRU_FLOPS, LSTM_FLOPS
from costmodel.formulas.registry import Binder, Binding, Inputs, Outputs, bind, binds, formula
from costmodel.graph import Op

LSTM_GRADIENT_FLOPS = ACTIVATION_FLOPS["tanh"] + flops(mul=16, add=6)
"""Per hidden element, with t = tanh(c') again: ∇o = ∇h' t; ∇c' += ∇h' o (1 - t²); the gradients
of i, g, f and c, a product each; then s (1 - s) for three gates and 1 - g² for the candidate."""

GRU_GRADIENT_FLOPS = flops(mul=11, add=4)
"""Per hidden element: ∇z = ∇h' (h - n) (1 - z) z, ∇h = ∇h' z, ∇n = ∇h' (1 - z) (1 - n²), that of
the candidate's hidden part, ∇n r, and ∇r = ∇n (U h) (1 - r) r; 1 - z is made once."""


@formula(
    "fused_cell",
    kind="elementwise",
    source="Hochreiter and Schmidhuber (1997) and Cho et al. (2014), the sums and gates of a step",
)
def fused_cell(n: S, c_mid: S, f: S, e_x: S, e_w: S, e_y: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """f FLOPs for each of c_mid hidden elements of n samples: reads sums of products and the state,
    writes the new state and what the gradient needs."""
    return Cost(
        other_flops=n * c_mid * f,
        bytes_read=e_x * b_x + e_w * b_w,
        bytes_written=e_y * b_y,
        weight_bytes=e_w * b_w,
    )


def _cell(flops_each: float, flops_of_bias: int, state: int) -> Binder:
    """A cell whose output at `state` is as large as the hidden state."""

    def binder(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
        n, c_mid = outputs[state].shape
        data, constant = operand_elements(inputs, outputs[state].batched)
        biased = op.attrs.get("has_bias", len(inputs) > 3 and inputs[3] is not None)
        return bind(
            "fused_cell", n=n, c_mid=c_mid, f=flops_each + (flops_of_bias if biased else 0),
            e_x=data, e_w=constant, e_y=sum(y.numel for y in outputs),
        )  # fmt: skip

    return binder


# Two biases for each gate; the gradient of a bias sums over samples, of the LSTM's two at once.
binds("aten::_thnn_fused_lstm_cell")(_cell(LSTM_FLOPS, 8, 0))
binds("aten::_thnn_fused_lstm_cell_backward_impl")(_cell(LSTM_GRADIENT_FLOPS, 4, 1))
binds("aten::_thnn_fused_gru_cell")(_cell(GRU_FLOPS, 6, 0))
binds("aten::_thnn_fused_gru_cell_backward")(_cell(GRU_GRADIENT_FLOPS, 6, 2))
