"""A step: one operator that does work, with its tensors resolved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from costmodel.tracing.onnx_model.values import Value


@dataclass(eq=False, slots=True)
class Step:
    """One operator that does work, with its tensors resolved."""

    name: str
    """ONNX name for standard operators, "domain::Name" for others."""
    inputs: list[Value | None]
    outputs: list[Value]
    attrs: dict[str, Any]
    module: str = ""
    label: str = ""
    """Names the node in errors."""
