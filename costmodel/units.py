"""Text with units to SI floats and back: the only place that knows prefixes.

Inside the package every number is an SI float: seconds, bytes, B/s, FLOP/s, Hz, W. Text with a
unit is met at the edge only, in device profiles and on the command line:

>>> parse("312 TFLOP/s", "FLOP/s")
312000000000000.0
>>> parse("40 GiB", "B")
42949672960.0

A quantity of the wrong dimension is refused, and so is a number without a unit. `B` is a byte and
`b` a bit; `GB` is 10^9 bytes and `GiB` 2^30. FLOP, OP, MAC and T (transfer) are dimensions of
their own, so operations per second never pass for a bandwidth, nor integer operations for
floating-point ones.
"""

from __future__ import annotations

import math
import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from costmodel.errors import UsageError

if TYPE_CHECKING:
    import pint

# The registry starts empty: nothing but these units exists, so "12 GB/furlong" is an error and
# "b" is a bit, not a barn.
_DEFINITIONS = """
p- = 1e-12
n- = 1e-9
u- = 1e-6 = µ- = μ-
m- = 1e-3
k- = 1e3
M- = 1e6
G- = 1e9
T- = 1e12
P- = 1e15
E- = 1e18
Ki- = 2**10
Mi- = 2**20
Gi- = 2**30
Ti- = 2**40
B = [data]
b = B / 8 = b = bit
FLOP = [floating_point_operation]
OP = [integer_operation]
MAC = [multiply_accumulate]
T = [transfer]
s = [time]
cycle = [cycle]
Hz = cycle / s
W = [power]
J = W * s
"""

_NUMBER_AND_UNIT = re.compile(
    r"\s*(?P<number>[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*(?P<unit>[^\d\s.+-].*?)?\s*"
)
_UNIT = re.compile(r"[A-Za-zµμ]+(?:/[A-Za-z]+)?")

_HINTS = (
    (re.compile(r"([kMGTPE]?)(FLOP|OP|MAC|flop|op)[sS]"), r"\1\2/s"),
    (re.compile(r"([kMGTPE]i?)([Bb])ps"), r"\1\2/s"),
    (re.compile(r"K(B|b|Hz)((?:/s)?)"), r"k\1\2"),
    (re.compile(r"([kMG])hz"), r"\1Hz"),
)

_EXAMPLES = {
    "FLOP/s": "312 TFLOP/s",
    "OP/s": "128 TOP/s",
    "B/s": "900 GB/s",
    "B": "40 GiB",
    "b": "384 bit",
    "b/s": "19.5 Gb/s",
    "Hz": "1.53 GHz",
    "W": "300 W",
    "J": "50 mJ",
    "s": "5 us",
}


def parse(text: str, unit: str) -> float:
    """Return `text` as a number of `unit`: parse("900 GB/s", "B/s") is 9e11.

    Raises UsageError when the text is not a number with a unit, or has another dimension.
    """
    if not isinstance(text, str):
        raise UsageError(f"{_expected(unit)}, got {text!r} without a unit")
    match = _NUMBER_AND_UNIT.fullmatch(text)
    if match is None:
        raise UsageError(f"{_expected(unit)}, got {text!r}")
    if not match["unit"]:
        raise UsageError(f"{_expected(unit)}, got {text!r} without a unit")
    value = float(match["number"]) * _factor(match["unit"], unit)
    value = float(f"{value:.15g}")  # 5 us is 5e-06, not 4.9999999999999996e-06
    if not math.isfinite(value):
        raise UsageError(f"{_expected(unit)}, got {text!r}, which is not finite")
    return value


def _expected(unit: str) -> str:
    example = f" such as {_EXAMPLES[unit]!r}" if unit in _EXAMPLES else ""
    return f"expected a quantity in {unit}{example}"


@lru_cache(maxsize=512)
def _factor(written: str, unit: str) -> float:
    """Return how many `unit` one `written` is; raises UsageError across dimensions."""
    if _UNIT.fullmatch(written) is None:
        raise UsageError(f"{_expected(unit)}, got the unit {written!r}")
    registry = _registry()
    try:
        quantity = registry.Quantity(1.0, written)
    except Exception as error:  # pint raises several unrelated types on unknown names
        hint = _hint(written)
        raise UsageError(f"{_expected(unit)}; {written!r} is no known unit{hint}") from error
    target = registry.Unit(unit)
    if quantity.dimensionality != target.dimensionality:
        raise UsageError(f"{_expected(unit)}; {written!r} is another kind of quantity")
    return float(quantity.to(target).magnitude)


def _hint(written: str) -> str:
    for pattern, replacement in _HINTS:
        if pattern.fullmatch(written):
            return f", write {pattern.sub(replacement, written)!r}"
    return ""


@cache
def _registry() -> pint.UnitRegistry[Any]:
    import pint  # 0.15 s to import, and only those who read text with units need it

    registry: pint.UnitRegistry[Any] = pint.UnitRegistry(None)
    for line in _DEFINITIONS.strip().splitlines():
        registry.define(line)
    return registry


_DECIMAL_PREFIXES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_BINARY_PREFIXES = ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))
_TIME_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))


def format_si(value: float, unit: str, digits: int = 3) -> str:
    """Return `value` with a decimal prefix: format_si(4.09e9, "MAC") is "4.09 GMAC"."""
    for factor, prefix in _DECIMAL_PREFIXES:
        # A value that rounds up to the next prefix takes it: 999.9996e6 is 1 G, not 1000 M.
        if _rounded(abs(value) / factor, digits) >= 1:
            return f"{_number(value / factor, digits)} {prefix}{unit}"
    return f"{_number(value, digits)} {unit}".rstrip()


def format_bytes(value: float, digits: int = 3) -> str:
    """Return a number of bytes with a binary prefix: format_bytes(2**30) is "1 GiB"."""
    for factor, name in _BINARY_PREFIXES:
        if _rounded(abs(value) / factor, digits) >= 1:
            return f"{_number(value / factor, digits)} {name}"
    return f"{_number(value, digits)} B"


def format_time(seconds: float, digits: int = 3) -> str:
    """Return a duration in s, ms, us or ns: format_time(0.00123) is "1.23 ms"."""
    for factor, name in _TIME_UNITS:
        if _rounded(abs(seconds) / factor, digits) >= 1:
            return f"{_number(seconds / factor, digits)} {name}"
    return f"{_number(seconds / 1e-9, digits)} ns" if seconds else "0 s"


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")


def _number(value: float, digits: int) -> str:
    """Return `value` to `digits` significant digits, without exponent or trailing zeros."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(_rounded(value, digits)))))
    text = f"{_rounded(value, digits):.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
