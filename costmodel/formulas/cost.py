"""`Cost`: what running an operator once takes, as numbers, NumPy arrays or sympy expressions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

S = Any
"""A scalar: an int, a float, a NumPy array or a sympy expression: costs are written once."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Work and traffic of one operator, or of several added up.

    MACs and FLOPs are never mixed: `macs` counts multiply-accumulates, `other_flops` all other
    arithmetic, and `flops` is 2 x macs + other_flops.
    """

    macs: S = 0
    """Multiply-accumulates."""
    other_flops: S = 0
    """Arithmetic that is not a multiply-accumulate, weighted by `elementwise.PRIMITIVE_FLOPS`."""
    bytes_read: S = 0
    """Distinct bytes read, weights included."""
    bytes_written: S = 0
    """Distinct bytes written."""
    weight_bytes: S = 0
    """The part of `bytes_read` that does not grow with the batch: parameters and constants."""
    parameters: S = 0
    """Number of parameters used."""

    @property
    def flops(self) -> S:
        """Floating-point operations: 2 x MACs + other."""
        return 2 * self.macs + self.other_flops

    @property
    def bytes(self) -> S:
        """Bytes read and written."""
        return self.bytes_read + self.bytes_written

    @property
    def intensity(self) -> S:
        """Arithmetic intensity, FLOP per byte (Williams, Waterman and Patterson, 2009)."""
        return self.flops / self.bytes

    def map(self, function: Callable[[S], S]) -> Cost:
        """The cost with `function` applied to each quantity."""
        return Cost(*(function(getattr(self, name)) for name in self.__slots__))

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    def __mul__(self, times: S) -> Cost:
        """The cost of running it `times` times."""
        return self.map(lambda value: value * times)

    __rmul__ = __mul__

    def subs(self, values: Mapping[Any, Any]) -> Cost:
        """Substitute symbols; only meaningful for sympy costs."""
        return self.map(lambda value: value.subs(values) if hasattr(value, "subs") else value)
