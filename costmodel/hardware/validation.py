"""A document becomes a profile, or all of its problems at once."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from costmodel.documents import Document, Problem, read_file, read_text
from costmodel.errors import SpecError
from costmodel.hardware.checks import contradictions
from costmodel.hardware.profile import DeviceProfile
from costmodel.hardware.quantity import Number, Quantity

ID_PATTERN = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*")


def read_profile(path: Path) -> DeviceProfile:
    """Read the profile in a file; raises SpecError with all of its problems."""
    return build_profile(path.stem, read_file(path))


def parse_profile(device: str, text: str) -> DeviceProfile:
    """Return the profile that YAML text holds; raises SpecError with all of its problems."""
    return build_profile(device, read_text(text, f"{device}.yaml"))


def validate_file(path: str | Path) -> list[str]:
    """Return the problems of a profile, each as `file:line:column path: expected ...`."""
    try:
        read_profile(Path(path))
    except SpecError as error:
        return error.problems
    return []


def build_profile(device: str, document: Document) -> DeviceProfile:
    """Return the profile in a document; raises SpecError with all of its problems."""
    problems = list(document.problems)
    if not ID_PATTERN.fullmatch(device):
        problems.append(
            Problem((), f"expected a file name in lower case with hyphens, got {device!r}")
        )
    if not isinstance(document.data, dict):
        problems.append(Problem((), "expected a mapping of fields such as `name:` and `kind:`"))
        raise SpecError(document.describe(problems))
    data = document.data
    profile = None
    if "id" in data:
        problems.append(Problem(("id",), "expected no id, it is the file's name", at_key=True))
    try:
        profile = DeviceProfile.model_validate({**data, "id": device})
    except ValidationError as error:
        problems += [_problem(details, data) for details in error.errors(include_url=False)]
    problems += contradictions(data)
    if problems or profile is None:
        raise SpecError(document.describe(_without_echoes(problems)))
    return profile


def _without_echoes(problems: list[Problem]) -> list[Problem]:
    """Keep the first problem of those that say of one value that it has the wrong form."""
    kept: list[Problem] = []
    malformed: set[tuple[str | int, ...]] = set()
    for problem in problems:
        if problem.malformed and problem.path in malformed:
            continue
        if problem.malformed:
            malformed.add(problem.path)
        kept.append(problem)
    return kept


def _problem(details: Any, data: Any) -> Problem:
    kind = details["type"]
    path = _path_in(data, details["loc"], kind)
    got = f"got {_shown(details.get('input'))}"
    if kind == "missing":
        return Problem(path[:-1], f"expected a field `{path[-1]}`: {_description(path)}")
    if kind == "extra_forbidden":
        return Problem(path, _unknown_field(path), at_key=True)
    if kind == "value_error":
        return Problem(path, str(details["msg"]).removeprefix("Value error, "), malformed=True)
    if kind == "literal_error":
        return Problem(path, f"expected {details['ctx']['expected']}, {got}", malformed=True)
    if kind in ("model_type", "dict_type"):
        return Problem(path, f"expected a mapping{_example(path)}, {got}", malformed=True)
    if path and path[-1] == "source":
        message = f"expected a key of `sources`, or a list of keys, {got}"
        return Problem(path, message, malformed=True)
    expected = _FORMS.get(kind, str(details["msg"]).removeprefix("Input should be "))
    expected = expected[:1].lower() + expected[1:]
    return Problem(path, f"expected {expected}, {got}", malformed=True)


_FORMS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "tuple_type": "a list",
    "string_pattern_mismatch": "an address such as https://example.org/page",
}


def _example(path: tuple[str | int, ...]) -> str:
    entry = _entry_at(path)
    if entry is not None and issubclass(entry, Quantity):
        return f" such as {{value: {entry.example}, source: datasheet, kind: datasheet}}"
    if entry is not None and issubclass(entry, Number):
        return " such as {value: 80, source: datasheet, kind: datasheet}"
    return ""


def _path_in(data: Any, location: tuple[str | int, ...], kind: str) -> tuple[str | int, ...]:
    """Return pydantic's location without the names of union branches, which are not in `data`."""
    path: list[str | int] = []
    for position, part in enumerate(location):
        inside = (isinstance(data, dict) and part in data) or (
            isinstance(data, list) and isinstance(part, int) and part < len(data)
        )
        if inside:
            data = data[part]
            path.append(part)
        elif kind == "missing" and position == len(location) - 1:
            path.append(part)
    return tuple(path)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _entry_at(path: tuple[str | int, ...]) -> type[BaseModel] | None:
    """Return the class of the mapping that a path leads to."""
    entry: type[BaseModel] | None = DeviceProfile
    for part in path:
        if isinstance(part, int) or entry is None:
            continue
        fields = {field.alias or name: field for name, field in entry.model_fields.items()}
        if part not in fields:
            continue  # a key of the mapping `sources`
        entry = next(iter(_entries(fields[part].annotation)), None)
    return entry


def _entries(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [entry for argument in get_args(annotation) for entry in _entries(argument)]


def _field_names(entry: type[BaseModel]) -> list[str]:
    names = [field.alias or name for name, field in entry.model_fields.items()]
    return [name for name in names if name != "id"]


def _unknown_field(path: tuple[str | int, ...]) -> str:
    entry = _entry_at(path[:-1])
    names = [] if entry is None else _field_names(entry)
    nearest = difflib.get_close_matches(str(path[-1]), names, n=1)
    if nearest:
        return f"expected `{nearest[0]}`, perhaps; there is no field `{path[-1]}`"
    return f"expected one of the fields {', '.join(names)}; there is no `{path[-1]}`"


def _description(path: tuple[str | int, ...]) -> str:
    entry = _entry_at(path[:-1])
    if entry is None:
        return ""
    for name, field in entry.model_fields.items():
        if path[-1] in (name, field.alias):
            return field.description or ""
    return ""
