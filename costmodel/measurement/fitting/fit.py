"""Fit the laws' constants to measured files, and judge them by what was held out.

Kernels identify the constants of single kernels; whole networks identify the others: those of GPUs
from eager runs, then the few of compiled runs; those of CPUs; those of training steps. Every file
is scored before and after, and every law is switched off in turn to show what it is worth.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from costmodel.errors import UsageError
from costmodel.estimation import resolve_target
from costmodel.hardware.catalogue import is_called
from costmodel.measurement.fitting.ablation import NEUTRAL, ablated_errors
from costmodel.measurement.fitting.kernel_cases import Case, kernel_cases, predict
from costmodel.measurement.fitting.kernel_fit import GROUPS, OPERATORS, fit_constants
from costmodel.measurement.fitting.stages import among, cross_validated, fit_stages
from costmodel.measurement.tables.kernels import KernelTable, read_kernels
from costmodel.measurement.validation.matching import GraphSource
from costmodel.measurement.validation.measured_files import file_kind, validate_file
from costmodel.measurement.validation.request import Request, Track, untracked
from costmodel.measurement.validation.scoring import Score, score
from costmodel.measurement.validation.validation import Run
from costmodel.roofline.ceilings import Target
from costmodel.roofline.constants import DEFAULT, Constants, constant_table
from costmodel.roofline.engine import ALL_LAWS, LAWS

Array = np.ndarray

LARGEST_FILE = 2**20
"""Characters of a file of constants."""


@dataclass(frozen=True)
class Source:
    """A measured file and the device it is of; a folder of kernels may be of all its devices."""

    path: Path
    target: Target | None = None

    @property
    def label(self) -> str:
        """ "FILE on DEVICE"."""
        return self.path.name if self.target is None else f"{self.path.name} on {self.target.label}"

    @property
    def is_kernels(self) -> bool:
        """Whether it holds kernels rather than networks."""
        return file_kind(self.path) == "kernels"


def parse_source(text: str) -> Source:
    """Read "FILE@DEVICE", or "FOLDER" for the kernels of all devices in it.

    Raises:
        UsageError: if a file of networks names no device.
        UnknownNameError: for an unknown device.
    """
    path, _, device = text.partition("@")
    source = Source(Path(path), resolve_target(device) if device else None)
    if source.target is None and not source.is_kernels:
        raise UsageError(f"{text}: of which device? expected FILE@DEVICE")
    return source


class Scored(NamedTuple):
    """How well one source is predicted."""

    source: str
    held_out: bool
    before: Score
    """Under the constants in use."""
    after: Score
    """Under the fitted ones."""


@dataclass(frozen=True)
class Fit:
    """Fitted constants and what they are worth."""

    constants: Constants
    fitted: tuple[str, ...]
    """Names of the constants that were free."""
    scores: tuple[Scored, ...]
    ablation: dict[str, dict[str, float]]
    """MAPE by law that is off ("" for none) and source."""
    folds: tuple[tuple[str, Score], ...] = ()
    """Networks of each source, every family predicted by constants fitted to other families."""


class _Material(NamedTuple):
    """A source, read: cases of kernels, or runs of networks."""

    label: str
    held_out: bool
    cases: list[Case]
    runs: tuple[Run, ...]

    def scored(self, constants: Constants) -> Score:
        predicted, measured = self._times(constants, ALL_LAWS)
        return score(predicted, measured)

    def mape_without(self, law: str, constants: Constants) -> float:
        if self.cases:
            return float(np.mean(list(ablated_errors(self.cases, constants, law or None).values())))
        off = frozenset({law}) if law else frozenset[str]()
        predicted, measured = self._times(constants, ALL_LAWS - off)
        return float(np.abs(predicted / measured - 1).mean())

    def _times(self, constants: Constants, laws: frozenset[str]) -> tuple[Array, Array]:
        predicted = [predict(case, constants) for case in self.cases]
        measured = [case.table.latency for case in self.cases]
        for run in self.runs:
            predicted.append(run.networks.predict(run.target, constants, laws))
            measured.append(run.networks.measured)
        return np.concatenate(predicted), np.concatenate(measured)


def fit_files(
    fitted: Sequence[Source],
    held_out: Sequence[Source],
    load: GraphSource,
    *,
    request: Request | None = None,
    names: Sequence[str] | None = None,
    rows: int = 600,
    seed: int = 0,
    evaluations: int = 14,
    ablate: bool = True,
    folds: int = 0,
    track: Track = untracked,
) -> Fit:
    """Fit constants to some sources and judge them by others.

    Args:
        fitted: sources to fit to.
        held_out: sources that are only judged; kernels of their devices are left out of the fit.
        load: traces a model by its source string.
        request: conditions that the files do not state, and how many of their models to take.
        names: constants to fit, by default all that the sources identify.
        rows: kernels to draw per operator and device.
        seed: of that draw.
        evaluations: bound on the optimiser's steps.
        ablate: switch each law off in turn.
        folds: parts to deal the networks' families into, each judged by a fit to the others;
            0 for none.
        track: shows progress over the rows of a file.

    Raises:
        UsageError: if there is nothing to fit to, scipy is missing, or a file is broken.
        UnknownNameError: for a constant that does not exist.
    """
    if not fitted:
        raise UsageError("nothing to fit to: name at least one measured file")
    asked = request or Request()
    start = asked.constants
    start.with_values({name: getattr(start, name, 0.0) for name in names or ()})

    def read(source: Source, out: bool, draw: int) -> _Material:
        if source.is_kernels:
            away = [] if out else [other.target for other in held_out if other.is_kernels]
            return _Material(source.label, out, _cases(source, away, rows, draw), ())
        found = validate_file(source.path, _needed(source), asked, load, track)
        return _Material(source.label, out, [], found.runs)

    used = [read(source, False, seed) for source in fitted]
    judged = [read(source, True, seed + 1) for source in held_out]
    constants, free = _fit(used, start, names, evaluations)
    materials = [*used, *judged]
    laws = [""] if not ablate else ["", *_laws_of(materials)]
    return Fit(
        constants,
        tuple(free),
        tuple(Scored(m.label, m.held_out, m.scored(start), m.scored(constants)) for m in materials),
        {
            law: {m.label: m.mape_without(law, constants) for m in materials if _applies(law, m)}
            for law in laws
        },
        _folds(used, folds, start, names, evaluations, seed),
    )


def _folds(
    used: Sequence[_Material],
    folds: int,
    start: Constants,
    names: Sequence[str] | None,
    evaluations: int,
    seed: int,
) -> tuple[tuple[str, Score], ...]:
    if not folds:
        return ()
    runs = [run for material in used for run in material.runs]
    if folds < 2 or not runs:
        raise UsageError(f"folds {folds}: expected 2 or more, and files of networks")
    labels = [material.label for material in used for _ in material.runs]
    wanted = frozenset(names) if names else None
    scores = cross_validated(runs, folds, start, wanted, evaluations, seed)
    return tuple(zip(labels, scores, strict=True))


def _needed(source: Source) -> Target:
    if source.target is None:
        raise UsageError(f"{source.path}: of which device? expected FILE@DEVICE")
    return source.target


def _cases(source: Source, away: Iterable[Target | None], rows: int, seed: int) -> list[Case]:
    """Kernels of the source's device, or of all its devices but those that are held out."""
    files = sorted(source.path.glob("*.csv*")) if source.path.is_dir() else [source.path]
    tables: dict[str, KernelTable] = {}
    for file in files:
        table = read_kernels(file)
        tables[table.operator] = table
    ordered = {name: tables[name] for name in OPERATORS if name in tables}
    absent = [target for target in away if target is not None]
    found = [
        case
        for case in kernel_cases(ordered, rows, seed)
        if (source.target is None or is_called(source.target.profile, case.device_name))
        and not any(is_called(target.profile, case.device_name) for target in absent)
    ]
    if not found:
        raise UsageError(f"{source.label}: no kernels to use; is every device held out?")
    return found


