"""What a control may hold: each kind reads text, from a URL or a form, and refuses all else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from costmodel.errors import UsageError


class Value(Protocol):
    """One kind of control: its default, and how text becomes a value."""

    @property
    def default(self) -> Any:
        """What a fresh page holds."""
        ...

    def read(self, text: str) -> Any:
        """The value of a text.

        Raises:
            UsageError: saying what was expected.
        """
        ...


@dataclass(frozen=True)
class Steps:
    """A whole number from `low` to `high` in steps: a slider."""

    low: int
    high: int
    step: int
    default: int

    def read(self, text: str) -> int:
        """A whole number on one of the steps."""
        steps = f" in steps of {self.step}" if self.step > 1 else ""
        expected = f"expected a whole number from {self.low:,} to {self.high:,}{steps}"
        try:
            value = int(text)
        except ValueError:
            raise UsageError(expected) from None
        if not self.low <= value <= self.high or (value - self.low) % self.step:
            raise UsageError(expected)
        return value

    @property
    def all(self) -> range:
        """Every value."""
        return range(self.low, self.high + 1, self.step)

    def nearest(self, value: float) -> int:
        """The step that is nearest."""
        index = round((value - self.low) / self.step)
        return self.low + self.step * min(max(index, 0), len(self.all) - 1)


@dataclass(frozen=True)
class Amount:
    """A number from `low` to `high`."""

    low: float
    high: float
    default: float | None
    step: float | str = "any"
    optional: bool = False
    """Whether it may be left empty, for none."""

    def read(self, text: str) -> float | None:
        """A finite number in range; None for an empty text where that is allowed."""
        if self.optional and not text.strip():
            return None
        expected = f"expected a number from {self.low:g} to {self.high:g}"
        try:
            value = float(text)
        except ValueError:
            raise UsageError(expected) from None
        if not math.isfinite(value) or not self.low <= value <= self.high:
            raise UsageError(expected)
        return value


@dataclass(frozen=True)
class Choice:
    """One of a few, with the label of each."""

    labels: Mapping[str, str]
    default: str

    def read(self, text: str) -> str:
        """One of the choices."""
        if text not in self.labels:
            raise UsageError(f"expected {', '.join(self.labels)}")
        return text


@dataclass(frozen=True)
class Digest:
    """The SHA-256 of an uploaded file in hexadecimal, or nothing."""

    default: str = ""

    def read(self, text: str) -> str:
        """64 hexadecimal digits."""
        if text and (len(text) != 64 or set(text) - set("0123456789abcdef")):
            raise UsageError("expected 64 hexadecimal digits")
        return text


@dataclass(frozen=True)
class Device:
    """A device of the catalogue, "epyc-73f3" or "epyc-73f3@1" for one of its cores.

    Never a path: a link must not make the server read files.
    """

    default: str

    def read(self, text: str) -> str:
        """The device as it is labelled."""
        from costmodel.estimation import resolve_target
        from costmodel.hardware import device_ids

        name, at, cores = text.rpartition("@") if "@" in text else (text, "", "")
        if name not in device_ids():
            raise UsageError(f"no device {name[:40]!r} in the catalogue")
        if at and not (cores.isascii() and cores.isdigit() and len(cores) < 5):
            raise UsageError("expected a number of cores after '@'")
        return resolve_target(text).label


@dataclass(frozen=True)
class Devices:
    """Several devices, separated by commas."""

    default: tuple[str, ...]
    most: int = 8

    def read(self, text: str) -> tuple[str, ...]:
        """Their labels, each once."""
        names = dict.fromkeys(part for part in text.split(",") if part)
        if len(names) > self.most:
            raise UsageError(f"expected at most {self.most} devices")
        return tuple(dict.fromkeys(Device("").read(name) for name in names))
