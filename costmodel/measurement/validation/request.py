"""What of a measured file is to be judged, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from costmodel.errors import UsageError
from costmodel.measurement.tables.conditions import RunConditions
from costmodel.roofline.constants import DEFAULT, Constants
from costmodel.roofline.engine import enabled_laws

Track = Callable[[Iterable[Any], int], Iterator[Any]]
"""Passes items on while it shows progress; gets the items and how many there are."""


@dataclass(frozen=True)
class Request:
    """The rows and conditions asked for; None where the file decides."""

    precision: str | None = None
    layout: str | None = None
    compiled: bool | None = None
    fast_norm: bool = False
    mode: str = "infer"
    few_shot: int = 0
    seed: int = 0
    models: str | None = None
    """Glob of model names."""
    limit: int | None = None
    without: tuple[str, ...] = ()
    """Laws to switch off."""
    constants: Constants = DEFAULT
    """Of the laws."""

    def __post_init__(self) -> None:
        enabled_laws(self.without)
        if self.mode not in ("infer", "train"):
            raise UsageError(f"mode {self.mode!r}: expected infer or train")
        if self.mode == "train" and self.compiled:
            raise UsageError("mode train: a compiled training step is not modelled; use --eager")
        for name, value, least in (("few-shot", self.few_shot, 0), ("limit", self.limit, 1)):
            if value is not None and value < least:
                raise UsageError(f"{name} {value}: expected at least {least}")

    def conditions(self, default: RunConditions) -> RunConditions:
        """The conditions asked for, else those of the file."""
        return RunConditions(
            self.precision or default.precision,
            self.layout or default.layout,
            default.compiled if self.compiled is None else self.compiled,
            self.fast_norm or default.fast_norm,
            default.step,
            default.scalar,
        )


def untracked(items: Iterable[Any], total: int) -> Iterator[Any]:
    """A `Track` that shows nothing."""
    return iter(items)
