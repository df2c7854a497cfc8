"""Arithmetic on sizes that may be ints or sympy expressions (of a symbolically traced graph)."""

from __future__ import annotations

from math import prod
from typing import Any


def is_symbolic(*sizes: Any) -> bool:
    """Whether any of the sizes is a sympy expression."""
    return any(hasattr(size, "free_symbols") for size in sizes)


def smallest(a: Any, b: Any) -> Any:
    """The smaller of two sizes."""
    if is_symbolic(a, b):
        import sympy

        return sympy.Min(a, b)
    return min(a, b)


def largest(a: Any, b: Any) -> Any:
    """The larger of two sizes."""
    if is_symbolic(a, b):
        import sympy

        return sympy.Max(a, b)
    return max(a, b)


def ceiling(a: Any, b: Any) -> Any:
    """a / b, rounded up."""
    if is_symbolic(a, b):
        import sympy

        return sympy.ceiling(a / b)
    return -(-a // b)


def volume(sizes: Any) -> Any:
    """The product of sizes: 1 if there are none."""
    return prod(sizes)
