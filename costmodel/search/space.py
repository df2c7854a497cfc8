"""Design spaces: which networks of a family are to be compared.

A space gives each parameter its choices and may set conditions between them. Its designs are
numbered: a *code* is the row of choice indices, (parameters,), and many designs are an array of
them, (designs, parameters), so that a million of them are never a million objects.

    space = load_space("fasternet")
    codes = space.sample(1000, seed=0)
    space.design(codes[0])          # {"width": 64, "depth1": 2, ...}
    space.module(space.design(codes[0]))
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from costmodel.errors import UnknownNameError, UsageError
from costmodel.search.expressions import Condition

if TYPE_CHECKING:
    from torch import Tensor, nn

    from costmodel.zoo.families import Family, Value

Array = np.ndarray

LARGEST_ENUMERATION = 5_000_000
"""Designs up to which a space is written out."""
TRIES = 200
"""How many codes are drawn per design that is wanted before a space counts as empty."""


@dataclass(frozen=True)
class Space:
    """Designs of one family: choices for its parameters, and conditions between them."""

    name: str
    family: Family
    choices: Mapping[str, tuple[Value, ...]]
    """Of every parameter of the family, in its order; a single one where there is no choice."""
    conditions: tuple[Condition, ...] = ()
    description: str = ""

    def __post_init__(self) -> None:
        for condition in self.conditions:
            for name in condition.names:
                if name not in self.choices:
                    raise UnknownNameError(
                        f"parameter in condition {condition.text!r}", name, self.choices
                    )

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of all parameters, the columns of codes."""
        return tuple(self.choices)

    @property
    def free(self) -> tuple[str, ...]:
        """Names of the parameters that have more than one choice."""
        return tuple(name for name, values in self.choices.items() if len(values) > 1)

    def meaning(self, parameter: str) -> str:
        """What a parameter is, in a few words."""
        return self.family.parameters[parameter].meaning

    @cached_property
    def radices(self) -> tuple[int, ...]:
        """How many choices each parameter has."""
        return tuple(len(values) for values in self.choices.values())

    @property
    def combinations(self) -> int:
        """Combinations of choices, those that break a condition included."""
        return math.prod(self.radices)

    # ------------------------------------------------------------------ designs and codes

    def design(self, code: Sequence[int] | Array) -> dict[str, Value]:
        """The parameters that a code stands for."""
        return {
            name: values[int(index)]
            for (name, values), index in zip(self.choices.items(), code, strict=True)
        }

    def codes(self, designs: Sequence[Mapping[str, Any]]) -> Array:
        """(designs, parameters) codes of designs; parameters that have one choice may be left out.

        Raises:
            UnknownNameError: for a parameter the space does not have.
            UsageError: for a value that is not among its choices, or a missing one.
        """
        return np.array([self._code(design) for design in designs], dtype=np.int32).reshape(
            len(designs), len(self.choices)
        )

    def _code(self, design: Mapping[str, Any]) -> list[int]:
        for name in design:
            if name not in self.choices:
                raise UnknownNameError(f"parameter of space {self.name}", name, self.choices)
        code = []
        for name, values in self.choices.items():
            if name not in design:
                if len(values) > 1:
                    raise UsageError(f"space {self.name}: the design lacks {name}")
                code.append(0)
            elif design[name] not in values:
                known = ", ".join(map(str, values))
                raise UsageError(f"space {self.name}: {name} {design[name]!r}: expected {known}")
            else:
                code.append(values.index(design[name]))
        return code

    def values(self, codes: Array) -> dict[str, Array]:
        """(designs,) values of each parameter."""
        return {
            name: np.array(values)[codes[..., column]]
            for column, (name, values) in enumerate(self.choices.items())
        }

    def allowed(self, codes: Array) -> Array:
        """(designs,) whether each meets all conditions."""
        fine = np.ones(codes.shape[:-1], dtype=bool)
        if self.conditions:
            needed = {name for condition in self.conditions for name in condition.names}
            columns = {
                name: np.array(values)[codes[..., column]]
                for column, (name, values) in enumerate(self.choices.items())
                if name in needed
            }
            for condition in self.conditions:
                fine &= condition.holds(columns)
        return fine

    def enumerate(self, limit: int = LARGEST_ENUMERATION) -> Array:
        """(designs, parameters) codes of all designs, in the order of the choices.

        Raises:
            UsageError: if there are more combinations than `limit`, or conditions leave none.
        """
        self.require_at_most(limit)
        codes = self.numbered(0, self.combinations)
        if not len(codes):
            raise self.empty()
        return codes

    def require_at_most(self, limit: int) -> None:
        """Raise UsageError if there are more combinations than that."""
        if self.combinations > limit:
            raise UsageError(
                f"space {self.name} has {_count(self.combinations)} combinations, too many to go "
                f"through (at most {limit:,}); sample it, or fix some parameters"
            )

    def numbered(self, start: int, stop: int) -> Array:
        """(designs, parameters) codes of the combinations from number `start` to before `stop`,
        without those that break a condition; the last parameter changes fastest."""
        numbers = np.arange(start, min(stop, self.combinations), dtype=np.int64)
        codes = np.empty((len(numbers), len(self.radices)), dtype=np.int32)
        for column in reversed(range(len(self.radices))):
            if self.radices[column] == 1:
                codes[:, column] = 0
            else:
                numbers, codes[:, column] = np.divmod(numbers, self.radices[column])
        return codes[self.allowed(codes)] if self.conditions else codes

    def sample(self, count: int, seed: int = 0) -> Array:
        """(count, parameters) codes drawn at random, with repetition.

        Raises:
            UsageError: if hardly any combination meets the conditions.
        """
        random = np.random.default_rng(seed)
        found: list[Array] = []
        kept = 0
        for _ in range(TRIES):
            drawn = random.integers(0, self.radices, size=(count, len(self.radices)))
            good = drawn[self.allowed(drawn)].astype(np.int32)
            found.append(good)
            kept += len(good)
            if kept >= count:
                return np.concatenate(found)[:count]
        raise self.empty()

    def neighbours(self, code: Array) -> Array:
        """(designs, parameters) codes of all designs that differ in one parameter."""
        found = [
            np.where(np.arange(len(code)) == column, index, code)
            for column, radix in enumerate(self.radices)
            for index in range(radix)
            if index != code[column]
        ]
        codes = np.array(found, dtype=np.int32).reshape(len(found), len(code))
        return np.asarray(codes[self.allowed(codes)])

    def empty(self) -> UsageError:
        """The error of a space without designs."""
        conditions = "; ".join(condition.text for condition in self.conditions)
        return UsageError(f"space {self.name} is empty: no design meets {conditions}")

    # --------------------------------------------------------------------------- narrowing

    def restricted(self, **choices: Any) -> Space:
        """The space with fewer choices: `space.restricted(width=[64, 96], resolution=224)`.

        Values that the space does not list but its family allows are taken too.

        Raises:
            UnknownNameError: for a parameter the family does not have.
            UsageError: for a value the family does not allow, or no value at all.
        """
        changed = dict(self.choices)
        for name, given in choices.items():
            values = given if isinstance(given, (list, tuple)) else [given]
            changed[name] = checked_choices(self.family, name, values)
        return Space(self.name, self.family, changed, self.conditions, self.description)

    # ---------------------------------------------------------------------------- networks

    def module(self, design: Mapping[str, Any]) -> nn.Module:
        """The network of a design, in evaluation mode."""
        return self.family.build(**design)

    def inputs(self, design: Mapping[str, Any], batch: int) -> tuple[Tensor, ...]:
        """What the network takes, on the meta device."""
        return self.family.inputs(batch, **design)

    def __iter__(self) -> Iterator[dict[str, Value]]:
        return (self.design(code) for code in self.enumerate())

    def __repr__(self) -> str:
        return f"Space({self.name!r}, {_count(self.combinations)} combinations)"


def checked_choices(family: Family, name: str, values: Sequence[Any]) -> tuple[Value, ...]:
    """The choices of a parameter, each once.

    Raises:
        UnknownNameError: for a parameter the family does not have.
        UsageError: for a value the family does not allow, or no value at all.
    """
    if name not in family.parameters:
        known = ", ".join(family.parameters)
        raise UnknownNameError(
            f"parameter of {family.name}", name, family.parameters, f"it has {known}"
        )
    if not values:
        raise UsageError(f"{name}: no choices, so the space is empty")
    checked = (family.parameters[name].check(name, value) for value in values)
    return tuple(dict.fromkeys(checked))


def _count(number: int) -> str:
    return f"{number:,}" if number < 10**12 else f"about 10^{len(str(number)) - 1}"
