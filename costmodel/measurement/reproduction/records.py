"""One record for every published cell: ours beside theirs, or why there is none of ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from costmodel.errors import CostModelError, UsageError
from costmodel.measurement.reproduction.conditions import (
    UNPREDICTED,
    Assumption,
    assumption_of,
    condition_of,
)
from costmodel.published import Cell, Table, model, table, tables

if TYPE_CHECKING:
    from costmodel.measurement.reproduction.networks import Networks

SCALES = {"M": 1e6, "G": 1e9, "1": 1.0}
"""What one unit of a counted column is."""

TOLERANCES = {"params": 0.005, "weights": 0.005, "macs": 0.01}
"""How near counted figures must come, as a share of the published one."""


@dataclass(frozen=True)
class Record:
    """One published figure and ours."""

    cell: Cell
    predicted: float | None
    """In the cell's unit; None where nothing is predicted, and `note` says why."""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Predicted over published."""
        return None if self.predicted is None else self.predicted / self.cell.value

    @property
    def misses(self) -> bool:
        """Whether a counted figure is further off than its tolerance; measured ones have none."""
        tolerance = TOLERANCES.get(self.cell.column)
        if tolerance is None or self.ratio is None:
            return False
        return abs(self.ratio - 1) > tolerance * (1 + 1e-9)

    @property
    def rounds_to_it(self) -> bool:
        """Whether ours, rounded as the published figure is, would be printed the same."""
        if self.predicted is None:
            return False
        return abs(self.predicted - self.cell.value) <= 0.5 * self.cell.resolution * (1 + 1e-9)

    @property
    def same_sign(self) -> bool | None:
        """For a ratio: whether both stand on the same side of 1; None without a prediction."""
        return None if self.predicted is None else (self.predicted > 1) == (self.cell.value > 1)


@dataclass(frozen=True)
class Reproduction:
    """All records of some tables."""

    tables: tuple[Table, ...]
    records: tuple[Record, ...]
    """In the order of the tables' cells."""

    def of(self, table: str, column: str | None = None) -> tuple[Record, ...]:
        """The records of one table, or of one column of it."""
        return tuple(
            record
            for record in self.records
            if record.cell.table == table and column in (None, record.cell.column)
        )

    @property
    def misses(self) -> tuple[Record, ...]:
        """Counted figures that are further off than their tolerance."""
        return tuple(record for record in self.records if record.misses)

    @property
    def assumptions(self) -> tuple[Assumption, ...]:
        """The run conditions that the measured columns were predicted under."""
        found = (assumption_of(r.cell.table, r.cell.column) for r in self.records)
        return tuple(dict.fromkeys(one for one in found if one is not None))


def reproduce(
    ids: Sequence[str] = (),
    progress: Callable[[str], None] | None = None,
    networks: Networks | None = None,
) -> Reproduction:
    """Count and predict every cell of the published tables.

    Args:
        ids: of the tables, by default all.
        progress: is told what is being traced.
        networks: to share with `compare_conditions`, so that nothing is traced twice.

    Raises:
        UnknownNameError: for a table that does not exist, with the nearest.
    """
    chosen = tuple(table(id) for id in dict.fromkeys(ids)) if ids else tables()
    if networks is None:
        from costmodel.measurement.reproduction.networks import Networks

        networks = Networks(progress)
    return Reproduction(
        chosen, tuple(_record(cell, networks) for one in chosen for cell in one.cells)
    )


def _record(cell: Cell, networks: Networks) -> Record:
    predicted, remark = _predicted(cell, networks)
    record = Record(cell, predicted)
    remarks = (remark, _why_it_misses(record), cell.reason, cell.note)
    note = "; ".join(text.rstrip(".") for text in dict.fromkeys(remarks) if text)
    return replace(record, note=note)


def _predicted(cell: Cell, networks: Networks) -> tuple[float | None, str]:
    """Our figure in the cell's unit, or None, and a remark."""
    if cell.column in UNPREDICTED:
        return None, UNPREDICTED[cell.column]
    try:
        return _figure(cell, networks)
    except CostModelError as error:
        return None, str(error)


def _figure(cell: Cell, networks: Networks) -> tuple[float, str]:
    if cell.table == "worked-examples":
        from costmodel.measurement.reproduction.worked_examples import example_figure

        return example_figure(cell.row, cell.column) / SCALES[cell.unit], ""
    if cell.table == "headline-ratios":
        from costmodel.measurement.reproduction.claims import claimed

        return claimed(cell.row, networks)
    behind = model(cell.table, cell.row)
    if behind.source is None or behind.macs_source is None:
        raise UsageError(behind.variant)
    if cell.table == "split-ratios":
        layer = int(cell.column.removeprefix("layer_"))
        return networks.split_ratios(behind.source)[layer - 1], "of the network built with it"
    if cell.column == "params":
        count = networks.parameters(behind.source, behind.input_shape)
        return count / SCALES[cell.unit], ""
    if cell.column == "macs":
        macs = networks.macs(behind.macs_source, behind.input_shape)
        return macs / SCALES[cell.unit], ""
    condition = condition_of(cell.table, cell.column)
    if condition is None:
        raise UsageError(f"column {cell.column}: nothing predicts it")
    return timed(networks.seconds(behind, condition), condition.batch, cell.unit), ""


def timed(seconds: float, batch: int, unit: str) -> float:
    """The time of a batch as "images/s", or as "ms" for the batch's share of one image.

    Raises:
        UsageError: for another unit.
    """
    if unit == "images/s":
        return batch / seconds
    if unit == "ms":
        return seconds / batch * 1e3
    raise UsageError(f"unit {unit!r}: expected images/s or ms")


def _why_it_misses(record: Record) -> str:
    """Why a counted figure is off: the document's rounding, or what is known of the row."""
    if not record.misses:
        return ""
    if record.rounds_to_it:
        return "within the rounding of the published figure"
    return model(record.cell.table, record.cell.row).deviation
