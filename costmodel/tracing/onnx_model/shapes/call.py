"""A node with its inputs resolved, and the table of shape rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from costmodel.tracing.onnx_model.values import NodeError, Value, is_symbolic

Result = Sequence[tuple[Sequence[Any], str]]
"""Shape and dtype of each output."""


class Call(NamedTuple):
    """A node with its inputs resolved."""

    inputs: Sequence[Value | None]
    attrs: Mapping[str, Any]
    outputs: int
    """How many outputs the node names."""
    opset: int

    def need(self, index: int) -> Value:
        """The input at an index, which must be there."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None:
            raise NodeError(f"input {index} is missing")
        return value

    def optional(self, index: int) -> Value | None:
        """The input at an index, or None."""
        return self.inputs[index] if index < len(self.inputs) else None

    def known(self, index: int) -> Any:
        """Contents of an input, or None."""
        value = self.optional(index)
        return None if value is None else value.known

    def sizes(self, index: int, what: str) -> list[Any]:
        """Contents of an input that holds sizes, as a list."""
        known = self.known(index)
        if known is None:
            raise NodeError(f"{what} (input {index}) depends on data and cannot be known")
        return [v if is_symbolic(v) else int(v) for v in known.ravel()]


Rule = Callable[[Call], Result]
SHAPES: dict[str, Rule] = {}
"""Rule by ONNX operator name."""


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register the shape rule of one or more operators."""

    def register(rule: Rule) -> Rule:
        for name in names:
            SHAPES[name] = rule
        return rule

    return register
