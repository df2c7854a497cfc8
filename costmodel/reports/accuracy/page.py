"""The accuracy page of the documentation, from the recorded validations.

python -m costmodel.reports.accuracy.page FILE.json    prints it as Markdown
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from costmodel.hardware.catalogue import list_devices
from costmodel.measurement.validation.accuracy import (
    AccuracyRun,
    AccuracyTable,
    Kind,
    read_accuracy,
)
from costmodel.reports.table import Column, Table
from costmodel.reports.text import percent

KINDS: dict[Kind, tuple[str, str]] = {
    "spec-only": (
        "Devices known by their data sheet alone",
        "The universal constants were fitted on other devices. This is the number for a device "
        "that nobody here has.",
    ),
    "few-shot": (
        "Devices with a few measured models",
        "Up to ten measured models refined the device; they are not judged.",
    ),
    "same-device": (
        "Devices that the constants were fitted on",
        "A lower bound: it shows how much of the measurements the laws can express, not how well "
        "they carry over.",
    ),
}

NAMES = {"gpu": "GPUs", "cpu": "CPUs", "tpu": "TPUs", "npu": "NPUs", "mcu": "microcontrollers"}

BIASED = 0.1
"""Bias beyond which a test is named as a weakness."""
UNCOVERED = 0.05
"""Coverage of the 90 % interval below 90 % by which a test is named as a weakness."""
WEAK_FAMILY = 0.25
"""MAPE of a family from which it is named as a weakness."""

LEAD = """\
How far predicted times are from measured ones. A test is one measured file on one device under one
way of running; errors are |predicted / measured - 1|, the bias is the median of predicted /
measured. Each test says what was known of the device beforehand: headlines that mix the three kinds
mean little. Every number is the output of the command at the end of the page, with DATA standing
for the folder of measured files.
"""

NOTHING = """\
No validation has been recorded yet. `python benchmarks/accuracy.py DATA` runs those that
`benchmarks/accuracy.toml` lists and writes `docs/accuracy.json`, which this page shows.
`costmodel validate --against FILE -d DEVICE` judges by a file of your own.
"""


def accuracy_page(table: AccuracyTable | None) -> str:
    """The page as Markdown: a table per kind of test, weaknesses, commands."""
    parts = ["# Accuracy", ""]
    if table is None or not table.runs:
        return "\n".join([*parts, NOTHING])
    parts += [LEAD, f"Version {table.version}, {table.date}.", ""]
    for kind, (title, meaning) in KINDS.items():
        runs = [run for run in table.runs if run.kind == kind]
        if runs:
            parts += [f"## {title}", "", meaning, "", score_table(runs).to_markdown()]
    parts += ["## Weaknesses", "", *(f"- {line}" for line in weaknesses(table.runs)), ""]
    parts += ["## Commands", "", "```console"]
    parts += [f"$ {run.command}" for run in table.runs]
    return "\n".join([*parts, "```", ""])


def score_table(runs: Iterable[AccuracyRun]) -> Table:
    """The metrics, a test per line."""
    columns = (
        Column("test", "test", right=False),
        Column("device", "device", right=False),
        Column("conditions", "conditions", right=False),
        Column("n", "n", lambda n: f"{n:,}"),
        Column("skipped", "skipped", lambda n: f"{n:,}"),
        Column("median_ape", "median error", percent),
        Column("mape", "mean error", percent),
        Column("within_10", "within 10 %", percent),
        Column("within_20", "within 20 %", percent),
        Column("spearman", "rank correlation", lambda value: f"{value:.3f}"),
        Column("bias", "bias", lambda value: f"{value:.3f}"),
        Column("coverage_90", "in 90 % interval", percent),
        Column("target", "to beat", right=False),
    )
    keys = [column.key for column in columns]
    rows = tuple(tuple(getattr(run, key) for key in keys) for run in runs)
    return Table("", columns, rows)


def weaknesses(runs: Sequence[AccuracyRun]) -> Iterator[str]:
    """Sentences: what is predicted worst, what leans to one side, what was never judged."""
    worst = max(runs, key=lambda run: run.mape)
    yield f"The worst test is {worst.test} on {worst.device}: {percent(worst.mape)} mean error."
    for run in runs:
        if abs(run.bias - 1) > BIASED:
            word = "slow" if run.bias > 1 else "fast"
            yield (
                f"{run.test}: predictions are too {word}, by {percent(abs(run.bias - 1))} at the "
                "median."
            )
        if run.coverage_90 is not None and run.coverage_90 < 0.9 - UNCOVERED:
            yield (
                f"{run.test}: only {percent(run.coverage_90)} of the measurements are inside the "
                "90 % interval."
            )
        if run.skipped:
            share = percent(run.skipped / (run.n + run.skipped))
            yield f"{run.test}: {run.skipped:,} rows ({share}) could not be compared."
        weak = [family for family in run.worst if family.mape >= WEAK_FAMILY]
        if weak:
            named = ", ".join(f"{f.name} ({percent(f.mape)}, n = {f.n})" for f in weak)
            yield f"{run.test}: worst by mean error: {named}."
    yield from _never_judged(runs)


def _never_judged(runs: Sequence[AccuracyRun]) -> Iterator[str]:
    """Kinds of devices in the catalogue that no test, or none by the data sheet alone, covers."""
    kinds: dict[str, list[str]] = {}
    for profile in list_devices():
        kinds.setdefault(profile.kind, []).append(profile.id)
    for kind, devices in kinds.items():
        judged = [run for run in runs if run.device.partition("@")[0] in devices]
        name = NAMES[kind]
        if not judged:
            yield f"None of the {len(devices)} {name} in the catalogue was ever judged."
        elif all(run.kind == "same-device" for run in judged):
            yield f"No {name[:-1]} was judged by its data sheet alone."


def page_of(path: Path) -> str:
    """The page of a recorded file; one that says so where there is none.

    Raises:
        UsageError: if the file is not of its form.
    """
    return accuracy_page(read_accuracy(path) if path.exists() else None)


if __name__ == "__main__":
    sys.stdout.write(page_of(Path(sys.argv[1])))
