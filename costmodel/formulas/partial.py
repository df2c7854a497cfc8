"""Partial convolution, and the convolutions it is compared with, in the symbols of its paper."""

from __future__ import annotations

from collections.abc import Iterable

from costmodel.formulas.convolution import conv2d
from costmodel.formulas.cost import Cost, S
from costmodel.formulas.registry import Textbook, formula


@formula(
    "pconv",
    kind="convolution",
    source="Chen et al., Run, Don't Walk: Chasing Higher FLOPS for Faster Neural Networks "
    "(CVPR 2023), section 3.3",
    textbook=Textbook(
        macs=lambda h, w, k, c_p, **_: h * w * k**2 * c_p**2,
        accesses=lambda h, w, c_p, **_: h * w * 2 * c_p,
        citation="Chen et al., Run, Don't Walk (CVPR 2023), equations 5 and 6",
        difference="one image; the k² · c_p² weights are left out of the memory accesses",
    ),
)
def pconv(n: S, c_p: S, h: S, w: S, k: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """Partial convolution: a k x k convolution on c_p of the channels, the others untouched.

    Written in place, so that untouched channels cost nothing; stride 1.
    """
    return conv2d.function(
        n=n, c_in=c_p, c_out=c_p, h_in=h, w_in=w, h_out=h, w_out=w, k_h=k, k_w=k, g=1, bias=0,
        b_x=b_x, b_w=b_w, b_y=b_y,
    )  # fmt: skip


@formula(
    "dwconv",
    kind="depthwise convolution",
    source="Howard et al., MobileNets (2017), section 3.1",
    textbook=Textbook(
        macs=lambda h, w, k, c, **_: h * w * k**2 * c,
        accesses=lambda h, w, c, **_: h * w * 2 * c,
        citation="Chen et al., Run, Don't Walk (CVPR 2023), equations 1 and 2",
        difference="one image; the k² · c weights are left out of the memory accesses; c is "
        "written c' there, since depthwise layers are widened",
    ),
)
def dwconv(n: S, c: S, h: S, w: S, k: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """Depthwise convolution: one k x k filter per channel, stride 1."""
    return conv2d.function(
        n=n, c_in=c, c_out=c, h_in=h, w_in=w, h_out=h, w_out=w, k_h=k, k_w=k, g=c, bias=0,
        b_x=b_x, b_w=b_w, b_y=b_y,
    )  # fmt: skip


@formula(
    "conv",
    kind="convolution",
    source="Dumoulin and Visin, A guide to convolution arithmetic for deep learning (2016)",
    textbook=Textbook(
        macs=lambda h, w, k, c, **_: h * w * k**2 * c**2,
        accesses=lambda h, w, k, c, **_: h * w * 2 * c + k**2 * c**2,
        citation="Chen et al., Run, Don't Walk (CVPR 2023), section 3.2",
        difference="one image",
    ),
)
def conv(n: S, c: S, h: S, w: S, k: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """Regular convolution of c to c channels, stride 1: what the others are compared with."""
    return conv2d.function(
        n=n, c_in=c, c_out=c, h_in=h, w_in=w, h_out=h, w_out=w, k_h=k, k_w=k, g=1, bias=0,
        b_x=b_x, b_w=b_w, b_y=b_y,
    )  # fmt: skip


@formula(
    "dpconv",
    kind="convolution",
    source="Huang et al., Partial Channel Network: Compute Fewer, Perform Better, section 3.2",
    textbook=Textbook(
        macs=lambda h, w, k, gates, **_: h * w * k**2 * zeta(gates),
        accesses=None,
        citation="Huang et al., Partial Channel Network, equation 7",
        difference="one image",
    ),
)
def dpconv(n: S, gates: S, h: S, w: S, k: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """Dynamic partial convolution as deployed: c_p = 2^gates channels, learnt, are convolved.

    `gates` is Σ g, how many of the log₂ c binary gates are 1. While it trains, it costs a dense
    convolution of all c channels.
    """
    return pconv.function(n=n, c_p=2**gates, h=h, w=w, k=k, b_x=b_x, b_w=b_w, b_y=b_y)


def printed_split_ratio(gates: S, c: S) -> S:
    """Equation 5 as printed: r_p = 2^Σ(1 - g) / c_in, which is 1 / c_p.

    Everywhere else in the paper r_p is c_p / c: `split_ratio`.
    """
    return c / 2**gates / c


def split_ratio(gates: S, c: S) -> S:
    """Share of the channels that are convolved: c_p / c = 2^Σg / c."""
    return 2**gates / c


def zeta(gates: S) -> S:
    """Equation 7, one layer: ζ = 2^(2Σg) = c_p², the connections that are left."""
    return 2 ** (2 * gates)


def kappa(channels: Iterable[S], theta: S) -> S:
    """The budget κ = Σ c²/θ that the sum of ζ is held under.

    With Eq. 7's ζ, r_p = 1/4 in every layer needs θ = 16; the paper's θ = 4 counts c · c_p ones,
    Eq. 6 before the mask.
    """
    return sum(c**2 / theta for c in channels)
