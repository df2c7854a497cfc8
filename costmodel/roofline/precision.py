"""Precision settings: what float32 tensors are stored as, and what matrix products compute in."""

from __future__ import annotations

from typing import NamedTuple

from costmodel.errors import UnknownNameError


class Precision(NamedTuple):
    """One uniform precision policy."""

    name: str
    storage: str
    """dtype that float32 tensors are stored as."""
    matrix: str
    """dtype that convolutions, matrix products and attention compute in."""


PRECISIONS: dict[str, Precision] = {
    p.name: p
    for p in (
        Precision("fp64", "float64", "float64"),
        Precision("fp32", "float32", "float32"),
        Precision("tf32", "float32", "tf32"),
        Precision("fp16", "float16", "float16"),
        Precision("bf16", "bfloat16", "bfloat16"),
        Precision("int8", "int8", "int8"),
    )
}


def get_precision(name: str) -> Precision:
    """The precision of that name.

    Raises:
        UnknownNameError: listing the known ones.
    """
    try:
        return PRECISIONS[name]
    except KeyError:
        raise UnknownNameError(
            "precision", name, PRECISIONS, f"known: {', '.join(PRECISIONS)}"
        ) from None
