"""Where a result goes: stdout or a file, in the format asked for or the one of the file's name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from costmodel.cli.options import Format
from costmodel.errors import UsageError

if TYPE_CHECKING:
    from costmodel.reports.report import Report

_BY_SUFFIX = {
    ".json": Format.JSON,
    ".csv": Format.CSV,
    ".md": Format.MD,
    ".txt": Format.TABLE,
}


def emit(report: Report, form: Format | None, output: str | None) -> None:
    """Write a report to `output`, or to stdout."""
    chosen = form or format_of(output)
    if output is not None:
        save(output, report.render(chosen.value))
    elif chosen is Format.TABLE:
        report.print()
    else:
        sys.stdout.write(report.render(chosen.value))


def format_of(output: str | None) -> Format:
    """The format that a file's name asks for; a table where there is no file.

    Raises:
        UsageError: for a suffix that stands for none.
    """
    if output is None:
        return Format.TABLE
    suffix = Path(output).suffix.lower()
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    raise UsageError(
        f"{output}: the name does not say the format; add --format table, json, csv or md"
    )


def save(output: str, text: str) -> None:
    """Write a file and say so on stderr."""
    from costmodel.reports.report import write_text

    write_text(output, text)
    print(f"wrote {output}", file=sys.stderr)
