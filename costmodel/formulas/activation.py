"""Activation functions and their gradients: arithmetic per element, counted in primitives."""

from __future__ import annotations

from costmodel.formulas.elementwise import bind_pointwise
from costmodel.formulas.primitives import flops
from costmodel.formulas.registry import binds

ACTIVATION_FLOPS: dict[str, int] = {
    "relu": flops(compare=1),
    "relu6": flops(compare=2),
    "hardtanh": flops(compare=2),
    "threshold": flops(compare=1),
    "leaky_relu": flops(compare=1, mul=1),
    "rrelu_with_noise": flops(compare=1, mul=1),
    "prelu": flops(compare=1, mul=1),
    "_prelu_kernel": flops(compare=1, mul=1),
    "hardshrink": flops(compare=2),
    "softshrink": flops(compare=2, add=1),
    "hardsigmoid": flops(add=1, compare=2, mul=1),
    "hardswish": flops(add=1, compare=2, mul=2),
    "sigmoid": flops(exp=1, add=1, div=1),
    "log_sigmoid_forward": flops(exp=2, add=2, compare=1),
    "silu": flops(exp=1, add=1, div=1, mul=1),
    "tanh": flops(exp=1, add=2, div=1),
    "softplus": flops(exp=2, add=1, compare=1),
    "mish": flops(exp=3, add=3, div=1, mul=1),
    "elu": flops(exp=1, add=1, compare=1, mul=1),
    "selu": flops(exp=1, add=1, compare=1, mul=2),
    "celu": flops(exp=1, add=1, compare=1, mul=2),
    "gelu": flops(erf=1, add=1, mul=3),
    "glu": flops(exp=1, add=1, div=1, mul=1),
}
"""FLOPs per output element, by ATen name.

As computed: sigmoid 1 / (1 + exp(-x)); tanh (1 - e) / (1 + e) with e = exp(-2x), the factor
folded into the exponential; softplus log(1 + exp(x)); mish x · tanh(softplus(x)); gelu
x · (1 + erf(x / √2)) / 2; hardsigmoid min(max(x + 3, 0), 6) / 6; log sigmoid
min(x, 0) - log(1 + exp(-|x|)); glu a · sigmoid(b). Changing a sign is free.
"""

GRADIENT_FLOPS: dict[str, float] = {
    "threshold_backward": flops(compare=1),
    "hardtanh_backward": flops(compare=2),
    "leaky_relu_backward": flops(compare=1, mul=1),
    "rrelu_with_noise_backward": flops(compare=1, mul=1),
    "_prelu_kernel_backward": flops(compare=1, mul=1),
    "hardshrink_backward": flops(compare=2),
    "softshrink_backward": flops(compare=2),
    "hardsigmoid_backward": flops(compare=2, mul=1),
    "hardswish_backward": flops(compare=2, mul=2, add=1),
    "sigmoid_backward": flops(add=1, mul=2),
    "log_sigmoid_backward": flops(exp=1, add=1, div=1, mul=1),
    "silu_backward": flops(exp=1, add=3, div=1, mul=3),
    "tanh_backward": flops(add=1, mul=2),
    "softplus_backward": flops(exp=1, add=1, div=1, mul=1, compare=1),
    "mish_backward": flops(exp=4, add=6, div=2, mul=4),
    "elu_backward": flops(compare=1, exp=1, mul=2),
    "gelu_backward": flops(erf=1, exp=1, add=2, mul=7),
    "glu_backward": flops(exp=1, add=2, div=1, mul=3) / 2,
}
"""FLOPs per output element of the gradients, from the output's gradient and what was saved.

As computed: sigmoid dy · y · (1 - y); tanh dy · (1 - y²); silu dy · s · (1 + x · (1 - s)) with
s = sigmoid(x); gelu dy · (Φ(x) + x · φ(x)). PReLU and GLU write two gradients that share the
work.
"""

for _name, _flops in {**ACTIVATION_FLOPS, **GRADIENT_FLOPS}.items():
    binds(f"aten::{_name}")(bind_pointwise(_name, _flops, "activation"))
