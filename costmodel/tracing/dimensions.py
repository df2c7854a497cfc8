"""Sizes that the framework traced symbolically, in the user's symbols and plain sympy.

The framework names its sizes s0, s77, … and has its own integer functions (FloorDiv, Mod, Max).
Here they become the names the user gave and sympy's own functions, so that what leaves the tracer
needs no torch to be read, printed or compiled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy
import torch
from torch.utils._sympy import functions as torch_sympy

from costmodel.tracing.tape import jsonable

SIZE_ASSUMPTIONS: dict[str, bool] = {"integer": True, "positive": True}
"""A size is a positive integer."""


def size_symbol(name: str) -> sympy.Symbol:
    """The symbol of a size the user named."""
    return sympy.Symbol(name, **SIZE_ASSUMPTIONS)


def _floor(a: Any, b: Any) -> Any:
    return sympy.floor(a / b)


_PLAIN: dict[str, Any] = {
    "FloorDiv": _floor,
    "CleanDiv": lambda a, b: a / b,
    "IntTrueDiv": lambda a, b: a / b,
    "FloatTrueDiv": lambda a, b: a / b,
    "CeilDiv": lambda a, b: sympy.ceiling(a / b),
    "CeilToInt": sympy.ceiling,
    "FloorToInt": sympy.floor,
    "TruncToInt": sympy.floor,  # sizes are not negative
    "TruncToFloat": sympy.floor,
    "ToFloat": lambda a: a,
    "Identity": lambda a: a,
    "Mod": sympy.Mod,
    "PythonMod": sympy.Mod,
    "Max": sympy.Max,
    "Min": sympy.Min,
    "PowByNatural": sympy.Pow,
    "FloatPow": sympy.Pow,
    "Where": lambda c, a, b: sympy.Piecewise((a, c), (b, True)),
}
"""sympy's own function for each of the framework's."""

_REPLACEMENTS: tuple[tuple[Any, Any], ...] = tuple(
    (getattr(torch_sympy, name), plain)
    for name, plain in _PLAIN.items()
    if hasattr(torch_sympy, name)
)


def _rounded_up(expression: Any) -> Any:
    """The expression with floor((a - 1) / k) + 1 written as ceiling(a / k), for whole a and k."""

    def rewrite(total: Any) -> Any:
        constant, rest = total.as_coeff_Add()
        terms = []
        for term in sympy.Add.make_args(rest):
            if constant >= 1 and isinstance(term, sympy.floor):
                above, below = sympy.fraction(sympy.together(term.args[0]))
                if above.as_coeff_Add()[0] == -1 and above.is_integer and below.is_integer:
                    terms.append(sympy.ceiling((above + 1) / below))
                    constant -= 1
                    continue
            terms.append(term)
        return sympy.Add(constant, *terms)

    if not expression.has(sympy.floor):
        return expression
    return expression.replace(lambda e: e.is_Add and e.as_coeff_Add()[0] >= 1, rewrite)


class SizeReader:
    """Reads sizes, strides and attributes as ints or sympy expressions in the user's symbols.

    Args:
        names: the user's expression for each of the framework's symbols.
    """

    def __init__(self, names: Mapping[sympy.Symbol, sympy.Expr]) -> None:
        self._names = dict(names)
        self._seen: dict[Any, Any] = {}

    def expression(self, raw: Any) -> Any:
        """A framework expression or relation in the user's symbols: an int where it is one."""
        found = self._seen.get(raw)
        if found is None:
            found = raw
            for function, plain in _REPLACEMENTS:
                if found.has(function):
                    found = found.replace(function, plain)
            found = _rounded_up(found.xreplace(self._names))
            if found.is_Integer:
                found = int(found)
            self._seen[raw] = found
        return found

    def read(self, value: Any) -> Any:
        """A size as an int or expression, a list by its elements, other attributes by name."""
        if isinstance(value, (torch.SymInt, torch.SymFloat, torch.SymBool)):
            return self.expression(value.node.expr)
        if isinstance(value, (list, tuple)):  # torch.Size included
            return tuple(self.read(v) for v in value)
        return jsonable(value)
