"""Energy of designs."""

from __future__ import annotations

from costmodel.estimation import Estimate


def estimated_energy(estimate: Estimate) -> float:
    """Joules of an estimate, NaN where the profile lacks a number for it."""
    return float("nan")
