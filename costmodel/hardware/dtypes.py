"""The number formats that device profiles speak of, and the names others give them."""

from __future__ import annotations

from typing import Literal, get_args

from costmodel.errors import UnknownNameError

DType = Literal[
    "float64", "float32", "tf32", "float16", "bfloat16", "fp8", "fp6", "fp4",
    "int32", "int16", "int8", "int4", "int1",
]  # fmt: skip

DTYPES: tuple[str, ...] = get_args(DType)

_SYNONYMS = {
    "fp64": "float64",
    "double": "float64",
    "fp32": "float32",
    "float": "float32",
    "fp16": "float16",
    "half": "float16",
    "bf16": "bfloat16",
    "float8": "fp8",
    "float8_e4m3fn": "fp8",
    "float8_e5m2": "fp8",
    "float4_e2m1fn_x2": "fp4",
    "uint8": "int8",
    "qint8": "int8",
    "quint8": "int8",
}


def canonical_dtype(name: str) -> str:
    """Return the catalogue's name of a dtype: "fp16", "half" and "torch.float16" are "float16".

    Raises UnknownNameError for a name that is none of them.
    """
    plain = name.lower().removeprefix("torch.")
    dtype = _SYNONYMS.get(plain, plain)
    if dtype not in DTYPES:
        raise UnknownNameError("dtype", name, (*DTYPES, *_SYNONYMS))
    return dtype


def is_known_dtype(name: str) -> bool:
    """Whether `canonical_dtype` knows the name."""
    plain = name.lower().removeprefix("torch.")
    return _SYNONYMS.get(plain, plain) in DTYPES


def is_integer(dtype: str) -> bool:
    """Return whether a canonical dtype counts integer operations (OP) rather than FLOP."""
    return dtype.startswith("int")
