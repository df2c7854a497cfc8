"""Sizes and shapes as numbers or expressions: division, broadcasting, reduced axes."""

from __future__ import annotations

from collections.abc import Sequence

from costmodel.graph import Dim
from costmodel.tracing.onnx_model.values import NodeError, is_symbolic


def floor_divide(a: Dim, b: Dim) -> Dim:
    """a / b rounded down."""
    if is_symbolic(a) or is_symbolic(b):
        import sympy

        return sympy.floor(sympy.cancel(sympy.sympify(a) / b))
    return a // b


def ceil_divide(a: Dim, b: Dim) -> Dim:
    """a / b rounded up."""
    return -floor_divide(-a, b)


def broadcast(*shapes: Sequence[Dim]) -> list[Dim]:
    """The shape that all broadcast to.

    Raises:
        NodeError: if they do not.
    """
    result: list[Dim] = [1] * max((len(s) for s in shapes), default=0)
    for shape in shapes:
        for i, size in enumerate(reversed(shape), 1):
            have = result[-i]
            if size == have or is_one(size):
                continue
            if is_one(have) or (is_symbolic(have) and not is_symbolic(size)):
                result[-i] = size
            elif not is_symbolic(size) and not is_symbolic(have):
                listed = " and ".join(str(list(s)) for s in shapes)
                raise NodeError(f"shapes {listed} do not broadcast")
    return result


def is_one(size: Dim) -> bool:
    """Whether a size is known to be 1."""
    return not is_symbolic(size) and size == 1


def reduced(shape: Sequence[Dim], axes: set[int], keep: bool) -> list[Dim]:
    """A shape with some axes reduced to 1, or removed."""
    if keep:
        return [1 if i in axes else s for i, s in enumerate(shape)]
    return [s for i, s in enumerate(shape) if i not in axes]
