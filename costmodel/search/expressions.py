"""Conditions between parameters as text: "depth3 >= depth2", "width % heads == 0".

Only arithmetic and comparisons of names and numbers, over arrays of designs; nothing else that
Python could do is let in, since spaces come from strangers too.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from costmodel.errors import UsageError

Array = np.ndarray

MAX_LENGTH = 500
"""Characters of one condition."""

_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARISONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


@dataclass(frozen=True)
class Condition:
    """A condition on designs."""

    text: str
    names: tuple[str, ...]
    """The parameters it is about."""
    _tree: ast.expr

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read a condition.

        Raises:
            UsageError: if it is not one, naming the part that is not allowed.
        """
        if len(text) > MAX_LENGTH:
            raise UsageError(f"condition of {len(text)} characters: expected {MAX_LENGTH} at most")
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise UsageError(
                f"condition {text!r}: expected one such as 'depth3 >= depth2'"
            ) from None
        names: dict[str, None] = {}
        _check(tree, text, names)
        if not isinstance(tree, (ast.Compare, ast.BoolOp, ast.UnaryOp)):
            raise UsageError(f"condition {text!r}: expected a comparison, such as 'width <= 96'")
        return cls(text, tuple(names), tree)

    def holds(self, values: Mapping[str, Array]) -> Array:
        """Whether each design meets it: boolean, the shape of the values' arrays."""
        with np.errstate(all="ignore"):
            return np.asarray(_evaluate(self._tree, values), dtype=bool)


def _check(node: ast.AST, text: str, names: dict[str, None]) -> None:
    match node:
        case ast.Name(id=name):
            names[name] = None
        case ast.Constant(value=value) if isinstance(value, (int, float, str)):
            pass
        case ast.UnaryOp(op=ast.USub() | ast.Not(), operand=operand):
            _check(operand, text, names)
        case ast.BoolOp(values=terms):
            for term in terms:
                _check(term, text, names)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            _check(left, text, names)
            _check(right, text, names)
        case ast.Compare(left=left, ops=ops, comparators=others) if all(
            type(op) in _COMPARISONS for op in ops
        ):
            for term in (left, *others):
                _check(term, text, names)
        case _:
            raise UsageError(
                f"condition {text!r}: {type(node).__name__} is not allowed; expected parameters "
                "and numbers with + - * / // %, comparisons, and, or, not"
            )


def _evaluate(node: ast.expr, values: Mapping[str, Array]) -> Any:
    match node:
        case ast.Name(id=name):
            return values[name]
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand, values)
        case ast.UnaryOp(operand=operand):
            return np.logical_not(_evaluate(operand, values))
        case ast.BoolOp(op=op, values=parts):
            join = np.logical_and if isinstance(op, ast.And) else np.logical_or
            return join.reduce(np.broadcast_arrays(*(_evaluate(part, values) for part in parts)))
        case ast.BinOp(left=left, op=op, right=right):
            return _ARITHMETIC[type(op)](_evaluate(left, values), _evaluate(right, values))
        case ast.Compare(left=left, ops=ops, comparators=others):
            terms = [_evaluate(term, values) for term in (left, *others)]
            links = [
                _COMPARISONS[type(op)](a, b)
                for op, a, b in zip(ops, terms[:-1], terms[1:], strict=True)
            ]
            return np.logical_and.reduce(np.broadcast_arrays(*links))
    raise AssertionError(node)
