"""Reads any measured file and judges the estimates by it: `validate_file`.

Four kinds are told apart by their first line: timm's benchmark tables (CSV with `model` and
`infer_step_time`), kernel tables (CSV or CSV.gz with `opname`; or a folder of them), tables of
transformer steps (CSV with `device`, `model`, `seq_len`, beside a folder `configs`), and this
project's own measurements (JSON lines).
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from costmodel.errors import CostModelError, UsageError
from costmodel.hardware import DeviceProfile
from costmodel.measurement.conditions import RunConditions
from costmodel.measurement.kernel_prediction import measured_dispatch, predicted_latency
from costmodel.measurement.kernels import KernelTable, read_kernels
from costmodel.measurement.matching import (
    GraphSource,
    Skipped,
    choose,
    labels,
    run_form,
    timm_cases,
)
from costmodel.measurement.networks import Case
from costmodel.measurement.records import Record, read_records
from costmodel.measurement.timm_tables import is_timm_table, read_timm_table
from costmodel.measurement.transformers import TransformerRun, read_transformers
from costmodel.measurement.validation import Validation, merged, stack_cases, validate_networks
from costmodel.roofline.ceilings import Target
from costmodel.roofline.constants import DEFAULT, Constants
from costmodel.roofline.device_columns import device_columns
from costmodel.roofline.engine import enabled_laws
from costmodel.tracing.training_step import TrainingStep

T = TypeVar("T")
Track = Callable[[Iterable[Any], int], Iterator[Any]]
"""Passes items on while it shows progress; gets the items and how many there are."""


@dataclass(frozen=True)
class Request:
    """What of a file is to be judged, and how; None where the file decides."""

    precision: str | None = None
    layout: str | None = None
    compiled: bool | None = None
    fast_norm: bool = False
    mode: str = "infer"
    few_shot: int = 0
    seed: int = 0
    models: str | None = None
    """Glob of model names."""
    limit: int | None = None
    without: tuple[str, ...] = ()
    """Laws to switch off."""
    constants: Constants = DEFAULT
    """Of the laws."""

    def __post_init__(self) -> None:
        enabled_laws(self.without)
        if self.mode not in ("infer", "train"):
            raise UsageError(f"mode {self.mode!r}: expected infer or train")
        if self.mode == "train" and self.compiled:
            raise UsageError("mode train: a compiled training step is not modelled; use --eager")
        for name, value, least in (("few-shot", self.few_shot, 0), ("limit", self.limit, 1)):
            if value is not None and value < least:
                raise UsageError(f"{name} {value}: expected at least {least}")

    def conditions(self, default: RunConditions) -> RunConditions:
        """The conditions asked for, else those of the file."""
        return RunConditions(
            self.precision or default.precision,
            self.layout or default.layout,
            default.compiled if self.compiled is None else self.compiled,
            self.fast_norm or default.fast_norm,
            default.step,
        )


def untracked(items: Iterable[Any], total: int) -> Iterator[Any]:
    return iter(items)


def validate_file(
    path: Path,
    target: Target,
    request: Request,
    load: GraphSource,
    track: Track = untracked,
) -> Validation:
    """Judge the estimates for a device by a measured file.

    Args:
        path: of the file, or a folder of kernel tables.
        target: the device that was measured, or a part of a CPU.
        request: what to judge, and how.
        load: traces a model by its source string, `cached_graph` for example.
        track: shows progress over the rows.

    Raises:
        UsageError: if the file is missing, of no known kind or broken, has no rows for the
            device or the request, or the request makes no sense for its kind.
        UnknownNameError: for an unknown precision or law.
    """
    reader = _READERS[file_kind(path)]
    return reader(path, target, request, load, track)


def file_kind(path: Path) -> str:
    """ "timm", "kernels", "transformers" or "records".

    Raises:
        UsageError: if it is none of these.
    """
    if path.is_dir():
        return "kernels"
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8", newline="") as file:
            first = file.readline()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    if first.lstrip().startswith("{"):
        return "records"
    header = next(csv.reader([first]), [])
    if is_timm_table(header):
        return "timm"
    if "opname" in header:
        return "kernels"
    if {"device", "model", "seq_len"} <= set(header):
        return "transformers"
    raise UsageError(
        f"{path}: no measured file: expected a timm benchmark CSV, a kernel or transformer table, "
        "or JSON lines of `costmodel measure`"
    )


# ------------------------------------------------------------------------ timm


def conditions_of_name(name: str) -> RunConditions:
    """Conditions that the name of a timm table states: amp or fp32, nchw or nhwc, dynamo.

    >>> str(conditions_of_name("benchmark-infer-amp-nhwc-pt240-cu124-rtx4090-dynamo.csv"))
    'amp-fp16, nhwc, compiled'

    A training table is one of SGD with Nesterov's momentum, as timm's script runs by default. Up
    to release 1.13 of the framework (pt112) optimisers worked tensor by tensor, gradients were
    set to zero and added to, and there was no fused attention.
    """
    words = set(name.lower().removesuffix(".csv").split("-"))
    precision = next((p for p in ("fp32", "fp16", "bf16", "tf32") if p in words), "fp32")
    if "amp" in words:
        precision = "amp-bf16" if "bf16" in words else "amp-fp16"
    step = None
    if "train" in words:
        old = any(word.startswith("pt1") for word in words)
        step = TrainingStep(
            optimizer="sgd-nesterov",
            implementation="for-loop" if old else None,
            accumulate=old,
            fused_attention=not old,
        )
    layout = "nhwc" if "nhwc" in words else "nchw"
    return RunConditions(precision, layout, "dynamo" in words, step=step)


def _validate_timm(
    path: Path, target: Target, request: Request, load: GraphSource, track: Track
) -> Validation:
    stated = conditions_of_name(path.name)
    if stated.step is None and request.mode == "train":
        stated = replace(stated, step=TrainingStep(optimizer="sgd-nesterov"))
    conditions = replace(
        request.conditions(stated), step=stated.step if request.mode == "train" else None
    )
    rows = read_timm_table(path, request.mode)
    named = choose(
        list(zip(labels(rows), rows, strict=True)),
        lambda pair: pair[0],
        request.models,
        request.limit,
    )
    skipped: list[Skipped] = []
    pairs = track(named, len(named))
    cases = timm_cases(pairs, conditions, target.profile.kind, load, skipped)
    networks = stack_cases(cases, conditions.policy, str(path))
    notes = []
    if None in (request.precision, request.layout, request.compiled):
        notes.append(f"run conditions that were not given are those of the file's name: {stated}")
    return _judge(path, networks, target, conditions, request, skipped, notes)


def _judge(
    path: Path,
    networks: Any,
    target: Target,
    conditions: RunConditions,
    request: Request,
    skipped: Sequence[Skipped],
    notes: Sequence[str] = (),
) -> Validation:
    return validate_networks(
        networks,
        target,
        conditions,
        against=path.name,
        laws=enabled_laws(request.without),
        constants=request.constants,
        few_shot=request.few_shot,
        seed=request.seed,
        skipped=skipped,
        notes=notes,
    )


# --------------------------------------------------------------------- kernels


def _validate_kernels(
    path: Path, target: Target, request: Request, load: GraphSource, track: Track
) -> Validation:
    asked = {
        "--without": request.without, "--few-shot": request.few_shot,
        "--compiled": request.compiled, "--fast-norm": request.fast_norm,
        "--layout": request.layout,
    }  # fmt: skip
    for option, value in asked.items():
        if value:
            raise UsageError(f"{option}: does not apply to kernel tables, which run one by one")
    if request.precision not in (None, "fp32"):
        raise UsageError(f"precision {request.precision!r}: kernel tables are measured in fp32")
    files = sorted([*path.glob("*.csv"), *path.glob("*.csv.gz")]) if path.is_dir() else [path]
    if not files:
        raise UsageError(f"{path}: no kernel tables (*.csv or *.csv.gz) in this folder")
    parts: list[Validation | None] = []
    others: list[str] = []
    for file in track(files, len(files)):
        table = read_kernels(file)
        rows = table.take(np.array([is_called(target.profile, name) for name in table.device]))
        if len(rows):
            parts.append(_judge_kernels(file, rows, target, request))
        else:
            others += table.devices
    kept = [part for part in parts if part is not None]
    if not kept:
        _refuse_device(path, target, others, bool(parts), request)
    return replace(merged(kept), against=path.name)


def _judge_kernels(
    path: Path, table: KernelTable, target: Target, request: Request
) -> Validation | None:
    device = device_columns((target,)).expand()
    dispatch = measured_dispatch(table)
    names = [
        " ".join([table.operator, *(f"{k}={v[i]:g}" for k, v in table.sizes.items())])
        for i in range(len(table))
    ]
    try:
        chosen = choose(range(len(table)), lambda i: names[i], request.models, request.limit)
    except UsageError:
        return None
    judged = table.take(np.array(chosen))
    predicted = predicted_latency(table.operator, judged.sizes, device, dispatch, request.constants)
    return Validation(
        against=path.name,
        device=target.label,
        conditions="fp32, kernels run one by one",
        group_word="operator",
        names=tuple(names[i] for i in chosen),
        groups=(table.operator,) * len(chosen),
        measured=judged.latency,
        predicted=predicted,
        notes=(
            f"{table.operator}: the host's {dispatch * 1e6:.1f} us per operator are read from the "
            "smallest kernels of the table",
        ),
    )


# ---------------------------------------------------------------- transformers


ATTENTION = "attention=eager"
"""The library of 2023, with which such tables were made, had no fused attention."""


def _validate_transformers(
    path: Path, target: Target, request: Request, load: GraphSource, track: Track
) -> Validation:
    table = read_transformers(path)
    runs = [run for run in table if is_called(target.profile, run.device)]
    training = request.mode == "train"
    judged = [run for run in runs if run.training == training]
    if not judged:
        _refuse_device(path, target, [run.device for run in table], bool(runs), request)
    if request.compiled is not None:
        judged = [run for run in judged if run.compiled == request.compiled]
    judged = choose(judged, lambda run: run.label, request.models, request.limit)
    other = "inference" if training else "a training step (forward and backward): --mode train"
    skipped = [Skipped(run.label, other) for run in runs if run.training != training]
    step = TrainingStep(optimizer=None) if training else None
    groups: dict[RunConditions, list[TransformerRun]] = {}
    for run in judged:
        conditions = request.conditions(RunConditions(compiled=run.compiled, step=step))
        groups.setdefault(conditions, []).append(run)

    def cases(conditions: RunConditions, chosen: Iterable[TransformerRun]) -> Iterator[Case]:
        for run in chosen:
            source = f"hf:{path.parent / 'configs' / run.model}.json?{ATTENTION}"
            options = conditions.trace_options(target.profile.kind)
            try:
                graph = load(source, run.batch, (run.sequence,), **options)
                yield Case(run.label, run_form(graph, conditions), run.batch, run.latency)
            except CostModelError as error:
                skipped.append(Skipped(run.label, " ".join(str(error).split())))

    return _judge_groups(path, target, request, groups, cases, skipped, track)


# --------------------------------------------------------------------- records


def _validate_records(
    path: Path, target: Target, request: Request, load: GraphSource, track: Track
) -> Validation:
    from costmodel.measurement.operator_sources import is_operator, operator_graph

    found = [
        record
        for record in read_records(path)
        if request.precision in (None, record.precision)
        and request.layout in (None, record.layout)
        and request.compiled in (None, record.execution == "compiled")
        and (target.threads is None or record.threads in (None, target.threads))
        and _can_be(target, record)
    ]
    if not found:
        raise UsageError(f"{path}: no measurement of this kind of device under these conditions")
    found = choose(found, lambda record: record.source, request.models, request.limit)
    groups: dict[tuple[RunConditions, int | None], list[Record]] = {}
    for record in found:
        groups.setdefault((record.conditions, record.threads), []).append(record)
    skipped: list[Skipped] = []

    def cases(group: tuple[RunConditions, int | None], chosen: Iterable[Record]) -> Iterator[Case]:
        conditions, _ = group
        for record in chosen:
            options = conditions.trace_options(target.profile.kind)
            name = f"{record.source} batch {record.batch}"
            try:
                if is_operator(record.source):
                    graph = operator_graph(record.source, **options)
                else:
                    graph = load(record.source, record.batch, record.input_shape, **options)
                if record.parameters not in (None, graph.parameters):
                    raise UsageError(
                        f"has {graph.parameters:,} parameters here and {record.parameters:,} "
                        "where it was measured: another version of the model"
                    )
                yield Case(name, run_form(graph, conditions), graph.batch, record.seconds)
            except CostModelError as error:
                skipped.append(Skipped(name, " ".join(str(error).split())))

    return _judge_groups(path, target, request, groups, cases, skipped, track)


def _can_be(target: Target, record: Record) -> bool:
    return (record.device == "cpu") == (target.profile.kind == "cpu")


# ---------------------------------------------------------------------- shared


def _judge_groups(
    path: Path,
    target: Target,
    request: Request,
    groups: dict[Any, list[Any]],
    cases: Callable[[Any, Iterable[Any]], Iterator[Case]],
    skipped: list[Skipped],
    track: Track,
) -> Validation:
    """Validate runs made in different ways group by group, and merge."""
    if request.few_shot and len(groups) > 1:
        raise UsageError(
            f"--few-shot needs runs made in one way, {path.name} has {len(groups)}: choose with "
            "--precision, --layout or --compiled"
        )
    parts: list[Validation] = []
    for group, chosen in groups.items():
        conditions, threads = group if isinstance(group, tuple) else (group, None)
        place = target
        if target.profile.kind == "cpu" and target.threads is None and threads is not None:
            place = replace(target, threads=min(threads, int(target.profile.units)))
        found = list(cases(group, track(chosen, len(chosen))))
        if found:
            networks = stack_cases(found, conditions.policy, str(path))
            parts.append(_judge(path, networks, place, conditions, request, ()))
    if not parts:
        reasons = "; ".join(sorted({entry.reason for entry in skipped})[:3])
        raise UsageError(f"{path}: none of its rows could be compared: {reasons}")
    return replace(merged(parts), skipped=tuple(skipped))


def is_called(profile: DeviceProfile, name: str) -> bool:
    """Whether a device that a file names is the one of a profile: its id or an alias."""

    def plain(text: str) -> str:
        return "-".join(text.replace("_", " ").lower().split())

    return plain(name) in {plain(known) for known in (profile.id, profile.name, *profile.aliases)}


def _refuse_device(
    path: Path, target: Target, others: Iterable[str], has_rows: bool, request: Request
) -> None:
    if has_rows:
        kind = " of training" if request.mode == "train" else " of inference"
        wanted = f" that match {request.models!r}" if request.models else kind
        raise UsageError(f"{path}: no rows for {target.label}{wanted}")
    names = ", ".join(dict.fromkeys(others))
    raise UsageError(f"{path}: no rows for {target.label}; it has {names}")


_READERS: dict[str, Callable[[Path, Target, Request, GraphSource, Track], Validation]] = {
    "timm": _validate_timm,
    "kernels": _validate_kernels,
    "transformers": _validate_transformers,
    "records": _validate_records,
}
