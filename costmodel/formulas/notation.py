"""How expressions read in a line of text: k²·c_in·c_out, and with numbers put in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def tidy(expression: Any) -> Any:
    """An expression with common factors in front and equal ones of a fraction cancelled.

    Quick, unlike a full simplification: sums are not multiplied out.
    """
    import sympy

    above, below = sympy.fraction(sympy.together(sympy.sympify(expression)))
    return sympy.factor_terms(above) / sympy.factor_terms(below)


def text(expression: Any) -> str:
    """A sympy expression in the field's signs: "c_in·c_out·k²", "⌈l/512⌉"."""
    import sympy

    plain = sympy.sstr(expression, order="none")
    plain = re.sub(r"\*\*(\d+)", lambda m: m[1].translate(_SUPERSCRIPT), plain)
    plain = plain.replace("**", "^").replace("*", "·")
    return plain.replace("Min(", "min(").replace("Max(", "max(")


def substituted(expression: Any, values: Mapping[Any, Any]) -> str:
    """The expression with numbers in the places of symbols, nothing worked out yet."""
    import sympy

    named = {s: sympy.Symbol(text(v), positive=True) for s, v in values.items()}
    with sympy.evaluate(False):
        shown = sympy.sympify(expression).xreplace(named)
    return text(shown)


def number(value: Any) -> str:
    """A number in full: "1,849,688,064", "0.7483"; integers have no fraction."""
    plain = float(value)
    if plain.is_integer() and abs(plain) < 2**63:
        return f"{int(value):,}"
    return f"{plain:,.4g}" if abs(plain) < 1000 else f"{plain:,.1f}"
