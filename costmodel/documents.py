"""YAML text to plain data, keeping line and column of every value; and plain data to YAML text.

Documents come from strangers too, so what none of them needs is refused: anchors and aliases
(which can blow up to billions of nodes), tags, several documents, deep nesting, huge files.
Duplicate keys are reported, not merged. Plain scalars are what YAML 1.2 says they are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from costmodel.errors import SpecError

if TYPE_CHECKING:
    from yaml import AliasEvent, Event, ScalarEvent

MAX_BYTES = 256 * 1024
LONGEST = 200
"""Characters of a path or message, after which it is cut off."""
MOST = 40
"""Problems of a file that are told; of more, how many they are."""
MAX_DEPTH = 12

Path = tuple[str | int, ...]
"""Keys and list indices from the root of a document to a value."""


@dataclass(frozen=True)
class Problem:
    """A mistake in a document: where it is and what was expected there."""

    path: Path
    message: str
    at_key: bool = False
    """The key is wrong, rather than its value."""
    malformed: bool = False
    """The value has the wrong form; what else is said of its form is an echo."""


@dataclass
class Document:
    """A file as plain data, with the place of every key and value, 1-based."""

    name: str
    data: Any = None
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    values: dict[Path, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def place(self, problem: Problem) -> tuple[int, int]:
        """Return line and column of a problem; of the nearest parent for what is missing."""
        path = problem.path
        if problem.at_key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, (1, 1))

    def describe(self, problems: list[Problem]) -> list[str]:
        """Return problems as `file:line:column path: message`, in the order of the file."""
        placed = sorted({(*self.place(p), path_text(p.path), p.message) for p in problems})
        told = [
            f"{self.name}:{line}:{column} {_one_line(path)}: {_one_line(message)}"
            for line, column, path, message in placed[:MOST]
        ]
        return told if len(placed) <= MOST else [*told, f"{self.name}: {len(placed) - MOST} more"]


def path_text(path: Path) -> str:
    """Return a path as text, such as memory[0].capacity; a dot for the whole document."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "."


def _one_line(text: str) -> str:
    """Return a text in one line: a key may be written over several, and may be of any length."""
    line = " ".join(text.split("\n")).strip() or "."
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."


def read_file(path: FilePath) -> Document:
    """Read a YAML file; raises SpecError if it is not one that can be read."""
    try:
        with path.open("rb") as file:  # a device file has no size and no end
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise SpecError([f"{path}:1:1 .: expected at most {MAX_BYTES // 1024} KiB"])
        text = content.decode("utf-8")
    except OSError as error:
        raise SpecError([f"{path}:1:1 .: expected a readable file ({error.strerror})"]) from error
    except UnicodeDecodeError as error:
        raise SpecError([f"{path}:1:1 .: expected UTF-8 text ({error.reason})"]) from error
    return read_text(text, str(path))


def read_text(text: str, name: str = "<text>") -> Document:
    """Read YAML text; raises SpecError if it is not well-formed."""
    import yaml

    if len(text) > MAX_BYTES:
        raise SpecError([f"{name}:1:1 .: expected at most {MAX_BYTES // 1024} KiB"])
    # Without libyaml the slower parser of the same library does.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Reader(yaml.parse(text, Loader=loader), name).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        what = error.problem or error.context or "malformed"
        raise SpecError([f"{name}:{line}:{column} .: expected YAML ({what})"]) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SpecError([f"{name}:1:1 .: expected YAML ({what})"]) from error


def yaml_text(data: Any, flow: bool | None = False) -> str:
    """Plain data as YAML, in the order it has.

    Args:
        data: mappings, lists, text, numbers, truth values, None.
        flow: whether mappings and lists stand in brackets; None for the innermost only.
    """
    import yaml

    class Dumper(yaml.SafeDumper):
        """Text that YAML 1.2 would take for a number is quoted."""

    Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))
    text: str = yaml.dump(
        data, Dumper=Dumper, sort_keys=False, default_flow_style=flow, width=100, allow_unicode=True
    )
    return text


_INT = re.compile(r"[-+]?[0-9]+$")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_PLAIN_TAGS = (None, "!")


