"""Table of measured transformer steps, with the models' configurations in a folder beside it.

Columns: device, model, mode (inf or train), seq_len, batch, option (empty, or fusion for a
compiled run), latency_ms, forward_ms, backward_ms. `configs/MODEL.json` holds the model's
configuration in the Hugging Face format.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from costmodel.errors import UsageError
from costmodel.measurement.tables.csv_files import csv_rows

MODES = ("inf", "train")
OPTIONS = ("", "fusion")
COLUMNS = (
    "device", "model", "mode", "seq_len", "batch", "option", "latency_ms", "forward_ms",
    "backward_ms",
)  # fmt: skip


@dataclass(frozen=True)
class TransformerRun:
    """One measured step, times in seconds."""

    device: str
    """As the driver prints it: underscores of the file are blanks."""
    model: str
    training: bool
    sequence: int
    """Tokens per sample."""
    batch: int
    compiled: bool
    """With operator fusion."""
    latency: float
    forward: float
    backward: float
    """0 for inference."""
    config: dict[str, Any]
    """The model's configuration."""

    @property
    def label(self) -> str:
        """ "bert_large 8 x 512", with its mode and options."""
        extras = [
            name for name, on in (("training", self.training), ("fused", self.compiled)) if on
        ]
        return " ".join([self.model, f"{self.batch} x {self.sequence}", *extras])


def read_transformers(path: Path | str, configs: Path | str | None = None) -> list[TransformerRun]:
    """Read the table; `configs` is by default the folder of that name beside it.

    Raises:
        UsageError: with file and line, if the table is missing or empty, lacks a column, holds a
            value that makes no sense, or names a model without a readable configuration.
    """
    path = Path(path)
    folder = Path(configs) if configs is not None else path.parent / "configs"
    known: dict[str, dict[str, Any]] = {}
    runs = []
    with csv_rows(path) as reader:
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise UsageError(f"{path}:1: no column {', '.join(missing)}")
        for row in reader:
            place = f"{path}:{reader.line_num}"
            model = row["model"]
            if model not in known:
                known[model] = _config(folder / f"{model}.json", place)
            runs.append(_run(row, known[model], place))
    if not runs:
        raise UsageError(f"{path}: no rows")
    return runs


def _run(row: dict[str, str], config: dict[str, Any], place: str) -> TransformerRun:
    for name, allowed in (("mode", MODES), ("option", OPTIONS)):
        if row[name] not in allowed:
            raise UsageError(
                f"{place}: {name} is {row[name]!r}; expected one of "
                f"{', '.join(repr(value) for value in allowed)}"
            )
    training = row["mode"] == "train"
    backward = _number(row, "backward_ms", place, zero=not training)
    return TransformerRun(
        device=row["device"].replace("_", " "),
        model=row["model"],
        training=training,
        sequence=_count(row, "seq_len", place),
        batch=_count(row, "batch", place),
        compiled=row["option"] == "fusion",
        latency=1e-3 * _number(row, "latency_ms", place),
        forward=1e-3 * _number(row, "forward_ms", place),
        backward=1e-3 * backward,
        config=config,
    )


def _number(row: dict[str, str], name: str, place: str, *, zero: bool = False) -> float:
    try:
        value = float(row[name])
    except (TypeError, ValueError):
        value = float("nan")
    if not (0 < value < float("inf") or (zero and value == 0)):
        raise UsageError(f"{place}: {name} is {row[name]!r}; expected a positive number")
    return value


def _count(row: dict[str, str], name: str, place: str) -> int:
    value = _number(row, name, place)
    if value != int(value):
        raise UsageError(f"{place}: {name} is {row[name]!r}; expected a whole number")
    return int(value)


def _config(path: Path, place: str) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise UsageError(f"{place}: no configuration {path}") from None
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}:{error.lineno}: not JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not JSON: {error}") from None
    if not isinstance(config, dict):
        raise UsageError(f"{path}: expected an object")
    return config
