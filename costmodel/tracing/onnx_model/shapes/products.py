"""Shapes of matrix products and attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from costmodel.graph import Dim
from costmodel.tracing.onnx_model.shapes.call import Call, Result, rule
from costmodel.tracing.onnx_model.shapes.sizes import (
    broadcast,
    floor_divide,
)
from costmodel.tracing.onnx_model.values import (
    NodeError,
    is_symbolic,
)


def matmul_shape(a: Sequence[Dim], b: Sequence[Dim]) -> list[Dim]:
    """Shape of a @ b as NumPy defines it."""
    if not a or not b:
        raise NodeError("a scalar cannot be multiplied as a matrix")
    left = [1, *a] if len(a) == 1 else list(a)
    right = [*b, 1] if len(b) == 1 else list(b)
    inner = (left[-1], right[-2])
    if inner[0] != inner[1] and not any(is_symbolic(s) for s in inner):
        raise NodeError(f"shapes {list(a)} and {list(b)} do not multiply")
    shape = broadcast(left[:-2], right[:-2])
    shape += ([left[-2]] if len(a) > 1 else []) + ([right[-1]] if len(b) > 1 else [])
    return shape


@rule("MatMul")
def _matmul(call: Call) -> Result:
    a, b = call.need(0), call.need(1)
    return [(matmul_shape(a.shape, b.shape), a.dtype)]


@rule("MatMulInteger")
def _matmul_integer(call: Call) -> Result:
    return [(matmul_shape(call.need(0).shape, call.need(1).shape), "int32")]


@rule("QLinearMatMul")
def _qlinear_matmul(call: Call) -> Result:
    return [(matmul_shape(call.need(0).shape, call.need(3).shape), call.need(7).dtype)]


@rule("Gemm")
def _gemm(call: Call) -> Result:
    a, b = call.need(0), call.need(1)
    if a.rank != 2 or b.rank != 2:
        raise NodeError(f"expected matrices, got {list(a.shape)} and {list(b.shape)}")
    left = a.shape[::-1] if call.attrs.get("transA") else a.shape
    right = b.shape[::-1] if call.attrs.get("transB") else b.shape
    return [(matmul_shape(left, right), a.dtype)]


def einsum_terms(equation: Any, ranks: Sequence[int]) -> tuple[list[str], str]:
    """Letters of each operand and of the result of an einsum without ellipsis.

    Raises:
        NodeError: if the equation does not fit the operands.
    """
    text = str(equation).replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if "." in text:
        free = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in text]
        widths = [rank - len(t.replace("...", "")) for t, rank in zip(terms, ranks, strict=False)]
        most = max([w for w, t in zip(widths, terms, strict=False) if "..." in t], default=0)
        if not 0 <= most <= len(free) or min(widths, default=0) < 0:
            raise NodeError(f"equation {equation!r} does not fit its operands")
        letters = "".join(free[:most])
        terms = [
            t.replace("...", letters[most - w :] if w else "")
            for t, w in zip(terms, widths, strict=False)
        ]
        right = right.replace("...", letters)
    if len(terms) != len(ranks) or [len(t) for t in terms] != list(ranks):
        raise NodeError(f"equation {equation!r} does not fit operands of ranks {list(ranks)}")
    if not arrow:
        joined = "".join(terms)
        right = "".join(sorted(c for c in set(joined) if joined.count(c) == 1))
    if any(c not in "".join(terms) for c in right) or len(set(right)) != len(right):
        raise NodeError(f"equation {equation!r} has a malformed result")
    return terms, right


@rule("Einsum")
def _einsum(call: Call) -> Result:
    values = [call.need(i) for i in range(len(call.inputs))]
    terms, right = einsum_terms(call.attrs["equation"], [v.rank for v in values])
    sizes: dict[str, Dim] = {}
    for term, value in zip(terms, values, strict=True):
        for letter, size in zip(term, value.shape, strict=True):
            sizes[letter] = broadcast([sizes.get(letter, 1)], [size])[0]
    return [([sizes[letter] for letter in right], values[0].dtype)]


@rule("Attention")
def _attention(call: Call) -> Result:
    q, v = call.need(0), call.need(2)
    if q.rank == 4:
        shape = [*q.shape[:3], v.shape[3]]
    elif q.rank == 3:
        heads = int(call.attrs["q_num_heads"])
        kv_heads = int(call.attrs["kv_num_heads"])
        shape = [*q.shape[:2], heads * floor_divide(v.shape[2], kv_heads)]
    else:
        raise NodeError(f"query {list(q.shape)}: expected 3 or 4 dimensions")
    if call.outputs > 1:
        raise NodeError("key and value caches as outputs are not supported")
    return [(shape, q.dtype)]


@rule("RotaryEmbedding")
def _rotary(call: Call) -> Result:
    x = call.need(0)
    return [(x.shape, x.dtype)]
