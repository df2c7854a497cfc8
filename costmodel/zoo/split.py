"""How a partial operator divides its channels.

The first c_p = r_p * c channels are worked on; the other c - c_p are left alone or attended to.
"""

from __future__ import annotations

from costmodel.errors import UsageError


def partial_channels(channels: int, ratio: float) -> int:
    """c_p for a split ratio r_p, rounded down, at least one channel.

    Raises UsageError unless 0 < ratio <= 1.
    """
    if not 0 < ratio <= 1:
        raise UsageError(f"split ratio {ratio} of {channels} channels is outside (0, 1]")
    return max(1, int(channels * ratio))