# ------------------------------------------------------------------------- fit


def _fit(
    used: Sequence[_Material], start: Constants, names: Sequence[str] | None, evaluations: int
) -> tuple[Constants, list[str]]:
    constants, free = start, []
    wanted = frozenset(names) if names else None
    cases = [case for material in used for case in material.cases]
    if cases:
        met = {case.operator for case in cases}
        groups = [
            (operators, among(members, wanted))
            for operators, members in GROUPS
            if met & set(operators)
        ]
        members = [name for _, chosen in groups for name in chosen]
        guesses = {row.name: row.guess for row in constant_table(start) if row.name in members}
        groups = [group for group in groups if group[1]]
        constants = fit_constants(cases, start.with_values(guesses), groups)
        free += members
    runs = [run for material in used for run in material.runs]
    constants, found = fit_stages(runs, constants, wanted, evaluations)
    free += found
    if not free:
        raise UsageError("none of these constants shows in the files to fit to")
    return constants, free


# -------------------------------------------------------------------- ablation


def _laws_of(materials: Sequence[_Material]) -> list[str]:
    networks = list(LAWS) if any(material.runs for material in materials) else []
    kernels = list(NEUTRAL) if any(material.cases for material in materials) else []
    return [*networks, *(law for law in kernels if law not in networks)]


def _applies(law: str, material: _Material) -> bool:
    return not law or law in (NEUTRAL if material.cases else LAWS)


def read_constants(path: Path, start: Constants = DEFAULT) -> Constants:
    """Constants that `costmodel fit -o FILE.json` wrote; those it does not name stay.

    Raises:
        UsageError: if the file cannot be read, or a value lies outside its plausible range.
        UnknownNameError: for a constant that does not exist.
    """
    import json

    try:
        with path.open(encoding="utf-8") as file:
            document = json.loads(file.read(LARGEST_FILE))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not a file of constants: {error}") from None
    values = document.get("constants") if isinstance(document, dict) else None
    if not isinstance(values, dict) or not all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in values.values()
    ):
        raise UsageError(f"{path}: expected an object with numbers under 'constants'")
    return start.with_values(values)
