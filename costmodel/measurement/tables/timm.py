"""Reads the benchmark tables that timm publishes: a row per model with its step time.

Columns used: model, infer_img_size, infer_batch_size, infer_step_time (milliseconds per step of
that batch), param_count (millions); for training tables the same with `train_`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import NamedTuple

from costmodel.errors import UsageError
from costmodel.measurement.tables.csv_files import csv_rows


class MeasuredModel(NamedTuple):
    """One row: a network's measured step."""

    model: str
    image_size: int
    batch: int
    seconds: float
    """Per step of the batch."""
    parameters: float
    """Number of parameters, rounded as the table prints it."""
    macs: float | None
    """Per image, as the table states it."""
    line: int


def read_timm_table(path: Path, mode: str = "infer") -> list[MeasuredModel]:
    """Read a benchmark CSV.

    Args:
        path: the file.
        mode: "infer" or "train", which columns to read.

    Raises:
        UsageError: with file and line, if the file is missing or not such a table.
    """
    with csv_rows(path) as reader:
        names = reader.fieldnames or []
        needed = [f"{mode}_{n}" for n in ("img_size", "batch_size", "step_time")]
        missing = [n for n in ("model", *needed, "param_count") if n not in names]
        if missing:
            raise UsageError(f"{path}:1: not a timm {mode} table: no column {', '.join(missing)}")
        return [_row(path, reader.line_num, row, mode) for row in reader]


def _row(path: Path, line: int, row: dict[str, str], mode: str) -> MeasuredModel:
    try:
        gmacs = row.get(f"{mode}_gmacs")
        measured = MeasuredModel(
            model=row["model"],
            image_size=int(row[f"{mode}_img_size"]),
            batch=int(row[f"{mode}_batch_size"]),
            seconds=float(row[f"{mode}_step_time"]) / 1e3,
            parameters=float(row["param_count"]) * 1e6,
            macs=float(gmacs) * 1e9 if gmacs else None,
            line=line,
        )
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path}:{line}: {error}") from error
    if not measured.model or measured.batch < 1 or not 0 < measured.seconds < inf:
        raise UsageError(f"{path}:{line}: expected a model, a batch and a positive step time")
    return measured


def is_timm_table(header: Sequence[str]) -> bool:
    """Whether a CSV's header is that of such a table."""
    return "model" in header and ("infer_step_time" in header or "train_step_time" in header)
