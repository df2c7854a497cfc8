"""Space files: YAML to `Space`, with every mistake in one line.

    family: fasternet
    description: What is searched, in a sentence.
    parameters:
      width: [40, 64, 96]                # choices
      depth3: {from: 2, to: 12, step: 2} # a range, both ends included
      ratio: 0.25                        # fixed
    conditions:
      - depth3 >= depth2

Parameters that are left out have the family's default. `costmodel search NAME` takes the name of a
space that ships, or the path of such a file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
)

from costmodel.documents import path_text, read_file
from costmodel.errors import CostModelError, SpecError, UnknownNameError, UsageError
from costmodel.search.expressions import Condition
from costmodel.search.space import Space, checked_choices

SPACES = files("costmodel.search") / "spaces"
MAX_CHOICES = 4096
"""Values of one parameter."""

Scalar = StrictBool | StrictInt | StrictFloat | StrictStr


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Range(_Part):
    """Evenly spaced numbers, both ends included."""

    start: StrictInt | StrictFloat = Field(alias="from", description="First value.")
    end: StrictInt | StrictFloat = Field(alias="to", description="Last value, if a step meets it.")
    step: StrictInt | StrictFloat = Field(default=1, description="From one to the next.")

    def values(self, name: str) -> list[int | float]:
        """The numbers.

        Raises:
            UsageError: if there are none or too many, or one is not finite.
        """
        text = f"{name} from {self.start} to {self.end} by {self.step}"
        if not all(math.isfinite(value) for value in (self.start, self.end, self.step)):
            raise UsageError(f"{text}: expected finite numbers")
        if self.step <= 0 or self.end < self.start:
            raise UsageError(f"{text}: expected an end above the start and a step above 0")
        count = math.floor((self.end - self.start) / self.step + 1e-9) + 1
        if count > MAX_CHOICES:
            raise UsageError(f"{text}: {count:.3g} values; expected {MAX_CHOICES} at most")
        values = [self.start + index * self.step for index in range(count)]
        return [value if isinstance(value, int) else round(value, 10) for value in values]


class SpaceFile(_Part):
    """A design space as it is written down."""

    family: StrictStr = Field(description="Family of networks, such as fasternet.")
    description: StrictStr = Field(default="", description="What is searched, in a sentence.")
    parameters: dict[str, Range | list[Scalar] | Scalar] = Field(
        description="Choices by parameter: a list, a range, or one value to fix it."
    )
    conditions: list[StrictStr] = Field(
        default=[], description="What must hold between parameters: depth3 >= depth2."
    )
    kind: Literal["space"] = Field(default="space", description="What this file is.")

    def to_space(self, name: str) -> Space:
        """The space.

        Raises:
            UnknownNameError: for an unknown family or parameter.
            UsageError: for choices that the family does not allow, or conditions that are none.
        """
        from costmodel.zoo.families import family

        found = family(self.family)
        given = {key: _choices(key, value) for key, value in self.parameters.items()}
        for key, values in given.items():
            checked_choices(found, key, values)
        choices = {
            key: checked_choices(found, key, given.get(key, [parameter.default]))
            for key, parameter in found.parameters.items()
        }
        conditions = tuple(Condition.parse(text) for text in self.conditions)
        return Space(name, found, choices, conditions, self.description)


def _choices(name: str, value: Any) -> Sequence[Any]:
    if isinstance(value, Range):
        return value.values(name)
    if isinstance(value, list):
        if len(value) > MAX_CHOICES:
            raise UsageError(f"{name}: {len(value)} choices; expected {MAX_CHOICES} at most")
        return value
    return [value]


def list_spaces() -> tuple[str, ...]:
    """Names of the spaces that ship."""
    return tuple(
        sorted(entry.name.removesuffix(".yaml") for entry in SPACES.iterdir()
               if entry.name.endswith(".yaml"))
    )  # fmt: skip


def load_space(source: str | Path) -> Space:
    """A space by the name of one that ships, or from a YAML file.

    Raises:
        UnknownNameError: for an unknown name, family or parameter.
        SpecError: with all that is wrong with the form of a file, each with its place.
        UsageError: for choices or conditions that make no sense.
    """
    text = str(source)
    if text.endswith((".yaml", ".yml")):
        return read_space(Path(text))
    if text not in list_spaces():
        known = ", ".join(list_spaces())
        raise UnknownNameError("design space", text, list_spaces(), f"known: {known}, or FILE.yaml")
    return read_space(Path(str(SPACES / f"{text}.yaml")))


def read_space(path: Path) -> Space:
    """The space in a YAML file; raises as `load_space` does."""
    document = read_file(path)
    if document.problems:
        raise SpecError(document.describe(document.problems))
    if not isinstance(document.data, dict):
        raise SpecError([f"{path}:1:1 .: expected a mapping with family and parameters"])
    try:
        written = SpaceFile.model_validate(document.data)
    except ValidationError as error:
        raise SpecError(_problems(str(path), error)) from None
    try:
        return written.to_space(path.stem)
    except UnknownNameError:
        raise
    except CostModelError as error:
        raise UsageError(f"{path}: {error}") from None


def _problems(name: str, error: ValidationError) -> list[str]:
    found: dict[str, str] = {}
    for details in error.errors(include_url=False):
        location = details["loc"]
        # The branches of a union report each on its own: one line for the parameter they are of.
        place = location[:2] if location[:1] == ("parameters",) else location
        what = str(details["msg"])
        if len(location) > 2 and location[0] == "parameters":
            what = "expected a list of choices, a range {from, to, step} or one value"
        found.setdefault(path_text(place), what[:1].lower() + what[1:])
    return [f"{name}: {place}: {what}" for place, what in found.items()]
