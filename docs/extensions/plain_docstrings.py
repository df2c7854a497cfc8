"""Docstrings as this project writes them, plain text with `code` in backticks, for Sphinx.

reStructuredText would read |x - 1| as a substitution and an indented listing as a quotation.
"""

from __future__ import annotations

import re
from typing import Any

_CODE = re.compile(r"(``.+?``|(?<![`\w:])`[^`]+`(?!`))")


def to_restructured_text(lines: list[str], is_module: bool) -> list[str]:
    """The same docstring with code and listings marked up, and signs that mean nothing escaped."""
    found: list[str] = []
    for paragraph in re.split(r"\n(?=\s*\n)", "\n".join(lines)):
        text = paragraph.strip("\n").split("\n")
        if is_module and any(line.startswith(" ") for line in text):
            found += ["", "::", "", *("    " + line for line in text), ""]
        elif any(line.lstrip().startswith(">>>") for line in text):
            found += ["", *text]
        else:
            found += ["", *map(_marked_up, text)]
    return found


def _marked_up(line: str) -> str:
    parts = _CODE.split(line)
    return "".join(
        f"``{part.strip('`')}``" if index % 2 else re.sub(r"(\*\*|[|*])(?!\s*$)", _escaped, part)
        for index, part in enumerate(parts)
    )


def _escaped(match: re.Match[str]) -> str:
    return "".join(f"\\{sign}" for sign in match[0])


def convert(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Called by autodoc for each docstring, before napoleon reads its sections."""
    lines[:] = to_restructured_text(lines, what == "module")


def setup(app: Any) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", convert, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
