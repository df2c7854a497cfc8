"""Comparing two operators in symbols: ratios of their costs, and the sizes where they tie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from costmodel.errors import UsageError
from costmodel.formulas.cost import Cost
from costmodel.formulas.symbols import BYTES, expression, symbol

if TYPE_CHECKING:
    from costmodel.formulas.formula import Formula

Bound = Literal["compute", "memory"]


@dataclass(frozen=True)
class Ratio:
    """Cost of one operator over that of another, quantity by quantity, as sympy expressions.

    A quantity that the other operator has none of is infinite, or 1 if neither has any.
    """

    macs: Any
    flops: Any
    bytes: Any
    parameters: Any
    intensity: Any


@dataclass(frozen=True)
class Crossover:
    """A size at which two operators take equally long."""

    symbol: str
    size: float
    seconds: float
    bounds: tuple[Bound, Bound]
    """What limits each of the two there."""
    before: str
    """The operator that is faster at smaller sizes."""
    after: str
    """The operator that is faster at larger sizes."""


def costs_at(
    formulas: Iterable[Formula], values: Mapping[str, Any], equal_bytes: bool = True
) -> list[Cost]:
    """Costs of several operators at the same values, symbolic where a value is not given.

    Args:
        formulas: operators to evaluate; each takes the values that it has symbols for.
        values: numbers, expressions or text by symbol.
        equal_bytes: whether bytes per element are b_x throughout where they are not given.

    Raises:
        UsageError: for a value that belongs to no formula.
    """
    formulas = list(formulas)
    known = {name for formula in formulas for name in formula.symbols}
    unknown = [name for name in values if name not in known]
    if unknown:
        names = " and ".join(repr(formula.name) for formula in formulas)
        have = ", ".join(sorted(known))
        raise UsageError(f"{names}: no symbol {', '.join(unknown)}; they have {have}")
    given = {name: expression(value) for name, value in values.items()}
    if equal_bytes:
        given = {**{name: given.get("b_x", symbol("b_x")) for name in BYTES}, **given}
    return [
        formula.function(**{name: given.get(name, symbol(name)) for name in formula.symbols})
        for formula in formulas
    ]


def ratio(first: Formula, second: str | Formula, shared: Mapping[str, Any]) -> Ratio:
    """Cost of `first` over cost of `second`; see `Formula.ratio_to`."""
    import sympy

    a, b = costs_at((first, _formula(second)), shared)

    def divided(quantity: str) -> Any:
        above, below = (sympy.sympify(getattr(cost, quantity)) for cost in (a, b))
        if below == 0:
            return sympy.Integer(1) if above == 0 else sympy.oo
        return sympy.simplify(above / below)

    return Ratio(*(divided(name) for name in Ratio.__dataclass_fields__))


def crossovers(
    first: Formula,
    second: str | Formula,
    unknown: str,
    peak: float,
    bandwidth: float,
    values: Mapping[str, Any],
) -> tuple[Crossover, ...]:
    """Sizes where two operators take equally long; see `Formula.crossover`.

    time = max(FLOPs / peak, bytes / bandwidth)    (Williams, Waterman and Patterson, 2009)

    Each of the four pairs of bounds gives an equation; a root counts if those bounds hold there
    and the sign of the difference changes. There are no sizes below 1, so a tie at 1 is none.
    """
    import sympy

    other = _formula(second)
    if peak <= 0 or bandwidth <= 0:
        raise UsageError(f"peak {peak} FLOP/s and bandwidth {bandwidth} B/s must be positive")
    if unknown not in {*first.symbols, *other.symbols}:
        raise UsageError(f"neither {first.name!r} nor {other.name!r} has a symbol {unknown!r}")
    size = symbol(unknown)
    sides = []
    for formula, cost in zip((first, other), costs_at((first, other), values), strict=True):
        free = set().union(*(sympy.sympify(q).free_symbols for q in (cost.flops, cost.bytes)))
        missing = sorted(str(s) for s in free - {size})
        if missing:
            raise UsageError(
                f"crossover in {unknown}: {formula.name!r} also needs {', '.join(missing)}"
            )
        rates = sympy.Float(peak, 30), sympy.Float(bandwidth, 30)
        sides.append(_Side(cost.flops / rates[0], cost.bytes / rates[1]))
    found = []
    for root in _roots(sides, size):
        below, above = (_difference(sides, size, root * factor) for factor in (1 - 1e-6, 1 + 1e-6))
        if below * above < 0:
            faster = (first.name, other.name) if below < 0 else (other.name, first.name)
            seconds = sides[0].at(size, root)
            bounds = (sides[0].bound(size, root), sides[1].bound(size, root))
            found.append(Crossover(unknown, root, seconds, bounds, *faster))
    return tuple(found)


def _formula(name: str | Formula) -> Formula:
    from costmodel.formulas.registry import get_formula

    return get_formula(name) if isinstance(name, str) else name


@dataclass(frozen=True)
class _Side:
    """Seconds that one operator computes and moves data, as expressions of the unknown size."""

    compute: Any
    memory: Any

    def at(self, size: Any, value: float) -> float:
        return max(float(part.subs(size, value)) for part in (self.compute, self.memory))

    def bound(self, size: Any, value: float) -> Bound:
        computing = float(self.compute.subs(size, value)) >= float(self.memory.subs(size, value))
        return "compute" if computing else "memory"


def _difference(sides: list[_Side], size: Any, value: float) -> float:
    return sides[0].at(size, value) - sides[1].at(size, value)


def _roots(sides: list[_Side], size: Any) -> list[float]:
    """Candidate sizes, in order: roots of the four equations, as polynomials where they are."""
    import sympy

    candidates: set[float] = set()
    for left in (sides[0].compute, sides[0].memory):
        for right in (sides[1].compute, sides[1].memory):
            numerator = sympy.numer(sympy.together(left - right))
            try:
                roots = sympy.Poly(numerator, size).nroots(n=20, maxsteps=200)
            except sympy.PolynomialError:
                roots = _bracketed(sympy.lambdify(size, left - right, "math"))
            for root in roots:
                value = sympy.re(root)
                if abs(sympy.im(root)) < 1e-9 * abs(value) and value > 1 + 1e-9:
                    candidates.add(float(value))
    distinct: list[float] = []
    for value in sorted(candidates):
        if not distinct or value > distinct[-1] * (1 + 1e-6):
            distinct.append(value)
    return distinct


def _bracketed(function: Any) -> list[float]:
    """Roots from 1 to 2^40 of a function that is no polynomial, by bisection between powers."""
    steps = [2 ** (i / 8) for i in range(8 * 40 + 1)]
    roots = []
    for low, high in pairwise(steps):
        sign = function(low)
        if sign == 0:
            roots.append(low)
        if sign * function(high) >= 0:
            continue
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if sign * function(middle) > 0 else (low, middle)
        roots.append(high)
    return roots
