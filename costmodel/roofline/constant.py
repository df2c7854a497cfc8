"""What a universal constant is: a value with its unit, plausible range, meaning and source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple, Self

from costmodel.errors import UnknownNameError, UsageError


class Constant(NamedTuple):
    """One universal constant as a row of the table."""

    name: str
    value: float
    low: float
    """Lowest plausible value."""
    high: float
    unit: str
    meaning: str
    source: str
    """What it was fitted to, or the document it comes from."""
    guess: float
    """Textbook value that a fit starts from where it must know nothing of a held-out device."""


def constant(
    value: float,
    low: float,
    high: float,
    unit: str,
    meaning: str,
    source: str,
    guess: float | None = None,
) -> Any:
    """A field of a `ConstantTable`; arguments as in `Constant`, the guess by default the value."""
    metadata = {
        "low": low, "high": high, "unit": unit, "meaning": meaning, "source": source,
        "guess": value if guess is None else guess,
    }  # fmt: skip
    return field(default=value, metadata=metadata)


@dataclass(frozen=True)
class ConstantTable:
    """Values of constants; a subclass declares each as a `constant`."""

    @property
    def rows(self) -> tuple[Constant, ...]:
        """All constants in the order of their declaration."""
        return tuple(Constant(f.name, getattr(self, f.name), **f.metadata) for f in fields(self))

    @classmethod
    def textbook(cls) -> Self:
        """The constants before any fit, as far as a textbook value is known."""
        return cls(**{f.name: f.metadata["guess"] for f in fields(cls)})

    def with_values(self, values: Mapping[str, float]) -> Self:
        """Replace some values.

        Raises:
            UnknownNameError: if a name is no constant.
            UsageError: if a value lies outside its plausible range.
        """
        known = {row.name: row for row in self.rows}
        for name, value in values.items():
            if name not in known:
                raise UnknownNameError("constant", name, known)
            low, high = known[name].low, known[name].high
            if not low <= value <= high:
                raise UsageError(f"{name} = {value:g} lies outside {low:g} to {high:g}")
        return replace(self, **values)
