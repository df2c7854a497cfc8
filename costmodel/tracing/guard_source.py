"""Guards that a saved program states as Python source, read as relations without running them.

"(1 + (((-1) + L['x'].size()[2]) // 32)) != 1"   ->   Ne(floor((h - 1)/32) + 1, 1)
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

import sympy

_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: sympy.floor(a / b),
    ast.Mod: sympy.Mod,
}
_RELATIONS: Mapping[type[ast.cmpop], Any] = {
    ast.Eq: sympy.Eq,
    ast.NotEq: sympy.Ne,
    ast.Lt: sympy.Lt,
    ast.LtE: sympy.Le,
    ast.Gt: sympy.Gt,
    ast.GtE: sympy.Ge,
}
_FUNCTIONS: Mapping[str, Any] = {"max": sympy.Max, "min": sympy.Min}


def read_guard(text: str, size: Callable[[str, int], Any]) -> Any | None:
    """One guard as a sympy relation, or None if it is of another form.

    Args:
        text: Python source over `L['input'].size()[dimension]`.
        size: the expression of an input's dimension; a KeyError or IndexError means None.
    """
    try:
        return _read(ast.parse(text, mode="eval").body, size)
    except (SyntaxError, ValueError, KeyError, IndexError, TypeError, RecursionError, MemoryError):
        return None


def _read(node: ast.expr, size: Callable[[str, int], Any]) -> Any:
    match node:
        case ast.Constant(value=int() as value):
            return sympy.Integer(value)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_read(operand, size)
        case ast.BinOp(left=left, op=operator, right=right):
            return _ARITHMETIC[type(operator)](_read(left, size), _read(right, size))
        case ast.Compare(left=left, ops=[relation], comparators=[right]):
            return _RELATIONS[type(relation)](_read(left, size), _read(right, size))
        case ast.BoolOp(op=ast.And(), values=values):
            return sympy.And(*(_read(v, size) for v in values))
        case ast.BoolOp(op=ast.Or(), values=values):
            return sympy.Or(*(_read(v, size) for v in values))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return _FUNCTIONS[name](*(_read(a, size) for a in arguments))
        case ast.Subscript(
            value=ast.Call(
                func=ast.Attribute(
                    value=ast.Subscript(
                        value=ast.Name(id="L"), slice=ast.Constant(value=str() as name)
                    ),
                    attr="size",
                ),
                args=[],
            ),
            slice=ast.Constant(value=int() as dimension),
        ):
            return size(name, dimension)
    raise ValueError(ast.dump(node))
