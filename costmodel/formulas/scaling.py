"""Compound scaling: deeper, wider and finer together (Tan and Le, EfficientNet, 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class CompoundScaling:
    """Factors of depth, width and resolution for each unit of the scale φ.

    Convolutions take depth · width² · resolution² multiply-accumulates, so one unit of φ costs
    α · β² · γ² times as many; EfficientNet's α, β and γ make that about 2.
    """

    alpha: float = 1.2
    """Depth."""
    beta: float = 1.1
    """Width."""
    gamma: float = 1.15
    """Resolution."""

    def depth(self, phi: Any) -> Any:
        """α^φ."""
        return self.alpha**phi

    def width(self, phi: Any) -> Any:
        """β^φ."""
        return self.beta**phi

    def resolution(self, phi: Any) -> Any:
        """γ^φ."""
        return self.gamma**phi

    def macs(self, phi: Any) -> Any:
        """(α · β² · γ²)^φ times the multiply-accumulates of φ = 0."""
        return (self.alpha * self.beta**2 * self.gamma**2) ** phi
