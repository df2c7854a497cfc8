"""Reads measured tables: CSV, or CSV.gz, whatever may be wrong with the file."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from costmodel.errors import UsageError

LONGEST_HEADER = 2**20
"""Characters of a first line."""


@contextmanager
def csv_rows(path: Path) -> Iterator[csv.DictReader[str]]:
    """Rows of a table by the names of its columns; a row that is cut off has empty values.

    Raises:
        UsageError: if there is no such file, or it is damaged, wherever that comes out.
    """
    with opened_text(path) as lines:
        yield csv.DictReader(lines, restval="")


@contextmanager
def opened_text(path: Path) -> Iterator[TextIO]:
    """A file of text, or .gz of it, with what goes wrong in it named in a line."""
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rt", encoding="utf-8", newline="") as unpacked:
                yield unpacked
        else:
            with path.open(encoding="utf-8", newline="") as lines:
                yield lines
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error


def header_of(path: Path) -> str:
    """The first line of a file.

    Raises:
        UsageError: if there is none that can be read.
    """
    with opened_text(path) as lines:
        first = lines.readline(LONGEST_HEADER)
    if len(first) == LONGEST_HEADER:
        raise UsageError(f"{path}: cannot be read: its first line does not end")
    return first
