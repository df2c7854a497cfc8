"""Recurrent cells over a sequence: plain, gated (GRU) and long short-term memory (LSTM).

All three are a matrix of `gates` x hidden rows applied to [input, hidden state] at each step, and
some pointwise work. Weights are counted as read once: they stay on chip from step to step.
"""

from __future__ import annotations

from costmodel.formulas.activation import ACTIVATION_FLOPS
from costmodel.formulas.cost import Cost, S
from costmodel.formulas.primitives import flops
from costmodel.formulas.registry import Binding, Inputs, Outputs, bind, binds, formula, required
from costmodel.graph import Op

_SIGMOID, _TANH = ACTIVATION_FLOPS["sigmoid"], ACTIVATION_FLOPS["tanh"]

RNN_FLOPS = flops(add=1) + _TANH
"""Per hidden element and step: add the two products, tanh."""

GRU_FLOPS = 2 * (flops(add=1) + _SIGMOID) + flops(mul=1, add=1) + _TANH + flops(add=2, mul=1)
"""Reset and update gates, candidate n = tanh(W x + r · U h), h' = n + z · (h - n)."""

LSTM_FLOPS = 4 * flops(add=1) + 3 * _SIGMOID + 2 * _TANH + flops(mul=3, add=1)
"""Four sums, three gates, candidate, c' = f · c + i · g, h' = o · tanh(c')."""


def _cells(
    gates: int, pointwise: int, states: int,
    n: S, l: S, c_in: S, c_mid: S, layers: S, directions: S, bias: S, b_x: S, b_w: S, b_y: S,
) -> Cost:  # fmt: skip
    """`layers` of cells, the first on c_in features, the others on all directions of the one below.

    Between layers the sequence is written and read again; each layer and direction starts from
    `states` vectors and leaves as many.
    """
    below = directions * c_mid
    weights = gates * c_mid * directions * (c_in + c_mid + (layers - 1) * (below + c_mid))
    biases = 2 * bias * gates * c_mid * directions * layers
    kept = states * layers * directions * n * c_mid
    return Cost(
        macs=n * l * weights,
        other_flops=n * l * directions * layers * c_mid * (pointwise + 2 * bias * gates),
        bytes_read=(
            n * l * c_in * b_x + n * l * below * (layers - 1) * b_y + kept * b_x
            + (weights + biases) * b_w
        ),
        bytes_written=(n * l * below * layers + kept) * b_y,
        weight_bytes=(weights + biases) * b_w,
        parameters=weights + biases,
    )  # fmt: skip


@formula("rnn", kind="recurrent", source="Elman, Finding structure in time (1990)")
def rnn(
    n: S, l: S, c_in: S, c_mid: S, layers: S, directions: S, bias: S, b_x: S, b_w: S, b_y: S
) -> Cost:
    """h' = tanh(W x + U h): one gate of c_mid hidden elements, l steps."""
    return _cells(1, RNN_FLOPS, 1, n, l, c_in, c_mid, layers, directions, bias, b_x, b_w, b_y)


@formula(
    "gru",
    kind="recurrent",
    source="Cho et al., Learning phrase representations using RNN encoder-decoder (2014)",
)
def gru(
    n: S, l: S, c_in: S, c_mid: S, layers: S, directions: S, bias: S, b_x: S, b_w: S, b_y: S
) -> Cost:
    """Reset and update gates and a candidate: three matrices of c_mid rows, l steps."""
    return _cells(3, GRU_FLOPS, 1, n, l, c_in, c_mid, layers, directions, bias, b_x, b_w, b_y)


@formula(
    "lstm",
    kind="recurrent",
    source="Hochreiter and Schmidhuber, Long short-term memory (1997), with forget gates "
    "(Gers et al., 2000)",
)
def lstm(
    n: S, l: S, c_in: S, c_mid: S, layers: S, directions: S, bias: S, b_x: S, b_w: S, b_y: S
) -> Cost:
    """Input, forget and output gates and a candidate: four matrices of c_mid rows, l steps."""
    return _cells(4, LSTM_FLOPS, 2, n, l, c_in, c_mid, layers, directions, bias, b_x, b_w, b_y)


@binds("aten::lstm", "aten::gru", "aten::rnn_tanh", "aten::rnn_relu")
def bind_recurrent(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    """(input, states …, then for each layer and direction: W, U and, with biases, two vectors)."""
    name = op.target.rpartition("::")[2].partition("_")[0]
    x, state = required(op, inputs, 0, 1)
    batch_first = op.attrs.get("batch_first", False)
    n, l = (x.shape[0], x.shape[1]) if batch_first else (x.shape[1], x.shape[0])
    return bind(
        name,
        n=n,
        l=l,
        c_in=x.shape[-1],
        c_mid=state.shape[-1],
        layers=op.attrs.get("num_layers", 1),
        directions=2 if op.attrs.get("bidirectional", False) else 1,
        bias=int(bool(op.attrs.get("has_biases", True))),
    )
