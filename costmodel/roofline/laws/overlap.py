"""Overlap of compute and memory time: neither a sum nor a maximum, but a p-norm between them."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def p_norm(first: Array, second: Array, exponent: float) -> Array:
    """Return (first^p + second^p)^(1/p), elementwise and without overflow.

    p = 1 is no overlap, p to infinity perfect overlap; never below the longer of the two.
    """
    longer = np.maximum(first, second)
    shorter = np.minimum(first, second)
    ratio = np.divide(shorter, longer, out=np.zeros_like(longer), where=longer > 0)
    joined: Array = longer * (1 + ratio**exponent) ** (1 / exponent)
    return joined
