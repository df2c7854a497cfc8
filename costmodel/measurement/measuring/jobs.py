"""Measure jobs one after the other into a file of records, passing over what it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import NamedTuple

from costmodel.documents import read_file
from costmodel.errors import CostModelError, SpecError, UsageError
from costmodel.measurement.measuring.machine import clock_hz, describe, load_average, physical_cores
from costmodel.measurement.measuring.operator_sources import grid, is_operator, parse
from costmodel.measurement.measuring.runner import Job, Prepared, prepared
from costmodel.measurement.measuring.timing import Plan, time_step
from costmodel.measurement.tables.conditions import RunConditions
from costmodel.measurement.tables.records import (
    Clock,
    Machine,
    Record,
    append_record,
    known_keys,
    read_records,
)

Prepare = Callable[[Job], AbstractContextManager[Prepared]]


class Failure(NamedTuple):
    """A job that could not be measured."""

    job: Job
    reason: str


def jobs(
    sources: Iterable[str],
    batches: Iterable[int],
    conditions: Iterable[RunConditions],
    device: str,
    threads: Iterable[int | None],
    input_shape: tuple[int, ...] | None = None,
) -> list[Job]:
    """All combinations; a single operator has its batch (n) among its sizes, and is taken once."""
    ways, sizes, counts = list(conditions), list(batches), list(threads)
    found: dict[Job, None] = {}
    for source in grid(list(sources)):
        own = [parse(source)[1]["n"]] if is_operator(source) else sizes
        shape = None if is_operator(source) else input_shape
        for batch, way, count in product(own, ways, counts):
            cores = count if count is not None else len(physical_cores())
            used = cores if device == "cpu" else None
            found[Job(source, batch, shape, way, device, used)] = None
    return list(found)


def read_grid(path: Path) -> list[str]:
    """Operators of a YAML file: {operators: [{op: conv2d, n: [1, 8], c_in: 64, ...}, ...]}.

    Raises:
        UsageError: if the file is missing or has another form.
    """
    try:
        document = read_file(path)
    except SpecError as error:
        raise UsageError(error.problems[0]) from error
    for problem in document.describe(document.problems):
        raise UsageError(problem)
    entries = document.data.get("operators") if isinstance(document.data, dict) else None
    if not isinstance(entries, list) or not entries:
        raise UsageError(f"{path}: expected a list `operators`")
    found: list[str] = []
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or not isinstance(entry.get("op"), str):
            raise UsageError(f"{path}: operators[{number}]: expected a mapping with `op`")
        words = [f"op:{entry['op']}"]
        for size, values in entry.items():
            if size != "op":
                listed = values if isinstance(values, list) else [values]
                words.append(f"{size}={','.join(map(str, listed))}")
        found += grid([" ".join(words)])
    return found


def remaining(path: Path, wanted: Iterable[Job], machine: Machine) -> list[Job]:
    """Jobs that the file does not hold yet.

    Raises:
        UsageError: if the file exists and is none of records.
    """
    done = known_keys(read_records(path)) if path.exists() else set()
    return [job for job in wanted if job_key(job, machine) not in done]


def job_key(job: Job, machine: Machine) -> tuple[object, ...]:
    """The key that a record of this job has."""
    way = job.conditions
    return (
        job.source, job.batch, job.input_shape, way.precision, way.layout, way.execution,
        way.fast_norm, job.device, job.threads, machine.accelerator or machine.processor,
    )  # fmt: skip


def measure(
    wanted: Iterable[Job],
    path: Path,
    machine: Machine | None = None,
    plan: Plan | None = None,
    prepare: Prepare = prepared,
    clock: Callable[[], float | None] = clock_hz,
) -> Iterator[Record | Failure]:
    """Measure jobs and append each to a file as soon as it is done.

    Args:
        wanted: jobs, for example from `remaining`.
        path: of the JSON lines.
        machine: where this is, by default this machine.
        plan: how long and how surely.
        prepare: makes a stopwatch of a job.
        clock: reads the frequency of the cores.

    Raises:
        UsageError: if the file cannot be written. A job that fails is yielded as a `Failure`.
    """
    here = machine or describe()
    for job in wanted:
        try:
            record = _measured(job, here, plan or Plan(), prepare, clock)
        except CostModelError as error:
            yield Failure(job, " ".join(str(error).split()))
            continue
        append_record(path, record)
        yield record


def _measured(
    job: Job,
    machine: Machine,
    plan: Plan,
    prepare: Prepare,
    clock: Callable[[], float | None],
) -> Record:
    load = load_average()
    started = datetime.now(UTC).isoformat(timespec="seconds")
    with prepare(job) as ready:
        before = clock()
        timing = time_step(ready.stopwatch, plan)
        after = clock()
    way = job.conditions
    return Record(
        source=job.source,
        batch=job.batch,
        input_shape=job.input_shape,
        precision=way.precision,
        layout=way.layout,  # type: ignore[arg-type]
        execution=way.execution,  # type: ignore[arg-type]
        fast_norm=way.fast_norm,
        device=job.device,  # type: ignore[arg-type]
        threads=job.threads,
        parameters=ready.parameters,
        seconds=timing.seconds,
        low=timing.low,
        high=timing.high,
        runs=timing.runs,
        outliers=timing.outliers,
        warmup=timing.warmup,
        confident=timing.confident,
        load=load,
        clock=Clock(before=before, after=after),
        started=started,
        machine=machine,
    )
