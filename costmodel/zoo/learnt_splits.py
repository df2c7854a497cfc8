"""PartialNet-T0 with the split ratios that DPConv learnt under fifteen complexity constraints.

Source: "Partial Channel Network: Compute Fewer, Perform Better", Figure 7, whose 13 layers are
the 13 blocks of 1-2-6-4 (and of 1-2-8-2). The larger theta, the fewer channels are convolved.
"""

from __future__ import annotations

from functools import partial

from costmodel.published import table
from costmodel.zoo.partialnet import PartialNet, partialnet
from costmodel.zoo.registry import register


def learnt_splits(theta: str) -> tuple[float, ...]:
    """Split ratio of each block for a row of the figure, theta as printed ("4", "4.5")."""
    return tuple(cell.value for cell in table("split-ratios").cells if cell.row == theta)


def partialnet_t0_theta(theta: str, merged: bool = False, classes: int = 1000) -> PartialNet:
    """PartialNet-T0 with the splits learnt under `theta`."""
    return partialnet("t0", ratios=learnt_splits(theta), merged=merged, classes=classes)


for _theta in table("split-ratios").rows:
    register(f"partialnet_t0_theta_{_theta}", partial(partialnet_t0_theta, _theta))
    register(
        f"partialnet_t0_theta_{_theta}_merged", partial(partialnet_t0_theta, _theta, merged=True)
    )
