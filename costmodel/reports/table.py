"""`Table`: rows once, shown four ways: for a terminal, as JSON rows, as CSV and as Markdown.

A cell is a raw value (SI units) with the text a person reads made by its column, so that the
table of a terminal and the CSV of a spreadsheet can never disagree.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.table import Table as RichTable

UNKNOWN = "?"
"""What a cell shows whose value is not known."""


class Column(NamedTuple):
    """One column of a table."""

    key: str
    """Header in CSV, with the SI unit its values are in: "latency_s"; empty to leave it out."""
    title: str
    """Header a person reads."""
    show: Callable[[Any], str] = str
    """Text of a value, with its unit."""
    right: bool = True
    """Whether to align right, as numbers are."""
    csv_only: bool = False
    """Whether only programs get to see it."""
    wrap: bool = False
    """Whether a page may break its text into lines."""


@dataclass(frozen=True)
class Table:
    """Rows of values under columns."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.title}: {len(row)} cells in {len(self.columns)} columns")

    @property
    def shown(self) -> list[Column]:
        """The columns a person sees."""
        return [column for column in self.columns if not column.csv_only]

    def texts(self) -> list[list[str]]:
        """The cells of the columns `shown`, as a person reads them."""
        return [
            [
                UNKNOWN if value is None else printable(column.show(value))
                for column, value in zip(self.columns, row, strict=True)
                if not column.csv_only
            ]
            for row in self.rows
        ]

    def to_rich(self) -> RichTable:
        """The table for a terminal."""
        from rich import box
        from rich.table import Table as RichTable
        from rich.text import Text

        result = RichTable(
            title=Text(printable(self.title)),
            title_justify="left",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            show_header=any(column.title for column in self.shown),
        )
        for column in self.shown:
            result.add_column(Text(column.title), justify="right" if column.right else "left")
        for cells in self.texts():
            result.add_row(*map(Text, cells))  # Text, since names may hold [markup]
        return result

    def to_csv(self) -> str:
        """The raw values, SI units in the header; an unknown value is an empty cell."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        kept = [index for index, column in enumerate(self.columns) if column.key]
        writer.writerow(self.columns[index].key for index in kept)
        for row in self.rows:
            writer.writerow("" if row[index] is None else row[index] for index in kept)
        return text.getvalue()

    def to_markdown(self) -> str:
        """The cells as a person reads them, as a Markdown table under its title."""
        lines = [f"**{_escaped(self.title)}**", ""] if self.title else []
        lines.append(_line(column.title for column in self.shown))
        lines.append(_line("---:" if column.right else "---" for column in self.shown))
        lines.extend(_line(map(_escaped, cells)) for cells in self.texts())
        return "\n".join(lines) + "\n"


def printable(text: str) -> str:
    """The text without control codes, which names could hold to move a terminal's cursor."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in text)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    for sign in "\\|<>*_`":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
