"""Spread of the residuals on devices that were not fitted to, as `roofline/residuals.json`.

    python -m costmodel.measurement.uncertainty -o FILE
        --case TABLE,DEVICE,PRECISION,LAYOUT[,compiled][,fast-norm] [--case ...]
        [--rotate] [--limit N]

Each case is a table of measured networks and the device it was measured on. Without --rotate the
constants are those that ship, so the devices must not be among the ones they were fitted on; with
it, every device is predicted from constants fitted to all other devices of the cases.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from costmodel.errors import UsageError
from costmodel.estimation import resolve_target
from costmodel.measurement.conditions import RunConditions
from costmodel.measurement.device_factors import network_times, sum_rows
from costmodel.measurement.matching import GraphSource
from costmodel.measurement.measured_files import Request, validate_file
from costmodel.measurement.network_fit import fit_networks
from costmodel.measurement.networks import Networks
from costmodel.measurement.residual_fit import fit_residuals
from costmodel.roofline.ceilings import Target
from costmodel.roofline.constants import DEFAULT, Constants
from costmodel.roofline.engine import BOUNDS
from costmodel.roofline.interval import LEVEL, Residuals, time_shares

Array = np.ndarray

DIGITS = 3
"""Significant digits of the numbers in the file."""


class MeasuredCase(NamedTuple):
    """Networks measured in one way on one device."""

    target: Target
    conditions: RunConditions
    networks: Networks


def read_case(text: str, load: GraphSource, limit: int | None = None) -> MeasuredCase:
    """A case from "TABLE,DEVICE,PRECISION,LAYOUT[,compiled][,fast-norm]".

    Raises:
        UsageError: if the text or the table makes no sense.
    """
    path, *words = text.split(",")
    if len(words) < 3 or set(words[3:]) - {"compiled", "fast-norm"}:
        raise UsageError(
            f"case {text!r}: expected TABLE,DEVICE,PRECISION,LAYOUT[,compiled][,fast-norm]"
        )
    request = Request(
        precision=words[1],
        layout=words[2],
        compiled="compiled" in words[3:],
        fast_norm="fast-norm" in words[3:],
        limit=limit,
    )
    runs = validate_file(Path(path), resolve_target(words[0]), request, load).runs
    if len(runs) != 1:
        raise UsageError(f"case {text!r}: its rows were measured in {len(runs)} ways, expected one")
    run = runs[0]
    return MeasuredCase(run.target, run.conditions, run.networks)


def residual_sets(
    cases: Sequence[MeasuredCase], *, rotate: bool = False, constants: Constants = DEFAULT
) -> list[Residuals]:
    """One set of residuals for each kind of device, execution and precision of the cases.

    Raises:
        UsageError: if the cases do not suffice.
    """
    constants_of = _rotated(cases) if rotate else {}
    ways: dict[tuple[str, str, str], list[MeasuredCase]] = {}
    for case in cases:
        way = (case.target.profile.kind, case.conditions.execution, case.conditions.precision)
        ways.setdefault(way, []).append(case)
    return [
        _fit_way(way, chosen, [constants_of.get(c.target.label, constants) for c in chosen])
        for way, chosen in ways.items()
    ]


def _rotated(cases: Sequence[MeasuredCase]) -> dict[str, Constants]:
    """Constants for each device, fitted to eager runs on all devices but it."""
    devices = sorted({case.target.label for case in cases})
    found = {}
    for device in devices:
        others = [
            (case.target, case.networks)
            for case in cases
            if case.target.label != device and not case.conditions.compiled
        ]
        if not others:
            raise UsageError(f"--rotate: no other device than {device} to fit to")
        found[device] = fit_networks(others)
    return found


def _fit_way(
    way: tuple[str, str, str], cases: Sequence[MeasuredCase], constants: Sequence[Constants]
) -> Residuals:
    names: list[str] = []
    parts: list[tuple[str, Array, tuple[str, ...], Array]] = []
    for case, used in zip(cases, constants, strict=True):
        networks = case.networks
        times = network_times(networks, case.target, used)
        rows = times.total[0, 0]
        kinds, shares = time_shares(
            networks.kinds,
            times.bound[0, 0] == BOUNDS.index("launch"),
            rows * networks.counts,
            networks.network,
            len(networks),
        )
        errors = np.log(networks.measured / sum_rows(networks, rows))
        parts.append((case.target.label, errors, kinds, shares))
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
    return fit_residuals(
        [np.concatenate(values) for values in errors_of.values()],
        names,
        [np.concatenate(values) for values in tables.values()],
        *way,
        judged=f"{way[1]}, {way[2]}, on devices not fitted to ({judged})",
    )


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

    parser = argparse.ArgumentParser(prog="python -m costmodel.measurement.uncertainty")
    parser.add_argument("--case", action="append", required=True)
    parser.add_argument("--rotate", action="store_true")
    parser.add_argument("--limit", type=int, help="networks per case, spread over the table")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    from costmodel.tracing.cache import cached_graph

    cases = []
    for text in options.case:
        cases.append(read_case(text, cached_graph, options.limit))
        print(f"{text}: {len(cases[-1].networks)} networks", file=sys.stderr)
    sets = residual_sets(cases, rotate=options.rotate)
    named = [f"--case {Path(text).name}" for text in options.case]
    command = " ".join(
        ["python -m costmodel.measurement.uncertainty", *named]
        + (["--rotate"] if options.rotate else [])
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
