"""FLOPs per element, counted by running each function on numbers that count what is done to them.

The definitions here are the mathematical ones, written out; the tables must say the same.
"""

from __future__ import annotations

from collections import Counter

import pytest

from costmodel.formulas.activation import ACTIVATION_FLOPS, GRADIENT_FLOPS
from costmodel.formulas.elementwise import POINTWISE_FLOPS
from costmodel.formulas.normalization import (
    DEVIATION_FLOPS,
    NORMALIZE_FLOPS,
    SCALE_FLOPS,
    STATISTICS_FLOPS,
)
from costmodel.formulas.optimizer import (
    ADAM_FLOPS,
    MOMENTUM_FLOPS,
    SGD_FLOPS,
    WEIGHT_DECAY_FLOPS,
)
from costmodel.formulas.primitives import PRIMITIVE_FLOPS, flops
from costmodel.formulas.quantization import DEQUANTIZE_FLOPS, QUANTIZE_FLOPS
from costmodel.formulas.recurrent import GRU_FLOPS, LSTM_FLOPS, RNN_FLOPS
from costmodel.formulas.reduction import REDUCTION_FLOPS
from costmodel.formulas.resize import COORDINATE_FLOPS
from costmodel.formulas.softmax import LOG_SOFTMAX_FLOPS, SOFTMAX_FLOPS

LIVERMORE = {"add": 1, "mul": 1, "compare": 1, "div": 4, "sqrt": 4, "exp": 8, "erf": 8}
"""McMahon, The Livermore Fortran Kernels (1986)."""

done: Counter[str] = Counter()


class N:
    """A number that counts; changing a sign and constants among themselves are free."""

    def __add__(self, other):
        done["add"] += 1
        return N()

    __radd__ = __sub__ = __rsub__ = __add__

    def __mul__(self, other):
        done["mul"] += 1
        return N()

    __rmul__ = __mul__

    def __truediv__(self, other):
        done["div"] += 1
        return N()

    __rtruediv__ = __truediv__

    def __neg__(self):
        return self


def _primitive(name):
    def function(*_):
        done[name] += 1
        return N()

    return function


exp, erf, sqrt, compare = (_primitive(p) for p in ("exp", "erf", "sqrt", "compare"))
log = exp
"""A transcendental counts as an exponential."""
maximum = minimum = choose = floor = compare
"""Picking one of two, and rounding, count as a comparison."""


def sigmoid(x):
    return 1 / (1 + exp(-x))


def tanh(x):
    e = exp(x)  # of -2x, the factor folded in
    return (1 - e) / (1 + e)


def softplus(x):
    return log(1 + exp(x))


def hardsigmoid(x):
    return minimum(maximum(x + 3, 0), 6) * (1 / 6)


def gelu_backward(dy, x):
    density = 0.4 * exp(x * x * -0.5)
    distribution = 0.5 * (1 + erf(x * 0.7))
    return dy * (distribution + x * density)


def mish_backward(dy, x):
    t, s = tanh(softplus(x)), sigmoid(x)
    return dy * (t + x * s * (1 - t * t))


def silu_backward(dy, x):
    s = sigmoid(x)
    return dy * (s * (1 + x * (1 - s)))


def glu_backward(dy, a, b):
    s = sigmoid(b)
    da = dy * s
    return da, da * a * (1 - s)


ACTIVATIONS = {
    "relu": lambda x: maximum(x, 0),
    "relu6": lambda x: minimum(maximum(x, 0), 6),
    "hardtanh": lambda x: minimum(maximum(x, -1), 1),
    "threshold": lambda x: choose(x),
    "leaky_relu": lambda x: choose(x, 0.1 * x),
    "rrelu_with_noise": lambda x: choose(x, 0.1 * x),
    "prelu": lambda x: choose(x, N() * x),
    "_prelu_kernel": lambda x: choose(x, N() * x),
    "hardshrink": lambda x: (compare(x, 1), compare(x, -1)),
    "softshrink": lambda x: (compare(x, 1), compare(x, -1), x - 1),
    "hardsigmoid": hardsigmoid,
    "hardswish": lambda x: x * hardsigmoid(x),
    "sigmoid": sigmoid,
    "log_sigmoid_forward": lambda x: minimum(x, 0) - log(1 + exp(x)),
    "silu": lambda x: x * sigmoid(x),
    "tanh": tanh,
    "softplus": lambda x: choose(x, softplus(x)),  # linear above a threshold
    "mish": lambda x: x * tanh(softplus(x)),
    "elu": lambda x: choose(x, 0.1 * (exp(x) - 1)),
    "selu": lambda x: 1.05 * choose(x, 1.67 * (exp(x) - 1)),
    "celu": lambda x: choose(x, 0.1 * (exp(x * 10) - 1)),
    "gelu": lambda x: 0.5 * x * (1 + erf(x * 0.7)),
    "glu": lambda x: N() * sigmoid(x),
}