class _Reader:
    """The events of a parser, which never recurses, as plain data."""

    def __init__(self, events: Iterator[Event], name: str) -> None:
        self._events, self._found = events, Document(name)
        self._anchors: set[str] = set()

    def document(self) -> Document:
        """The only document that there is."""
        from yaml import DocumentStartEvent, StreamEndEvent

        found, event = self._found, self._next()
        while not isinstance(event, DocumentStartEvent):
            if isinstance(event, StreamEndEvent):
                raise SpecError([f"{found.name}:1:1 .: expected a mapping, the file is empty"])
            event = self._next()
        found.data = self._value(self._next(), ())
        self._next()
        if isinstance(after := self._next(), DocumentStartEvent):
            line, column = _mark(after)
            what = "but found another document"
            raise SpecError([f"{found.name}:{line}:{column} .: expected YAML ({what})"])
        return found

    def _next(self) -> Event:
        return next(self._events)

    def _skip(self, event: Event) -> None:
        """Pass over what is inside of a value that begins with this event."""
        from yaml import CollectionEndEvent, CollectionStartEvent

        depth = int(isinstance(event, CollectionStartEvent))
        while depth:
            event = self._next()
            if anchor := getattr(event, "anchor", None):
                self._anchors.add(anchor)
            depth += isinstance(event, CollectionStartEvent)
            depth -= isinstance(event, CollectionEndEvent)

    def _value(self, event: Event, path: Path) -> Any:
        """The plain data of a value, noting places and problems on the way."""
        from yaml import AliasEvent, MappingStartEvent, ScalarEvent

        found = self._found
        found.values[path] = _mark(event)
        anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
        message = ""
        if isinstance(event, AliasEvent):
            self._check_alias(event)
        if len(path) > MAX_DEPTH:
            message = f"expected at most {MAX_DEPTH} levels of nesting"
        elif anchor is not None:
            message = "expected a plain value, without an anchor"
            self._anchors.add(anchor)
        elif not isinstance(event, ScalarEvent) and tag not in _PLAIN_TAGS:
            message = f"expected a plain value, not one tagged {tag}"
        if message:
            found.problems.append(Problem(path, message, malformed=len(path) <= MAX_DEPTH))
            self._skip(event)
            return None
        if isinstance(event, ScalarEvent):
            return self._scalar(event, path)
        if isinstance(event, MappingStartEvent):
            return self._mapping(path)
        return self._sequence(path)

    def _check_alias(self, event: AliasEvent) -> None:
        if event.anchor not in self._anchors:
            line, column = _mark(event)
            what = f"found undefined alias {event.anchor!r}"
            raise SpecError([f"{self._found.name}:{line}:{column} .: expected YAML ({what})"])

    def _sequence(self, path: Path) -> list[Any]:
        from yaml import SequenceEndEvent

        items: list[Any] = []
        while not isinstance(event := self._next(), SequenceEndEvent):
            items.append(self._value(event, (*path, len(items))))
        return items

    def _mapping(self, path: Path) -> dict[str, Any]:
        from yaml import MappingEndEvent, ScalarEvent

        found = self._found
        data: dict[str, Any] = {}
        while not isinstance(event := self._next(), MappingEndEvent):
            key = event.value if isinstance(event, ScalarEvent) else "?"
            self._skip(event)
            here = (*path, key)
            if key in data:
                before = found.keys[here][0]
                message = f"expected each key once; {key!r} is already in line {before}"
                found.problems.append(Problem(here, message, at_key=True))
                found.keys[here] = _mark(event)
                self._skip(self._next())
                continue
            found.keys[here] = _mark(event)
            data[key] = self._value(self._next(), here)
        return data

    def _scalar(self, event: ScalarEvent, path: Path) -> Any:
        text = event.value
        kind = (event.tag or "").removeprefix("tag:yaml.org,2002:")
        if event.implicit[0]:
            if text in _WORDS:
                return _WORDS[text]
            kind = "int" if _INT.match(text) else "float" if _FLOAT.match(text) else ""
        elif event.tag in _PLAIN_TAGS or kind == "str":
            return text
        elif kind not in ("int", "float"):
            message = f"expected a plain value, not one tagged {kind}"
            self._found.problems.append(Problem(path, message, malformed=True))
            return None
        try:
            number = {"int": int, "float": float}[kind](text)
        except (KeyError, ValueError):  # hexadecimal, underscores, .inf: text, no number here
            return text
        return number if math.isfinite(number) else text


def _mark(event: Event) -> tuple[int, int]:
    mark = event.start_mark
    return (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
