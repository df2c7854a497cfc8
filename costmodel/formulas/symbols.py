"""The field's symbols: one name, one meaning, one unit, used by every formula.

A formula takes symbols as its parameters, so `symbol("c_in")` here is what `c_in` means there.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sympy

MEANING: dict[str, str] = {
    # batches and sequences
    "n": "images (samples) in the batch",
    "b": "independent matrix products in a batch",
    "m": "rows of the left matrix: samples x positions",
    "l": "query positions",
    "s": "key and value positions",
    "heads": "query heads",
    "heads_kv": "key and value heads (fewer than `heads` in grouped-query attention)",
    "d": "size of one head, of queries and keys",
    "d_v": "size of one head, of values",
    "causal": "1 if a query sees only earlier keys, else 0",
    "e_mask": "elements of an additive or boolean mask",
    # channels
    "c": "channels",
    "c_in": "input channels (features)",
    "c_out": "output channels (features)",
    "c_p": "channels a partial operator works on",
    "c_mid": "channels inside a block",
    "g": "groups",
    "t": "expansion factor",
    "r": "reduction factor",
    # space
    "h": "height (output height where both are equal)",
    "w": "width (output width where both are equal)",
    "dep": "depth (third spatial size)",
    "h_in": "input height",
    "w_in": "input width",
    "d_in": "input depth (third spatial size)",
    "h_out": "output height",
    "w_out": "output width",
    "d_out": "output depth (third spatial size)",
    "k": "kernel size",
    "k_h": "kernel height",
    "k_w": "kernel width",
    "k_d": "kernel depth",
    "bias": "1 with a bias, else 0",
    # elements
    "e_x": "data elements read",
    "e_w": "elements read that do not depend on the batch (parameters, tables, constants)",
    "e_y": "elements written",
    "f": "FLOPs per element",
    "p": "positions per sample: the product of the spatial sizes",
    "affine": "1 with learnt scale and shift, else 0",
    # bytes
    "b_x": "bytes per input element",
    "b_w": "bytes per weight element",
    "b_y": "bytes per output element",
}

FOLLOWS_BATCH = frozenset({"n", "b", "m", "e_x", "e_y"})
"""Symbols that grow in proportion to the batch when their operator works on model data."""

BYTES = ("b_x", "b_w", "b_y")


@cache
def symbol(name: str) -> sympy.Symbol:
    """The sympy symbol of a name: a nonnegative number (sizes are positive integers).

    Raises:
        KeyError: if the name is not in `MEANING`.
    """
    import sympy

    MEANING[name]  # a formula may only use symbols that are explained
    if name in BYTES or name in ("t", "r", "f"):
        return sympy.Symbol(name, positive=True)
    if name in ("bias", "affine", "causal", "e_mask", "e_w", "e_x"):
        return sympy.Symbol(name, nonnegative=True, integer=True)
    return sympy.Symbol(name, positive=True, integer=True)
