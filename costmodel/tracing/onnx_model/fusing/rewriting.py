"""Replacing several steps by one: who produces and who uses each tensor, kept up to date."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from costmodel.tracing.onnx_model.step import Step
from costmodel.tracing.onnx_model.values import Value, inline_array


class Rewriter:
    """A list of steps that patterns are replaced in."""

    def __init__(self, steps: Sequence[Step], outputs: Iterable[Value]) -> None:
        self._steps: list[Step | None] = list(steps)
        self._place = {step: i for i, step in enumerate(steps)}
        self._results = set(outputs)
        self._producer: dict[Value, Step] = {}
        self._users: dict[Value, list[Step]] = {}
        self._data: set[Value] = set()
        for step in steps:
            self._link(step)
            if any(v is not None and (v.kind == "input" or v in self._data) for v in step.inputs):
                self._data.update(step.outputs)

    def is_constant(self, value: Value) -> bool:
        """Whether a tensor is the same for every input of the model."""
        return value.kind != "input" and value not in self._data

    def _link(self, step: Step) -> None:
        for value in step.outputs:
            self._producer[value] = step
        for used in step.inputs:
            if used is not None:
                self._users.setdefault(used, []).append(step)

    def _unlink(self, step: Step) -> None:
        for value in step.outputs:
            self._producer.pop(value, None)
        for used in step.inputs:
            if used is not None:
                self._users[used].remove(step)

    @property
    def steps(self) -> list[Step]:
        """The steps that are left, in order."""
        return [step for step in self._steps if step is not None]

    def producer(self, value: Value | None, *names: str) -> Step | None:
        """The step that makes a tensor, if it is one of those operators."""
        step = None if value is None else self._producer.get(value)
        return step if step is not None and (not names or step.name in names) else None

    def users(self, value: Value) -> list[Step]:
        """The steps that read a tensor, one entry per read."""
        return self._users.get(value, [])

    def is_result(self, value: Value) -> bool:
        """Whether a tensor is an output of the graph."""
        return value in self._results

    def only_user(self, value: Value, *names: str) -> Step | None:
        """The one step that reads a tensor, if there is one, it is no result, and names fit."""
        users = self.users(value)
        if len(users) != 1 or value in self._results:
            return None
        return users[0] if not names or users[0].name in names else None

    def replace(self, matched: Sequence[Step], new: Step, keep: Sequence[Step] = ()) -> bool:
        """Put one step in the place of the last of several, if nobody else reads between them.

        Args:
            matched: steps that go.
            new: what takes their place; it makes the outputs of the last one.
            keep: matched steps that may stay where others use them too.
        """
        gone = set(matched)
        shared = self._read_outside(gone, new)
        while shared:
            if any(step not in keep for step in shared):
                return False
            gone -= set(shared)  # and what those that stay read must stay too
            shared = self._read_outside(gone, new)
        last = max(self._place[step] for step in matched)
        for step in gone:
            self._unlink(step)
            self._steps[self._place.pop(step)] = None
        self._steps[last] = new
        self._place[new] = last
        self._link(new)
        return True

    def _read_outside(self, gone: set[Step], new: Step) -> list[Step]:
        """Those of the steps that make something others read, or a result of the graph."""
        return [
            step
            for step in gone
            if any(
                value not in new.outputs
                and (value in self._results or any(u not in gone for u in self.users(value)))
                for value in step.outputs
            )
        ]

    def drop_unused(self) -> None:
        """Remove steps whose results nobody reads."""
        for index in range(len(self._steps) - 1, -1, -1):
            step = self._steps[index]
            if step is not None and not any(
                value in self._results or self.users(value) for value in step.outputs
            ):
                self._unlink(step)
                del self._place[step]
                self._steps[index] = None


def with_scalar(step: Step) -> tuple[Value, float] | None:
    """(tensor, number) of a two-operand step one of whose operands is a known number."""
    if len(step.inputs) != 2 or step.inputs[0] is None or step.inputs[1] is None:
        return None
    left, right = step.inputs[0], step.inputs[1]
    number = right.scalar()
    if number is not None:
        return left, number
    number = left.scalar()
    return None if number is None else (right, number)


def other_operand(step: Step, value: Value) -> Value | None:
    """The operand of a two-operand step that is not the given one."""
    if len(step.inputs) != 2:
        return None
    left, right = step.inputs[0], step.inputs[1]
    return right if left is value else left if right is value else None


def near(number: float, expected: float) -> bool:
    """Whether a constant is the expected one up to its rounding in half precision."""
    return abs(number - expected) <= 2e-3 * abs(expected)


def fused(name: str, inputs: list[Value | None], last: Step, **attrs: object) -> Step:
    """The step that takes the place of several and makes the output of the last one."""
    return Step(name, inputs, [last.outputs[0]], dict(attrs), last.module, last.label)


def contents(value: Value, limit: int) -> np.ndarray | None:
    """Contents of a small tensor, read from the file if they were not followed."""
    if value.known is not None:
        return value.known if value.known.dtype != object else None
    return None if value.content is None else inline_array(value.content, limit)
