"""The field's symbols: one name, one meaning, one unit, used by every formula.

A formula takes symbols as its parameters, so `symbol("c_in")` here is what `c_in` means there.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from costmodel.errors import UsageError

if TYPE_CHECKING:
    import sympy

MEANING: dict[str, str] = {
    # batches and sequences
    "n": "images (samples) in the batch",
    "b": "independent matrix products in a batch",
    "m": "rows: samples x positions, or items in a list",
    "l": "query positions, or steps of a sequence",
    "s": "key and value positions",
    "heads": "query heads",
    "heads_kv": "key and value heads (fewer than `heads` in grouped-query attention)",
    "d": "size of one head, of queries and keys",
    "d_v": "size of one head, of values",
    "causal": "1 if a query sees only earlier keys, else 0",
    "e_mask": "elements of an additive or boolean mask",
    "window": "positions in one attention window",
    "buckets": "relative distances that have a bias of their own",
    "states": "hidden states per channel of a state-space model",
    "points": "points of the index space: the product of all index sizes",
    # channels
    "c": "channels (features), or elements of a row",
    "c_in": "input channels (features)",
    "c_out": "output channels (features)",
    "c_p": "channels a partial operator convolves",
    "c_mid": "channels inside a block, hidden size of a recurrent cell",
    "g": "groups",
    "t": "expansion factor",
    "gates": "gates that are open: of a dynamic partial convolution, or behind a scan",
    "layers": "layers stacked in one operator",
    "directions": "2 if a sequence is read both ways, else 1",
    # space
    "h": "height (output height where both are equal)",
    "w": "width (output width where both are equal)",
    "h_in": "input height",
    "w_in": "input width",
    "d_in": "input depth (third spatial size)",
    "h_out": "output height",
    "w_out": "output width",
    "d_out": "output depth (third spatial size)",
    "k": "kernel size, or elements from which one output is made",
    "k_h": "kernel height",
    "k_w": "kernel width",
    "k_d": "kernel depth",
    "p": "positions per sample: the product of the spatial sizes",
    "p_in": "input positions that are read",
    "p_out": "output positions",
    "v": "pairs of an output position and a kernel tap that fall inside the input",
    # switches
    "bias": "1 with a bias, else 0",
    "affine": "1 with learnt scale and shift, else 0",
    "shortcut": "1 where the input is added to the output, else 0",
    "real": "1 if one side of a Fourier transform is real, else 0",
    "grad_x": "1 if the gradient of the input is wanted, else 0",
    "grad_w": "1 if the gradient of the weights is wanted, else 0",
    "grad_b": "1 if the gradient of the bias is wanted, else 0",
    # elements
    "e_x": "data elements read",
    "e_w": "elements read that do not depend on the batch (parameters, tables, constants)",
    "e_y": "elements written",
    "e_i": "indices read",
    "f": "FLOPs per element",
    # machines
    "devices": "devices that take part in a collective operation",
    "on_chip": "on-chip memory in bytes (shared memory or scratchpad of one core)",
    # bytes
    "b_x": "bytes per input element",
    "b_w": "bytes per weight element",
    "b_y": "bytes per output element",
    "b_i": "bytes per index",
}

FOLLOWS_BATCH = frozenset({"n", "b", "m", "e_x", "e_y", "e_i", "points"})
"""Symbols that grow in proportion to the batch when their operator works on model data."""

BYTES = ("b_x", "b_w", "b_y")
"""Bytes per element of an operator's data, weights and output: set by dtypes, not by shapes."""

_POSITIVE_REAL = frozenset({*BYTES, "b_i", "t", "on_chip"})
_MAY_BE_ZERO = frozenset(
    {
        "bias", "affine", "causal", "shortcut", "real", "grad_x", "grad_w", "grad_b", "gates",
        "e_mask", "e_w", "e_x", "e_i", "f",
    }
)  # fmt: skip


@cache
def symbol(name: str) -> sympy.Symbol:
    """The sympy symbol of a name: a positive integer, unless it can be zero or fractional.

    Raises:
        KeyError: if the name is not in `MEANING`.
    """
    import sympy

    MEANING[name]  # a formula may only use symbols that are explained
    if name in _POSITIVE_REAL:
        return sympy.Symbol(name, positive=True)
    if name in _MAY_BE_ZERO:
        return sympy.Symbol(name, nonnegative=True, integer=True)
    return sympy.Symbol(name, positive=True, integer=True)


_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


def expression(value: Any) -> Any:
    """A sympy expression from a number, an expression, or text such as "c/4" or "2*h + 1".

    Text may use the field's symbols, numbers, + - * / ** and parentheses.

    Raises:
        UsageError: if the text is anything else, naming what is not understood.
    """
    import sympy

    if not isinstance(value, str):
        return sympy.sympify(value)

    def read(node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return sympy.nsimplify(number, rational=True)
            case ast.Name(id=name) if name in MEANING:
                return symbol(name)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return _ARITHMETIC[type(op)](read(left), read(right))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -read(operand)
        raise UsageError(
            f"{value!r}: {ast.unparse(node)!r} is no number, symbol or arithmetic of them; "
            f"symbols are {', '.join(MEANING)}"
        )

    try:
        tree = ast.parse(value.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError) as error:
        raise UsageError(f"{value!r} is no arithmetic expression") from error
    return read(tree.body)