GRADIENTS = {
    "threshold_backward": lambda dy, y: choose(y, dy),
    "hardtanh_backward": lambda dy, x: (compare(x, 1), compare(x, -1)),
    "leaky_relu_backward": lambda dy, x: choose(x, 0.1 * dy),
    "rrelu_with_noise_backward": lambda dy, x: choose(x, 0.1 * dy),
    "hardshrink_backward": lambda dy, x: (compare(x, 1), compare(x, -1)),
    "softshrink_backward": lambda dy, x: (compare(x, 1), compare(x, -1)),
    "hardsigmoid_backward": lambda dy, x: (compare(x, 3), compare(x, -3), dy * (1 / 6)),
    "hardswish_backward": lambda dy, x: (compare(x, 3), compare(x, -3), dy * (x * (1 / 3) + 0.5)),
    "sigmoid_backward": lambda dy, y: dy * y * (1 - y),
    "log_sigmoid_backward": lambda dy, x: dy * sigmoid(-x),
    "silu_backward": silu_backward,
    "tanh_backward": lambda dy, y: dy * (1 - y * y),
    "softplus_backward": lambda dy, x: choose(x, dy * sigmoid(x)),
    "mish_backward": mish_backward,
    "elu_backward": lambda dy, x: choose(x, dy * (0.1 * exp(x))),
    "gelu_backward": gelu_backward,
}

ONE = [
    "add", "sub", "rsub", "mul", "neg", "abs", "sign", "square", "eq", "ne", "lt", "le", "gt", "ge",
    "maximum", "minimum", "fmod", "floor", "ceil", "round", "trunc", "frac", "isnan", "isinf",
    "isfinite", "bitwise_and", "bitwise_or", "bitwise_not", "bitwise_xor", "logical_and",
    "logical_or", "logical_not", "logical_xor", "__and__", "__or__", "__xor__", "__lshift__",
    "__rshift__", "bitwise_left_shift", "bitwise_right_shift", "clamp_min", "clamp_max",
    "masked_fill", "where", "nan_to_num", "fmax", "fmin", "sgn", "signbit", "heaviside",
]  # fmt: skip
TRANSCENDENTAL = [
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos",
    "atan", "atan2", "sinh", "cosh", "asinh", "acosh", "atanh", "lgamma", "digamma", "erf", "erfc",
    "erfinv", "special_erf", "special_erfinv",
]  # fmt: skip

POINTWISE = {
    **dict.fromkeys(ONE, lambda x: x + 1),
    **dict.fromkeys(TRANSCENDENTAL, lambda x: exp(x)),
    "clamp": lambda x: minimum(maximum(x, 0), 6),
    "div": lambda x: x / N(),
    "floor_divide": lambda x: floor(x / N()),
    "remainder": lambda x: x - N() * floor(x / N()),
    "reciprocal": lambda x: 1 / x,
    "sqrt": lambda x: sqrt(x),
    "rsqrt": lambda x: 1 / sqrt(x),
    "logit": lambda x: log(x / (1 - x)),
    "logaddexp": lambda x: maximum(x, N()) + log(1 + exp(x - N())),
    "xlogy": lambda x: x * log(N()),
    "pow": lambda x: exp(N() * log(x)),
    "hypot": lambda x: sqrt(x * x + N() * N()),
    "addcmul": lambda x: x + 0.5 * N() * N(),
    "addcdiv": lambda x: x + 0.5 * N() / N(),
    "lerp": lambda x: x + 0.5 * (N() - x),
    "dropout": lambda x: x * 2,
    "native_dropout": lambda x: x * compare(N()) * 2,
    "native_dropout_backward": lambda dy: dy * N() * 2,
    "mse_loss": lambda x: (x - N()) * N(),
    "mse_loss_backward": lambda x: 0.5 * (x - N()) * N(),
    "smooth_l1_loss": lambda x: (d := x - N(), choose(d, 0.5 * d * d, d - 0.5)),
    "smooth_l1_loss_backward": lambda x: minimum(maximum(2 * (x - N()), -1), 1) * N(),
    "binary_cross_entropy": lambda p: N() * log(p) + (1 - N()) * log(1 - p),
    "binary_cross_entropy_backward": lambda p: N() * ((p - N()) / (p * (1 - p))),
    "binary_cross_entropy_with_logits": lambda x: maximum(x, 0) - x * N() + log(1 + exp(x)),
}


def counted(function, arguments):
    done.clear()
    function(*(N() for _ in range(arguments)))
    return sum(LIVERMORE[name] * count for name, count in done.items())


def test_the_weights_of_primitives():
    assert PRIMITIVE_FLOPS == LIVERMORE
    assert flops() == 0
    assert flops(mul=2, exp=1) == 10
    with pytest.raises(KeyError):
        flops(root=1)


