"""Where two operators take equally long on a device: `Formula.crossover` with a device's rates."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from costmodel.estimation import resolve_target
from costmodel.formulas.algebra import Crossover, costs_at
from costmodel.formulas.registry import Formula, get_formula
from costmodel.formulas.symbols import symbol as field_symbol
from costmodel.graph import DTYPE_BYTES
from costmodel.hardware import DeviceProfile
from costmodel.roofline.ceilings import Target, ceilings
from costmodel.roofline.operators import MATRIX_KINDS
from costmodel.roofline.precision import get_precision

PEAK, BANDWIDTH = "P", "B"
"""Names of a device's FLOP/s and B/s in a closed form."""


def crossover(
    first: str | Formula,
    second: str | Formula,
    device: str | DeviceProfile | Target,
    symbol: str,
    precision: str = "fp32",
    **values: Any,
) -> tuple[Crossover, ...]:
    """Sizes at which two operators take equally long on a device's plain roofline.

    The device's peak for matrix products is used if either operator has them, its vector peak
    otherwise; launches and efficiency laws are left out.

    Args:
        first: a formula or its name.
        second: a formula or its name.
        device: a profile, or a name such as "v100-sxm2" or "epyc-73f3@1".
        symbol: the size to solve for.
        precision: what is computed in and stored ("fp16"), unless `values` give bytes.
        values: all other symbols of both, as numbers, or expressions of the one solved for.

    Raises:
        UnknownNameError: for an unknown formula, device or precision.
        UsageError: if a value is missing or belongs to neither, or the profile is incomplete.
    """
    one, other = _formulas(first, second)
    peak, bandwidth = _rates(one, other, device, precision)
    storage = DTYPE_BYTES[get_precision(precision).storage]
    return one.crossover(
        other, symbol=symbol, peak=peak, bandwidth=bandwidth, **{"b_x": storage, **values}
    )


def closed_form(
    first: str | Formula,
    second: str | Formula,
    device: str | DeviceProfile | Target,
    found: Crossover,
    precision: str = "fp32",
    **values: Any,
) -> Any | None:
    """A crossover as an expression of the device's peak P and bandwidth B and of all sizes.

    The equation of the two bounds that hold at the crossover, FLOPs / P or bytes / B on either
    side, solved in symbols; of its solutions the one that gives the number found.

    Args:
        first: as `crossover` was called with.
        second: likewise.
        device: likewise.
        found: what it returned.
        precision: likewise.
        values: likewise; they choose the solution, they are not put into it.

    Returns:
        A sympy expression, or None where the equation is of a degree that has no short solution.
    """
    import sympy

    one, other = _formulas(first, second)
    peak, bandwidth = sympy.symbols(f"{PEAK} {BANDWIDTH}", positive=True)
    size = field_symbol(found.symbol)
    given = {name: value for name, value in values.items() if not _is_number(value)}
    sides = [
        cost.flops / peak if bound == "compute" else cost.bytes / bandwidth
        for cost, bound in zip(costs_at((one, other), given), found.bounds, strict=True)
    ]
    equation = sympy.numer(sympy.together(sides[0] - sides[1]))
    rates = _rates(one, other, device, precision)
    storage = DTYPE_BYTES[get_precision(precision).storage]
    numbers = {"b_x": storage, **{n: v for n, v in values.items() if _is_number(v)}}
    at = {peak: rates[0], bandwidth: rates[1]}
    at |= {field_symbol(name): value for name, value in numbers.items()}
    for solution in _solutions(equation, size):
        value = sympy.N(solution.subs(at))
        if value.is_real and abs(float(value) - found.size) < 1e-6 * found.size:
            return solution
    return None


@lru_cache(maxsize=256)
def _solutions(equation: Any, size: Any) -> tuple[Any, ...]:
    """Sizes other than 0 that solve a linear or quadratic equation; none of a higher degree."""
    import sympy

    try:
        polynomial = sympy.Poly(equation, size)
    except sympy.PolynomialError:
        return ()
    coefficients = polynomial.all_coeffs()
    while coefficients and coefficients[-1] == 0:  # c = 0 is no size
        coefficients.pop()
    if len(coefficients) == 2:
        a, b = coefficients
        return (sympy.factor(-b / a),)
    if len(coefficients) == 3:
        a, b, c = map(sympy.factor, coefficients)
        root = sympy.sqrt(sympy.factor(b**2 - 4 * a * c))
        return ((-b + root) / (2 * a), (-b - root) / (2 * a))
    return ()


def _formulas(first: str | Formula, second: str | Formula) -> tuple[Formula, Formula]:
    one, other = (get_formula(f) if isinstance(f, str) else f for f in (first, second))
    return one, other


def _rates(
    first: Formula, second: Formula, device: str | DeviceProfile | Target, precision: str
) -> tuple[float, float]:
    """FLOP/s and B/s that both operators are held to."""
    limits = ceilings((resolve_target(device),), (get_precision(precision).matrix,))
    products = any(f.kind in MATRIX_KINDS or f.kind == "composition" for f in (first, second))
    peak = limits.matrix_peak if products else limits.vector_peak
    return float(peak[0, 0]), float(limits.bandwidth[0])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)
