"""`Report`: what a command has to say, and the formats it can be written in."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from costmodel.errors import UsageError
from costmodel.files import replace_file
from costmodel.reports.table import Table, printable

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Report:
    """Tables for people, a document for programs, and what both must be told."""

    document: Mapping[str, Any]
    """Content of the JSON form, `schema_version` left out."""
    tables: tuple[Table, ...]
    """The first is the one written as CSV."""
    notes: tuple[str, ...] = ()
    """Assumptions and what was not covered, one sentence each."""

    def render(self, form: str) -> str:
        """The report as text without colours: "table", "json", "csv" or "md"."""
        if form == "json":
            document = {"schema_version": SCHEMA_VERSION, **self.document}
            return json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
        if form == "csv":
            return self.tables[0].to_csv()
        if form == "md":
            notes = "\n".join(f"- {note}" for note in self.notes)
            parts = [table.to_markdown() for table in self.tables]
            return "\n".join(parts + ([notes + "\n"] if notes else []))
        text = io.StringIO()
        self.print(text)
        return text.getvalue()

    def print(self, stream: IO[str] | None = None) -> None:
        """Print the tables and notes, coloured if the stream is a terminal that wants it."""
        from rich.text import Text

        console = console_for(stream)
        for table in self.tables:
            console.print(table.to_rich())
        for note in self.notes:
            console.print(Text(printable(f"note: {note}"), style="dim"))


def console_for(stream: IO[str] | None = None) -> Any:
    """A rich console on a stream; what is no terminal gets lines of any length, unwrapped."""
    from rich.console import Console

    console = Console(file=stream, highlight=False)
    return console if console.is_terminal else Console(file=stream, highlight=False, width=4096)


def write_text(path: str | Path, text: str) -> None:
    """Write a file in one step: a reader sees the old text or the new one, never half of it.

    Raises:
        UsageError: if it cannot be written there.
    """
    try:
        replace_file(Path(path), text.encode("utf-8", "replace"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot write {str(path)!r}: {reason}") from error
