"""Overlap of compute and memory time: neither a sum nor a maximum, but a p-norm between them."""

from __future__ import annotations

import numpy as np

from costmodel.roofline.laws.raising import raise_to

Array = np.ndarray


def p_norm(first: Array, second: Array, exponent: float) -> Array:
    """Return (first^p + second^p)^(1/p), elementwise and without overflow.

    p = 1 is no overlap, p to infinity perfect overlap; never below the longer of the two.
    """
    longer = np.maximum(first, second)
    joined: Array = np.asarray(np.minimum(first, second))
    joined /= np.maximum(longer, 1e-300)
    raise_to(joined, exponent)
    joined += 1.0
    raise_to(joined, 1 / exponent)
    joined *= longer
    return joined
