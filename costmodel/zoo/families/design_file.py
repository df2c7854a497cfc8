"""A design as a file: a family and its parameters, which any command takes for a model.

kind: design
family: fasternet
parameters: {width: 64, depth3: 6}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from costmodel.documents import read_file, yaml_text
from costmodel.errors import SpecError, UsageError
from costmodel.zoo.families.family import Family, Value, family

KEYS = ("kind", "family", "parameters", "note")


def read_design(path: Path) -> tuple[Family, dict[str, Value]]:
    """The family in a design file, and all of its parameters.

    Raises:
        SpecError: if the file cannot be read as YAML.
        UsageError: if it is no design.
        UnknownNameError: for an unknown family or parameter.
    """
    found = read_file(path)
    if found.problems:
        raise SpecError(found.describe(found.problems))
    document = found.data
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
    of = family(str(document.get("family")))
    return of, of.complete(parameters)


def design_text(of: Family, parameters: Mapping[str, Any], note: str = "") -> str:
    """The file of a design, as YAML text."""
    document = {"kind": "design", "family": of.name, "parameters": of.complete(parameters)}
    if note:
        document["note"] = note
    return yaml_text(document)
