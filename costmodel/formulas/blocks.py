"""Blocks of convolutional networks as compositions of operators.

Batch norms are folded into their convolutions and activations fused, as at inference; each part
reads and writes its own tensors.
"""

from __future__ import annotations

from costmodel.formulas.activation import ACTIVATION_FLOPS
from costmodel.formulas.convolution import conv2d
from costmodel.formulas.cost import Cost, S
from costmodel.formulas.elementwise import elementwise
from costmodel.formulas.matmul import linear
from costmodel.formulas.normalization import batch_norm
from costmodel.formulas.partial import dwconv
from costmodel.formulas.primitives import flops
from costmodel.formulas.reduction import REDUCTION_FLOPS, reduction
from costmodel.formulas.registry import Textbook, composition

_HOWARD = "Howard et al., MobileNets (2017)"


def pointwise_convolution(n: S, c_in: S, c_out: S, p: S, bias: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """1x1 convolution at p positions."""
    return conv2d.function(
        n=n, c_in=c_in, c_out=c_out, h_in=p, w_in=1, h_out=p, w_out=1, k_h=1, k_w=1, g=1,
        bias=bias, b_x=b_x, b_w=b_w, b_y=b_y,
    )  # fmt: skip


def activation(name: str, elements: S, b_x: S, b_y: S) -> Cost:
    """An activation function as an operator of its own."""
    return elementwise.function(
        e_x=elements, e_w=0, e_y=elements, f=ACTIVATION_FLOPS[name], b_x=b_x, b_w=b_x, b_y=b_y
    )


def scaled(n: S, c: S, p: S, weights: S, b_x: S, b_y: S) -> Cost:
    """n x c x p elements times `weights` broadcast ones."""
    return elementwise.function(
        e_x=n * c * p + weights, e_w=0, e_y=n * c * p, f=flops(mul=1), b_x=b_x, b_w=b_x, b_y=b_y
    )


@composition(
    "separable",
    source=f"{_HOWARD}, section 3.1",
    textbook=Textbook(
        macs=lambda h, w, k, c_in, c_out, **_: h * w * (k**2 * c_in + c_in * c_out),
        accesses=None,
        citation=f"{_HOWARD}, equation 5",
        difference="one image",
    ),
)
def separable(n: S, c_in: S, c_out: S, h: S, w: S, k: S, b_x: S, b_w: S, b_y: S) -> dict[str, Cost]:
    """Depthwise separable convolution: depthwise k x k, then pointwise to c_out channels."""
    return {
        "depthwise": dwconv.function(n=n, c=c_in, h=h, w=w, k=k, b_x=b_x, b_w=b_w, b_y=b_y),
        "pointwise": pointwise_convolution(n, c_in, c_out, h * w, 0, b_x, b_w, b_y),
    }


@composition(
    "inverted_residual",
    source="Sandler et al., MobileNetV2 (2018), table 1 and section 3.3",
    textbook=Textbook(
        macs=lambda h_in, w_in, c_in, c_out, t, k, **_: (
            h_in * w_in * c_in * t * (c_in + k**2 + c_out)
        ),
        accesses=None,
        citation="Sandler et al., MobileNetV2 (2018), section 3.3",
        difference="one image, stride 1",
    ),
)
def inverted_residual(
    n: S, c_in: S, c_out: S, t: S, h_in: S, w_in: S, h_out: S, w_out: S, k: S, shortcut: S,
    b_x: S, b_w: S, b_y: S,
) -> dict[str, Cost]:  # fmt: skip
    """Widen by t (1x1), filter each channel (k x k, maybe with stride), narrow (1x1), add."""
    c_mid = t * c_in
    p_in, p_out = h_in * w_in, h_out * w_out
    filtered = conv2d.function(
        n=n, c_in=c_mid, c_out=c_mid, h_in=h_in, w_in=w_in, h_out=h_out, w_out=w_out,
        k_h=k, k_w=k, g=c_mid, bias=0, b_x=b_x, b_w=b_w, b_y=b_y,
    )  # fmt: skip
    outputs = n * c_out * p_out
    added = elementwise.function(
        e_x=2 * outputs, e_w=0, e_y=outputs, f=1, b_x=b_x, b_w=b_x, b_y=b_y
    )
    return {
        "expand": pointwise_convolution(n, c_in, c_mid, p_in, 0, b_x, b_w, b_y),
        "depthwise": filtered,
        "project": pointwise_convolution(n, c_mid, c_out, p_out, 0, b_x, b_w, b_y),
        "shortcut": added * shortcut,
    }


@composition(
    "squeeze_excitation", source="Hu et al., Squeeze-and-excitation networks (2018), section 3"
)
def squeeze_excitation(n: S, c: S, c_mid: S, p: S, b_x: S, b_w: S, b_y: S) -> dict[str, Cost]:
    """x · sigmoid(expand(relu(reduce(mean x)))): c means through c_mid channels to c weights."""
    layer = {"m": n, "bias": 1, "b_x": b_x, "b_w": b_w, "b_y": b_y}
    return {
        "squeeze": reduction.function(e_x=n * c * p, e_y=n * c, f=1, b_x=b_x, b_y=b_y),
        "reduce": linear.function(c_in=c, c_out=c_mid, **layer),
        "relu": activation("relu", n * c_mid, b_x, b_y),
        "expand": linear.function(c_in=c_mid, c_out=c, **layer),
        "sigmoid": activation("sigmoid", n * c, b_x, b_y),
        "scale": scaled(n, c, p, n * c, b_x, b_y),
    }


def _style(gate: str, g: S, n: S, c: S, p: S, b_x: S, b_w: S, b_y: S) -> dict[str, Cost]:
    """x · gate(norm(mix(mean x, std x))), the mix with g groups."""
    mix = conv2d.function(
        n=n, c_in=c, c_out=c, h_in=1, w_in=2, h_out=1, w_out=1, k_h=1, k_w=2, g=g, bias=0,
        b_x=b_x, b_w=b_w, b_y=b_y,
    )  # fmt: skip
    whole = {"e_x": n * c * p, "e_y": n * c, "b_x": b_x, "b_y": b_y}
    return {
        "mean": reduction.function(f=REDUCTION_FLOPS["mean"], **whole),
        "deviation": reduction.function(f=REDUCTION_FLOPS["std"], **whole),
        "mix": mix,
        "norm": batch_norm.function(n=n, c=c, p=1, affine=1, b_x=b_x, b_w=b_w, b_y=b_y),
        "gate": activation(gate, n * c, b_x, b_y),
        "scale": scaled(n, c, p, n * c, b_x, b_y),
    }


@composition("srm", source="Lee et al., SRM: A style-based recalibration module (2019), section 3")
def srm(n: S, c: S, p: S, b_x: S, b_w: S, b_y: S) -> dict[str, Cost]:
    """Style-based recalibration: each channel weighed by its own mean and standard deviation."""
    return _style("sigmoid", c, n, c, p, b_x, b_w, b_y)


@composition(
    "gaussian_channel_attention",
    source="Huang et al., Partial Channel Network: Compute Fewer, Perform Better, section 3.1",
)
def gaussian_channel_attention(n: S, c: S, p: S, b_x: S, b_w: S, b_y: S) -> dict[str, Cost]:
    """Enhanced Gaussian squeeze-and-excitation: all means and deviations weigh all channels."""
    return _style("hardsigmoid", 1, n, c, p, b_x, b_w, b_y)
