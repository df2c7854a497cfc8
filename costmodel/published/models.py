"""Which model each published row is: a source string such as "zoo:fasternet_t0" or the reason
why there is none.

A source names its catalogue and the model in it: "zoo:" needs torch only, "timm:" and
"torchvision:" need those packages.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache

from costmodel.errors import UnknownNameError
from costmodel.published.tables import DATA


@dataclass(frozen=True)
class PublishedModel:
    """The model behind one row of one table."""

    table: str
    row: str
    source: str | None
    """The model as trained, whose parameters the documents count; None if there is none."""
    macs_source: str | None
    """The form whose operations the documents count; differs where PAT_sp merges."""
    input_shape: tuple[int, ...]
    """One example, (channels, height, width)."""
    variant: str
    """Which published variant the source is, or why there is no source."""
    deviation: str
    """Why parameters miss the printed figure by more than 0.5% or operations by more than 1%,
    beyond rounding; empty where neither does."""


def model(table: str, row: str) -> PublishedModel:
    """The model of a row. Raises UnknownNameError for a row that no table has."""
    found = _by_row().get((table, row))
    if found is None:
        known = [f"{t} / {r}" for t, r in _by_row()]
        raise UnknownNameError("published row", f"{table} / {row}", known)
    return found


def models(table: str | None = None) -> tuple[PublishedModel, ...]:
    """The models of one table's rows, or of all."""
    return tuple(m for m in _by_row().values() if table in (None, m.table))


@cache
def _by_row() -> dict[tuple[str, str], PublishedModel]:
    with (DATA / "models.csv").open(encoding="utf-8") as file:
        records = [
            PublishedModel(
                table=line["table"],
                row=line["row"],
                source=line["source"] or None,
                macs_source=line["macs_source"] or line["source"] or None,
                input_shape=tuple(int(size) for size in line["input_shape"].split("x")),
                variant=line["variant"],
                deviation=line["deviation"],
            )
            for line in csv.DictReader(file)
        ]
    return {(record.table, record.row): record for record in records}
