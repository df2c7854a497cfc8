"""The published tables: read from the CSV files beside this module, one record per cell.

Only the standard library is needed. Every cell knows its table and the documents that print it;
cells that cannot be right, or come from other conditions than their neighbours, are flagged with
the reason and kept.
"""

from __future__ import annotations

import csv
import re
import tomllib
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Any

from costmodel.errors import UnknownNameError

DATA = files("costmodel.published") / "data"
_HEADER = re.compile(r"(?P<name>\w+) \[(?P<unit>.+)\]")


@dataclass(frozen=True)
class Column:
    """A figure that the table gives for each row."""

    name: str
    unit: str
    """"M" and "G" are millions and billions; "1" is a plain number or ratio."""


@dataclass(frozen=True)
class Cell:
    """One published figure."""

    table: str
    row: str
    column: str
    value: float
    unit: str
    printed: str
    """The figure as printed, "0.30" or "1/32"."""
    note: str = ""
    flagged: bool = False
    """Not to be taken at face value; `reason` says why."""
    reason: str = ""

    @property
    def resolution(self) -> float:
        """One unit of the last printed digit: 0.01 for "0.30", 1 for "1800"."""
        _, _, decimals = self.printed.partition(".")
        return float(10.0 ** -len(decimals))


@dataclass(frozen=True)
class Table:
    """One published table, or the same one from several documents."""

    id: str
    title: str
    documents: tuple[str, ...]
    """Full title of each document with the number of the table in it."""
    conditions: str
    columns: tuple[Column, ...]
    cells: tuple[Cell, ...]

    @property
    def rows(self) -> tuple[str, ...]:
        """Row names in printed order."""
        return tuple(dict.fromkeys(cell.row for cell in self.cells))

    def cell(self, row: str, column: str) -> Cell:
        """One figure. Raises UnknownNameError if the table does not have it."""
        for cell in self.cells:
            if (cell.row, cell.column) == (row, column):
                return cell
        known = [f"{cell.row} / {cell.column}" for cell in self.cells]
        raise UnknownNameError(f"cell of table {self.id}", f"{row} / {column}", known)

    def column(self, name: str) -> dict[str, float]:
        """Row names to values. Raises UnknownNameError for a column the table does not have."""
        names = [column.name for column in self.columns]
        if name not in names:
            raise UnknownNameError(f"column of table {self.id}", name, names)
        return {cell.row: cell.value for cell in self.cells if cell.column == name}


def table(id: str) -> Table:
    """One table by its id. Raises UnknownNameError, with the nearest ids."""
    index = _index()
    if id not in index["tables"]:
        raise UnknownNameError("published table", id, index["tables"])
    return _read(id)


def tables() -> tuple[Table, ...]:
    """All published tables."""
    return tuple(_read(id) for id in _index()["tables"])


@cache
def _index() -> dict[str, Any]:
    content = tomllib.loads((DATA / "index.toml").read_text(encoding="utf-8"))
    special = {key: content.pop(key) for key in ("documents", "flags", "notes")}
    return {**special, "tables": content}


@cache
def _read(id: str) -> Table:
    index = _index()
    about = index["tables"][id]
    with (DATA / f"{id}.csv").open(encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    columns = tuple(_column(text) for text in header[1:])
    flags = _remarks("flags", "reason", id)
    notes = _remarks("notes", "note", id)
    cells = tuple(
        Cell(
            table=id,
            row=row,
            column=column.name,
            value=float(Fraction(text)),
            unit=column.unit,
            printed=text,
            note=notes.get((row, column.name), ""),
            flagged=(row, column.name) in flags,
            reason=flags.get((row, column.name), ""),
        )
        for row, *texts in lines
        for column, text in zip(columns, texts, strict=True)
        if text
    )
    documents = tuple(_document(text) for text in about["printed_in"])
    return Table(id, about["title"], documents, about["conditions"].strip(), columns, cells)


def _column(text: str) -> Column:
    match = _HEADER.fullmatch(text)
    assert match, f"column header {text!r}: expected 'name [unit]'"
    return Column(match["name"], match["unit"])


def _document(text: str) -> str:
    key, _, place = text.partition(", ")
    return f"{_index()['documents'][key]}, {place}"


def _remarks(kind: str, field: str, id: str) -> dict[tuple[str, str], str]:
    return {
        (remark["row"], remark["column"]): remark[field].strip()
        for remark in _index()[kind]
        if remark["table"] == id
    }
