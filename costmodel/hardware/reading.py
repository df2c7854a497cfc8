"""YAML text to plain data, keeping line and column of every value.

Profiles come from strangers too, so what a profile never needs is refused: anchors and aliases
(which can blow up to billions of nodes), tags, several documents, deep nesting, huge files.
Duplicate keys are reported, not merged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from costmodel.errors import SpecError

if TYPE_CHECKING:
    from ruamel.yaml.nodes import Node

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
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    if len(text) > MAX_BYTES:
        raise SpecError([f"{name}:1:1 .: expected at most {MAX_BYTES // 1024} KiB"])
    if _depth_bound(text) > MAX_DEPTH * 2:
        raise SpecError([f"{name}:1:1 .: expected at most {MAX_DEPTH} levels of nesting"])
    document = Document(name)
    try:
        node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        what = error.problem or error.context or "malformed"
        raise SpecError([f"{name}:{line}:{column} .: expected YAML ({what})"]) from error
    except (YAMLError, ValueError, RecursionError) as error:
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SpecError([f"{name}:1:1 .: expected YAML ({what})"]) from error
    if node is None:
        raise SpecError([f"{name}:1:1 .: expected a device profile, the file is empty"])
    document.data = _construct(node, (), document)
    return document


def _depth_bound(text: str) -> int:
    """Return how deep the brackets of `text` may nest, before any parser recurses into them."""
    depth = deepest = 0
    for character in text:
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth = max(0, depth - 1)
    return deepest


def _construct(node: Node, path: Path, document: Document) -> Any:
    """Return the plain data of a node, noting places and problems on the way."""
    from ruamel.yaml.nodes import MappingNode, SequenceNode

    document.values[path] = _mark(node)
    if len(path) > MAX_DEPTH:
        document.problems.append(Problem(path, f"expected at most {MAX_DEPTH} levels of nesting"))
        return None
    if node.anchor is not None:
        document.problems.append(
            Problem(path, "expected a plain value, without an anchor", malformed=True)
        )
        return None
    if isinstance(node, MappingNode):
        return _construct_mapping(node, path, document)
    if isinstance(node, SequenceNode):
        return [_construct(item, (*path, i), document) for i, item in enumerate(node.value)]
    return _construct_scalar(node, path, document)


def _construct_mapping(node: Node, path: Path, document: Document) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = key_node.value if key_node.id == "scalar" else "?"
        here = (*path, key)
        if key in data:
            message = f"expected each key once; {key!r} is already in line {document.keys[here][0]}"
            document.keys[here] = _mark(key_node)
            document.problems.append(Problem(here, message, at_key=True))
            continue
        document.keys[here] = _mark(key_node)
        data[key] = _construct(value_node, here, document)
    return data


def _construct_scalar(node: Node, path: Path, document: Document) -> Any:
    kind = str(node.tag).removeprefix("tag:yaml.org,2002:")
    text = str(node.value)
    if kind in ("str", "timestamp"):
        return text
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() in ("true", "yes", "on")
    if kind in ("int", "float"):
        try:
            number = int(text) if kind == "int" else float(text)
        except ValueError:  # hexadecimal, underscores, .inf: text, which is no number here
            return text
        return number if math.isfinite(number) else text
    message = f"expected a plain value, not one tagged {kind}"
    document.problems.append(Problem(path, message, malformed=True))
    return None


def _mark(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
