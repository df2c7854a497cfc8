"""A design as a file: a family and its parameters, which any command takes for a model.

kind: design
family: fasternet
parameters: {width: 64, depth3: 6}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from costmodel.errors import UsageError
from costmodel.zoo.families.family import Family, Value, family

MAX_BYTES = 64 * 1024
KEYS = ("kind", "family", "parameters", "note")


def read_design(path: Path) -> tuple[Family, dict[str, Value]]:
    """The family in a design file, and all of its parameters.

    Raises:
        UsageError: if the file cannot be read, or is no design.
        UnknownNameError: for an unknown family or parameter.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{path}: expected a design of {MAX_BYTES // 1024} KiB at most")
        document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    except (YAMLError, ValueError, RecursionError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{path}: expected YAML ({first})") from error
    if not isinstance(document, dict) or document.get("kind") != "design":
        raise UsageError(
            f"{path}: expected a design, `kind: design` with family and parameters, as "
            "`costmodel search -o DIR` writes it"
        )
    unknown = [str(key) for key in document if key not in KEYS]
    if unknown:
        raise UsageError(f"{path}: unknown key {unknown[0]!r}; a design has {', '.join(KEYS)}")
    parameters = document.get("parameters", {})
    if not isinstance(parameters, Mapping):
        raise UsageError(f"{path}: parameters: expected a mapping such as {{width: 64}}")
    found = family(str(document.get("family")))
    return found, found.complete({str(name): value for name, value in parameters.items()})


def design_text(of: Family, parameters: Mapping[str, Any], note: str = "") -> str:
    """The file of a design, as YAML text."""
    import io

    from ruamel.yaml import YAML

    document = {"kind": "design", "family": of.name, "parameters": of.complete(parameters)}
    if note:
        document["note"] = note
    text = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.dump(document, text)
    return text.getvalue()
