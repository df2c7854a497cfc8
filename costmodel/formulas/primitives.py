"""How many FLOPs one primitive counts as: the only weights in the book, to be checked and changed.

Multiply-accumulates are counted apart (`Cost.macs`); these weights turn everything else, from an
addition to an exponential, into `Cost.other_flops`.
"""

from __future__ import annotations

PRIMITIVE_FLOPS = {"add": 1, "mul": 1, "compare": 1, "div": 4, "sqrt": 4, "exp": 8, "erf": 8}
"""FLOPs by which one primitive counts.

Source: the weights of the Livermore Loops (McMahon, The Livermore Fortran Kernels, LLNL 1986):
add, subtract, multiply and compare 1; divide and square root 4; exponential and the like 8.
"""


def flops(**counts: int) -> int:
    """FLOPs of so many primitives: flops(mul=2, exp=1) is 10.

    Raises:
        KeyError: if there is no such primitive.
    """
    return sum(PRIMITIVE_FLOPS[name] * count for name, count in counts.items())
