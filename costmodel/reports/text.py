"""How numbers read in reports: every quantity with its unit, MACs and FLOPs never mixed."""

from __future__ import annotations

from math import isfinite
from typing import Any

from costmodel.units import format_bytes as show_bytes
from costmodel.units import format_si
from costmodel.units import format_time as show_time

__all__ = [
    "count",
    "exact",
    "finite",
    "percent",
    "show_bytes",
    "show_energy",
    "show_flops",
    "show_flops_rate",
    "show_intensity",
    "show_macs",
    "show_params",
    "show_rate",
    "show_shape",
    "show_time",
]


def exact(value: Any) -> int | float:
    """A count as the integer it is; fractional bytes (int4) stay fractional."""
    number = float(value)
    return int(number) if number.is_integer() else number


def finite(value: float) -> float | None:
    """A number as it is, None for one that JSON does not have."""
    return value if isfinite(value) else None


def percent(share: float) -> str:
    """A share as "12 %"; a small one is never shown as none."""
    if 0 < share < 0.001:
        return "<0.1 %"
    return f"{share * 100:.{1 if 0 < share < 0.0995 else 0}f} %"


def count(number: int, noun: str) -> str:
    """ "1 time", "3 times"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def show_energy(joules: float) -> str:
    """Energy: "1.2 J", "53 mJ", "840 uJ", "12 nJ"."""
    for factor, unit in ((1.0, "J"), (1e-3, "mJ"), (1e-6, "uJ")):
        if abs(joules) >= factor:
            return f"{joules / factor:.3g} {unit}"
    return f"{joules / 1e-9:.3g} nJ"


def show_macs(value: float) -> str:
    """Multiply-accumulates: "4.09 GMACs"."""
    return format_si(value, "MACs")


def show_flops(value: float) -> str:
    """Floating-point operations: "8.18 GFLOPs"."""
    return format_si(value, "FLOPs")


def show_flops_rate(value: float) -> str:
    """A rate of floating-point operations: "12.5 TFLOP/s"."""
    return format_si(value, "FLOP/s")


def show_intensity(value: float) -> str:
    """Arithmetic intensity: "12.5 FLOP/B"."""
    return f"{value:,.0f} FLOP/B" if value >= 1000 else f"{value:.3g} FLOP/B"


def show_params(value: float) -> str:
    """A number of parameters: "3.91 M"."""
    return format_si(value, "")


def show_rate(value: float) -> str:
    """Samples per second: "12,996"."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def show_shape(shape: Any) -> str:
    """A tensor's shape: "1x64x56x56"; a scalar is "scalar"."""
    return "x".join(str(size) for size in shape) or "scalar"
