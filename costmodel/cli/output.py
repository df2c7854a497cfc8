"""Where a result goes: stdout or a file, in the format asked for or the one of the file's name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from costmodel.cli.options import Format
from costmodel.errors import UsageError

if TYPE_CHECKING:
    from costmodel.reports.report import Report


class Interrupted(Exception):  # noqa: N818
    """Ctrl-C during long work; the message says what is kept and how to go on."""


_BY_SUFFIX = {
    ".json": Format.JSON,
    ".csv": Format.CSV,
    ".md": Format.MD,
    ".txt": Format.TABLE,
}


_PAGES = (".html", ".htm")


def is_page(form: Format | None, output: str | None) -> bool:
    """Whether the output is an HTML page.

    Raises:
        UsageError: if a format is asked for as well, or there is no such folder.
    """
    if output is None or Path(output).suffix.lower() not in _PAGES:
        return False
    require_folder(output)
    if form is not None:
        raise UsageError(f"--format {form} and -o {output}: an HTML file is a page; drop one")
    return True


def chosen_format(form: Format | None, output: str | None) -> Format:
    """The format asked for, or the one that the file's name asks for; else a table.

    Commands call it first: a wrong name should not be found out after a minute of work.

    Raises:
        UsageError: for a file's name that stands for none, or a folder that does not exist.
    """
    require_folder(output)
    if form is not None or output is None:
        return form or Format.TABLE
    suffix = Path(output).suffix.lower()
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    raise UsageError(
        f"{output}: the name does not say the format; add --format table, json, csv or md"
    )


def require_folder(output: str | None) -> None:
    """Refuse a file in a folder that does not exist, before the work rather than after it.

    Raises:
        UsageError: naming the folder.
    """
    if output is None:
        return
    folder = Path(output).parent
    if not folder.is_dir():
        reason = f"there is no folder {str(folder)!r}; make it first"
        raise UsageError(f"cannot write {output!r}: {reason}")


def emit(report: Report, form: Format, output: str | None) -> None:
    """Write a report to `output`, or to stdout."""
    if output is not None:
        save(output, report.render(form.value))
    elif form is Format.TABLE:
        report.print()
    else:
        sys.stdout.write(report.render(form.value))


def save(output: str, text: str) -> None:
    """Write a file and say so on stderr."""
    from costmodel.reports.report import write_text

    write_text(output, text)
    print(f"wrote {output}", file=sys.stderr)
