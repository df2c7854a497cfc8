"""Spread of the residuals on devices that were not fitted to, as `roofline/residuals.json`.

    python -m costmodel.measurement.fitting.uncertainty -o FILE
        --case FILE@DEVICE[,PRECISION][,fast-norm][,constants=FILE.json] [--case ...] [--limit N]

Each case is a file of measured networks that `costmodel validate` reads and the device they were
measured on, under the conditions that the file states. The constants are those that ship, or those
that `costmodel fit` wrote without the device: the device must not be among the ones they were
fitted on.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from costmodel.errors import UsageError
from costmodel.measurement.fitting.fit import parse_source, read_constants
from costmodel.measurement.fitting.residuals import FEWEST, fit_residuals
from costmodel.measurement.validation.device_factors import kind_shares, network_times, sum_rows
from costmodel.measurement.validation.matching import GraphSource
from costmodel.measurement.validation.measured_files import validate_file
from costmodel.measurement.validation.request import Request
from costmodel.measurement.validation.validation import Run
from costmodel.roofline.constants import DEFAULT, Constants
from costmodel.roofline.interval import LEVEL, Residuals

Array = np.ndarray

DIGITS = 3
"""Significant digits of the numbers in the file."""


class JudgedRun(NamedTuple):
    """Networks measured in one way on one device, and constants not fitted to that device."""

    run: Run
    constants: Constants

    @property
    def way(self) -> tuple[str, str, str]:
        """Kind of device, execution and precision."""
        conditions = self.run.conditions
        return self.run.target.profile.kind, conditions.execution, conditions.precision


def read_case(text: str, load: GraphSource, limit: int | None = None) -> list[JudgedRun]:
    """Runs of a case "FILE@DEVICE[,PRECISION][,fast-norm][,constants=FILE.json]".

    Raises:
        UsageError: if the text makes no sense or a file cannot be read.
        UnknownNameError: for an unknown device or precision.
    """
    place, *words = text.split(",")
    source = parse_source(place)
    if source.target is None:
        raise UsageError(f"case {text!r}: kernels have no intervals; expected networks")
    constants, precision = DEFAULT, None
    for word in words:
        if word.startswith("constants="):
            constants = read_constants(Path(word.removeprefix("constants=")))
        elif word != "fast-norm":
            precision = word
    request = Request(precision=precision, fast_norm="fast-norm" in words, limit=limit)
    runs = validate_file(source.path, source.target, request, load).runs
    return [JudgedRun(run, constants) for run in runs]


def residual_sets(runs: Sequence[JudgedRun]) -> list[Residuals]:
    """One set of residuals for each kind of device, execution and precision of the runs.

    Raises:
        UsageError: if a way of running has too few networks.
    """
    ways: dict[tuple[str, str, str], list[JudgedRun]] = {}
    for judged in runs:
        ways.setdefault(judged.way, []).append(judged)
    return [_fit_way(way, chosen) for way, chosen in ways.items()]


def _networks(runs: Sequence[JudgedRun], way: tuple[str, str, str]) -> int:
    return sum(len(judged.run.networks) for judged in runs if judged.way == way)


def _fit_way(way: tuple[str, str, str], runs: Sequence[JudgedRun]) -> Residuals:
    names: list[str] = []
    parts: list[tuple[str, Array, tuple[str, ...], Array]] = []
    for run, constants in runs:
        networks = run.networks
        times = network_times(networks, run.target, constants)
        kinds, shares = kind_shares(networks, times)
        errors = np.log(networks.measured / sum_rows(networks, times.total[0, 0]))
        parts.append((run.target.label, errors, kinds, shares))
        names = sorted({*names, *kinds})
    tables: dict[str, list[Array]] = {}
    errors_of: dict[str, list[Array]] = {}
    for device, errors, kinds, shares in parts:
        table = np.zeros((len(errors), len(names)))
        for index, kind in enumerate(kinds):
            table[:, names.index(kind)] = shares[:, index]
        tables.setdefault(device, []).append(table)
        errors_of.setdefault(device, []).append(errors)
    judged = ", ".join(errors_of)
    found = fit_residuals(
        [np.concatenate(values) for values in errors_of.values()],
        names,
        [np.concatenate(values) for values in tables.values()],
        *way,
        judged=f"{way[1]}, {way[2]}, on devices not fitted to ({judged})",
    )
    vendors = {run.target.profile.vendor for run, _ in runs} if way[0] == "gpu" else set()
    return replace(found, vendor=vendors.pop() if len(vendors) == 1 else "")


def document(sets: Sequence[Residuals], command: str) -> dict[str, Any]:
    """The data file, numbers rounded."""
    return {
        "schema_version": 1,
        "level": LEVEL,
        "command": command,
        "sets": [_rounded(asdict(entry)) for entry in sets],
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(v) for key, v in value.items()}
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def main(arguments: Sequence[str]) -> int:
    """Run the command of the module's docstring."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m costmodel.measurement.fitting.uncertainty")
    parser.add_argument("--case", action="append", required=True)
    parser.add_argument("--limit", type=int, help="networks per case, spread over the table")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    from costmodel.tracing.cache import cached_graph

    runs: list[JudgedRun] = []
    for text in options.case:
        found = read_case(text, cached_graph, options.limit)
        runs += found
        count = sum(len(judged.run.networks) for judged in found)
        print(f"{text}: {count} networks", file=sys.stderr)
    enough = [judged for judged in runs if _networks(runs, judged.way) >= FEWEST]
    for way in {judged.way for judged in runs} - {judged.way for judged in enough}:
        print(f"{' '.join(way)}: left out, {_networks(runs, way)} networks", file=sys.stderr)
    sets = residual_sets(enough)
    named = [f"--case {re.sub(r'[^,=]*/', '', text)}" for text in options.case]
    command = " ".join(
        ["python -m costmodel.measurement.fitting.uncertainty", *named]
        + ([f"--limit {options.limit}"] if options.limit else [])
    )
    text = json.dumps(document(sets, command), indent=2) + "\n"
    options.output.write_text(text, encoding="utf-8")
    for entry in sets:
        half = entry.quantile * entry.floor
        print(
            f"{entry.device_kind} {entry.execution} {entry.precision}: {entry.networks} networks, "
            f"narrowest half-width {half:.1%}, between devices {entry.between_devices:.1%}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