@pytest.mark.parametrize("name", sorted(ACTIVATION_FLOPS))
def test_activation(name):
    assert ACTIVATION_FLOPS[name] == counted(ACTIVATIONS[name], 1)


@pytest.mark.parametrize("name", sorted(GRADIENT_FLOPS.keys() & GRADIENTS.keys()))
def test_gradient_of_an_activation(name):
    assert GRADIENT_FLOPS[name] == counted(GRADIENTS[name], 2)


def test_gradients_with_two_results_share_the_work():
    assert GRADIENT_FLOPS.keys() - GRADIENTS.keys() == {"_prelu_kernel_backward", "glu_backward"}
    assert GRADIENT_FLOPS["glu_backward"] == counted(glu_backward, 3) / 2
    prelu = counted(lambda dy, x: (choose(x, dy * N()), choose(x, x * dy)), 2)
    assert GRADIENT_FLOPS["_prelu_kernel_backward"] == prelu / 2


@pytest.mark.parametrize("name", sorted(POINTWISE_FLOPS))
def test_pointwise(name):
    assert POINTWISE_FLOPS[name] == counted(POINTWISE[name], 1)


def test_nothing_is_defined_here_that_the_tables_lack():
    assert ACTIVATIONS.keys() == ACTIVATION_FLOPS.keys()
    assert GRADIENTS.keys() <= GRADIENT_FLOPS.keys()
    assert POINTWISE.keys() == POINTWISE_FLOPS.keys()


def lstm_step(w, u, c):
    i, f, o = (sigmoid(a + b) for a, b in zip(w[:3], u[:3], strict=True))
    c = f * c + i * tanh(w[3] + u[3])
    return o * tanh(c)


def gru_step(w, u, h):
    r, z = sigmoid(w[0] + u[0]), sigmoid(w[1] + u[1])
    n = tanh(w[2] + r * u[2])
    return n + z * (h - n)


def adam_step():
    g, m, v = N(), N(), N()
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g * g
    step = m / (sqrt(v) * 1.1 + 1e-8)
    return N() - 0.001 * step


@pytest.mark.parametrize(
    ("value", "function"),
    [
        (SOFTMAX_FLOPS, lambda: ((s := N() + (e := exp(N() - maximum(N())))), e / s)),
        (LOG_SOFTMAX_FLOPS, lambda: ((x := N() - maximum(N())), N() + exp(x), x - N())),
        (STATISTICS_FLOPS, lambda: (N() + N(), (d := N() - N()), N() + d * d)),
        (NORMALIZE_FLOPS, lambda: (N() - N()) * N()),
        (SCALE_FLOPS, lambda: N() * N() + N()),
        (DEVIATION_FLOPS, lambda: 1 / sqrt(N() + 1e-5)),
        (COORDINATE_FLOPS, lambda: ((x := (N() + 1) * N()), x - floor(x))),
        (QUANTIZE_FLOPS, lambda: minimum(maximum(floor(N() * N()) + N(), 0), 255)),
        (DEQUANTIZE_FLOPS, lambda: (N() - N()) * N()),
        (RNN_FLOPS, lambda: tanh(N() + N())),
        (GRU_FLOPS, lambda: gru_step([N()] * 3, [N()] * 3, N())),
        (LSTM_FLOPS, lambda: lstm_step([N()] * 4, [N()] * 4, N())),
        (ADAM_FLOPS, adam_step),
        (WEIGHT_DECAY_FLOPS, lambda: N() - 0.1 * N()),
        (SGD_FLOPS, lambda: N() - 0.1 * N()),
        (MOMENTUM_FLOPS, lambda: 0.9 * N() + N()),
        (REDUCTION_FLOPS["var"], lambda: (N() + N(), (d := N() - N()), N() + d * d)),
        (REDUCTION_FLOPS["norm"], lambda: N() + N() * N()),
        (REDUCTION_FLOPS["linalg_vector_norm"], lambda: N() + N() * N()),
        (REDUCTION_FLOPS["logsumexp"], lambda: N() + exp(N() - maximum(N()))),
        (REDUCTION_FLOPS["logcumsumexp"], lambda: log(N() + exp(N() - maximum(N())))),
        (REDUCTION_FLOPS["_cdist_forward"], lambda: ((d := N() - N()), N() + d * d)),
    ],
)
def test_work_per_element(value, function):
    assert value == counted(function, 0)


def test_a_sum_takes_one_flop_per_element():
    more = {"var", "std", "var_mean", "std_mean", "norm", "linalg_vector_norm", "logsumexp",
            "logcumsumexp", "_cdist_forward"}  # fmt: skip
    assert {REDUCTION_FLOPS[name] for name in REDUCTION_FLOPS.keys() - more} == {1}
    for name in ("std", "var_mean", "std_mean"):
        assert REDUCTION_FLOPS[name] == REDUCTION_FLOPS["var"]
