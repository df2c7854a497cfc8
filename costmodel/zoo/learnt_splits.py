"""PartialNet-T0 with the split ratios that DPConv learnt under fifteen complexity constraints.

Source: "Partial Channel Network: Compute Fewer, Perform Better", Figure 7, whose 13 layers are
the 13 blocks of 1-2-6-4 (and of 1-2-8-2). The larger theta, the fewer channels are convolved.
"""

from __future__ import annotations

from functools import partial

from costmodel.errors import UnknownNameError
from costmodel.zoo.partialnet import PartialNet, partialnet
from costmodel.zoo.registry import register

DIVISORS = {
    "8.5": (32, 32, 32, 64, 32, 32, 32, 64, 32, 32, 64, 32, 32),
    "8": (8, 16, 32, 32, 64, 32, 32, 64, 32, 64, 32, 32, 32),
    "7.5": (8, 32, 32, 32, 32, 64, 32, 64, 32, 16, 64, 32, 32),
    "7": (8, 32, 32, 32, 64, 32, 32, 32, 32, 64, 64, 64, 16),
    "6.5": (4, 32, 32, 64, 32, 16, 64, 64, 16, 64, 64, 32, 32),
    "6": (8, 64, 16, 8, 128, 64, 16, 16, 32, 64, 32, 32, 16),
    "5.5": (4, 16, 32, 16, 32, 32, 16, 16, 16, 16, 16, 16, 8),
    "5": (4, 32, 32, 32, 32, 16, 16, 16, 16, 8, 16, 8, 8),
    "4.5": (4, 32, 16, 32, 32, 16, 16, 8, 32, 16, 16, 8, 8),
    "4": (4, 16, 16, 32, 32, 16, 16, 16, 16, 16, 16, 16, 4),
    "3.5": (4, 4, 8, 4, 4, 8, 4, 4, 8, 8, 4, 8, 4),
    "3": (4, 8, 4, 4, 8, 4, 8, 4, 4, 8, 4, 2, 4),
    "2.5": (2, 8, 4, 4, 2, 8, 8, 4, 4, 8, 4, 2, 4),
    "2": (2, 8, 8, 2, 4, 4, 4, 4, 8, 4, 8, 2, 2),
    "1.5": (2, 4, 4, 2, 4, 2, 4, 2, 4, 4, 4, 2, 2),
}
"""theta as printed, to 1 / r_p of each block, front to back."""


def learnt_splits(theta: str) -> tuple[float, ...]:
    """Split ratio r_p of each block for theta as printed ("4", "4.5")."""
    if theta not in DIVISORS:
        raise UnknownNameError("complexity constraint theta", theta, DIVISORS)
    return tuple(1 / divisor for divisor in DIVISORS[theta])


def partialnet_t0_theta(theta: str, merged: bool = False, classes: int = 1000) -> PartialNet:
    """PartialNet-T0 with the splits learnt under `theta`."""
    return partialnet("t0", ratios=learnt_splits(theta), merged=merged, classes=classes)


for _theta in DIVISORS:
    register(f"partialnet_t0_theta_{_theta}", partial(partialnet_t0_theta, _theta))
    register(
        f"partialnet_t0_theta_{_theta}_merged", partial(partialnet_t0_theta, _theta, merged=True)
    )
