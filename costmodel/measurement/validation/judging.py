"""Judging measured networks, however their table is written: group by group, then merged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple, NoReturn, TypeVar

from costmodel.errors import CostModelError, UsageError
from costmodel.measurement.tables.conditions import RunConditions
from costmodel.measurement.validation.matching import Skipped
from costmodel.measurement.validation.networks import Case, stack_networks
from costmodel.measurement.validation.request import Request, Track
from costmodel.measurement.validation.validation import Validation, merged, validate_networks
from costmodel.roofline.ceilings import Target
from costmodel.roofline.engine import enabled_laws

T = TypeVar("T")


class Way(NamedTuple):
    """One way of running; networks that ran in it are judged together."""

    conditions: RunConditions
    threads: int | None = None
    """Of a CPU, where a file states it."""

    def on(self, target: Target) -> Target:
        """The part of a CPU that so many threads are, unless a part was asked for."""
        if target.profile.kind != "cpu" or target.threads is not None or self.threads is None:
            return target
        return replace(target, threads=min(self.threads, int(target.profile.units)))


def judge(
    path: Path,
    target: Target,
    request: Request,
    groups: Mapping[Way, Sequence[T]],
    name_of: Callable[[T], str],
    case_of: Callable[[T, RunConditions], Case],
    track: Track,
    skipped: Iterable[Skipped] = (),
    notes: Sequence[str] = (),
) -> Validation:
    """Validate the rows of a file group by group, and merge.

    Args:
        path: of the file.
        target: the device it was measured on.
        request: what to judge, and how.
        groups: rows by the way they were run.
        name_of: a row's name.
        case_of: traces a row; rows of which this raises are skipped with the reason.
        track: shows progress over the rows.
        skipped: rows that were left out before.
        notes: to be told with the result.

    Raises:
        UsageError: if no row can be compared, or few-shot refinement meets several groups.
    """
    if request.few_shot and len(groups) > 1:
        raise UsageError(
            f"--few-shot needs runs made in one way, {path.name} has {len(groups)}: choose with "
            "--precision, --layout or --compiled"
        )
    left_out = list(skipped)

    def cases(rows: Iterable[T], conditions: RunConditions) -> Iterator[Case]:
        """One by one, so that only one graph is held at a time."""
        for row in rows:
            try:
                yield case_of(row, conditions)
            except CostModelError as error:
                left_out.append(Skipped(name_of(row), " ".join(str(error).split())))

    parts: list[Validation] = []
    for way, rows in groups.items():
        found = cases(track(rows, len(rows)), way.conditions)
        first = next(found, None)
        if first is None:
            continue
        validation = validate_networks(
            stack_networks(chain([first], found), way.conditions.policy),
            way.on(target),
            way.conditions,
            against=path.name,
            laws=enabled_laws(request.without),
            constants=request.constants,
            few_shot=request.few_shot,
            seed=request.seed,
            notes=notes,
        )
        parts.append(validation)
    if not parts:
        reasons = "; ".join(sorted({entry.reason for entry in left_out})[:3])
        raise UsageError(f"{path}: none of its rows could be compared: {reasons}")
    return replace(merged(parts), skipped=tuple(left_out))


def refuse_device(
    path: Path, target: Target, others: Iterable[str], has_rows: bool, request: Request
) -> NoReturn:
    """Say that a file has nothing of this device, or nothing of it that was asked for.

    Raises:
        UsageError: always.
    """
    if has_rows:
        kind = " of training" if request.mode == "train" else " of inference"
        wanted = f" that match {request.models!r}" if request.models else kind
        raise UsageError(f"{path}: no rows for {target.label}{wanted}")
    names = ", ".join(dict.fromkeys(others))
    raise UsageError(f"{path}: no rows for {target.label}; it has {names}")
