"""Sweeps: models x devices x batches x precisions, on as many processes as there are.

A model is one piece of work: it is traced once, wherever that is, and predicted under all
conditions that are asked for. What comes back is written to the store at once, so a sweep that was
interrupted, or is asked for again with more devices, does only what is missing.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import cache, lru_cache
from math import isnan
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from costmodel import __version__
from costmodel.collection import collection_paused
from costmodel.counts import check_count
from costmodel.errors import CostModelError, UsageError
from costmodel.estimation.predictions import Predictions, predictions, unable_targets
from costmodel.estimation.prepared import Prepared, prepared
from costmodel.estimation.targets import resolve_target
from costmodel.graph import DTYPE_BYTES
from costmodel.roofline.ceilings import Target
from costmodel.roofline.engine import BOUNDS, enabled_laws
from costmodel.roofline.precision import Precision, get_precision
from costmodel.search.engines import Progress, Workers
from costmodel.search.store import ResultStore, digest
from costmodel.tracing.cache import cache_in_use, without_cache

Row = dict[str, Any]


class Case(NamedTuple):
    """One prediction that is asked for."""

    source: str
    """Of the model."""
    target: Target
    batch: int
    precision: str
    without: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Digest of all that the result depends on: model, device, conditions and code."""
        return digest(
            {
                "source": self.source,
                "content": _content(self.source),
                "device": _device_digest(self.target),
                "batch": self.batch,
                "precision": self.precision,
                "without": sorted(self.without),
                "code": [__version__, _code_digest()],
            }
        )


class SweepOutcome(NamedTuple):
    """What a sweep gave."""

    rows: list[Row]
    """One for every case, in the order of the cases."""
    computed: int
    """Cases that were worked out now."""
    known: int
    """Cases that the store had."""
    failures: dict[str, str]
    """Why a model has no rows, by source."""
    unable: dict[str, str]
    """Why a device has no rows for some models or precisions, by its label."""


def cases_of(
    sources: Sequence[str],
    devices: Sequence[Any],
    batches: Sequence[int] = (1,),
    precisions: Sequence[str] = ("fp32",),
    without: Sequence[str] = (),
) -> list[Case]:
    """All combinations, each once, model by model.

    Raises:
        UnknownNameError: for an unknown device or precision.
        UsageError: for a batch below 1, or if nothing is asked for.
    """
    targets = [resolve_target(device) for device in devices]
    for batch in batches:
        check_count("batch", batch)
    named = [get_precision(name).name for name in precisions]
    cases = [
        Case(source, target, batch, precision, tuple(without))
        for source in dict.fromkeys(sources)
        for target in targets
        for batch in dict.fromkeys(batches)
        for precision in dict.fromkeys(named)
    ]
    if not cases:
        raise UsageError("nothing to sweep: expected at least one model and one device")
    return cases


def run_sweep(
    cases: Sequence[Case],
    store: ResultStore | None = None,
    workers: Workers | None = None,
    progress: Progress | None = None,
) -> SweepOutcome:
    """Work out every case once.

    Args:
        cases: what is asked for.
        store: of results; what it has is not worked out again, what is new goes there.
        workers: of an engine; by default this process works.
        progress: called with how many of the cases are done.
    """
    known = {} if store is None else _known(cases, store)
    missing: dict[str, list[int]] = {}
    for number, case in enumerate(cases):
        if number not in known:
            missing.setdefault(case.source, []).append(number)
    rows, failures, unable = dict(known), dict[str, str](), dict[str, str]()
    done = len(known)
    for numbers, found in _results([*missing.values()], cases, workers):
        if isinstance(found, str):
            failures[cases[numbers[0]].source] = found
        else:
            for number, row in zip(numbers, found, strict=True):
                if isinstance(row, str):
                    unable[cases[number].target.label] = row
                    continue
                rows[number] = row
                if store is not None:
                    store.put(cases[number].key, row)
        done += len(numbers)
        if progress is not None:
            progress(done, len(cases))
    ordered = [rows[number] for number in sorted(rows)]
    return SweepOutcome(ordered, len(rows) - len(known), len(known), failures, unable)


def _known(cases: Sequence[Case], store: ResultStore) -> dict[int, Row]:
    """Rows that the store has, by the number of the case."""
    found = ((number, store.get(case.key)) for number, case in enumerate(cases))
    return {number: row for number, row in found if row is not None}


def _results(
    groups: Sequence[list[int]], cases: Sequence[Case], workers: Workers | None
) -> Iterator[tuple[list[int], list[Row | str] | str]]:
    """Numbers of the cases of a model, and what `predict_cases` gives for them.

    Workers get a few models at a time, which share their devices on the way.
    """
    asked = [tuple(cases[number] for number in numbers) for numbers in groups]
    if workers is None:
        yield from zip(groups, map(predict_cases, asked), strict=True)
        return
    size = max(1, min(MODELS_PER_CALL, len(asked) // CALLS))
    number_of = {target: n for n, target in enumerate(dict.fromkeys(c.target for c in cases))}
    devices = pickle.dumps(tuple(number_of))
    light: list[list[Any]] = [
        [(case.source, number_of[case.target], *case[2:]) for case in each] for each in asked
    ]
    calls = [
        (devices, light[start : start + size], cache_in_use())
        for start in range(0, len(light), size)
    ]
    found = (each for several in workers.map(predict_models, calls) for each in several)
    yield from zip(groups, found, strict=True)


MODELS_PER_CALL = 8
"""At most, of a worker."""
CALLS = 32
"""To be made at least, so that workers end at about the same time."""


def predict_models(
    devices: bytes, models: Sequence[Sequence[Any]], cached: bool
) -> list[list[Row | str] | str]:
    """`predict_cases` of several models, in a worker.

    Args:
        devices: targets, pickled once for all calls.
        models: fields of the cases of each, with the number of a target in its place.
        cached: whether to use the trace cache.
    """
    targets = _unpickled(devices)
    with nullcontext() if cached else without_cache():
        return [
            predict_cases([Case(source, targets[n], *rest) for source, n, *rest in cases])
            for cases in models
        ]


@lru_cache(maxsize=4)
def _unpickled(devices: bytes) -> tuple[Target, ...]:
    """The same objects at every call: whether others are equal takes long to tell."""
    targets: tuple[Target, ...] = pickle.loads(devices)
    return targets


def predict_cases(cases: Sequence[Case]) -> list[Row | str] | str:
    """For each of the cases of one model a row, or why its device has none.

    A string is why the model has none: a model that fails must not stop a sweep.
    """
    found: dict[int, Row | str] = {}
    groups: dict[tuple[int, str, tuple[str, ...]], list[int]] = {}
    for number, case in enumerate(cases):
        # A single sample is traced alone: what is a view then is a copy in a larger batch.
        groups.setdefault((min(case.batch, 2), case.precision, case.without), []).append(number)
    try:
        with collection_paused():
            models = {size: prepared(cases[0].source, size) for size, *_ in groups}
            for (size, *_), numbers in groups.items():
                rows = _rows([cases[number] for number in numbers], models[size])
                found.update(zip(numbers, rows, strict=True))
    except CostModelError as error:
        return " ".join(str(error).split())
    return [found[number] for number in range(len(cases))]


def _rows(cases: Sequence[Case], model: Prepared) -> Iterator[Row | str]:
    """Rows of cases that differ in device and batch alone, all worked out at once."""
    first, workload = cases[0], model.workload
    policy, laws = get_precision(first.precision), enabled_laws(first.without)
    targets = [*dict.fromkeys(case.target for case in cases)]
    unable = unable_targets(workload, targets, [policy.name])
    able = [target for target in targets if target not in unable]
    batches = [*dict.fromkeys(case.batch for case in cases)]
    rows: dict[tuple[Target, int], Row] = {}
    if able:
        found = predictions(workload, able, batches, [policy], laws)
        costs = [_costs(model, batch, policy) for batch in batches]
        rows = {
            (target, batch): {**speed, **cost}
            for target, speeds in zip(able, _speeds(found), strict=True)
            for batch, speed, cost in zip(batches, speeds, costs, strict=True)
        }
    for case in cases:
        if case.target in unable:
            yield unable[case.target]
        else:
            own = rows[case.target, case.batch]
            yield {"model": case.source, "device": case.target.label, **own}


def _speeds(found: Predictions) -> list[list[Row]]:
    """What depends on the device: for each of them, and each batch."""
    latency, energy, bounds = (
        column[..., 0].tolist() for column in (found.latency, found.energy, found.bounds)
    )
    return [
        [
            {
                "batch": batch,
                "precision": found.precisions[0].name,
                "latency_s": seconds,
                "throughput_per_s": batch / seconds,
                "energy_j": None if isnan(joules) else joules,
                "bound": BOUNDS[code],
            }
            for batch, seconds, joules, code in zip(found.batches, *own, strict=True)
        ]
        for own in zip(latency, energy, bounds, strict=True)
    ]


def _costs(model: Prepared, batch: int, policy: Precision) -> Row:
    """What does not depend on the device."""
    cost = model.workload.cost(np.array(float(batch)), policy.storage).cost
    counts = model.workload.counts
    return {
        "macs": float(np.dot(cost.macs, counts)),
        "params": float(model.parameters),
        "bytes": float(np.dot(cost.bytes, counts)),
        "peak_memory_bytes": model.peak.at(batch, DTYPE_BYTES[policy.storage]),
    }


@lru_cache(maxsize=512)
def _device_digest(target: Target) -> str:
    document = {"device": target.profile.model_dump(mode="json"), "threads": target.threads}
    return digest(document)


def _content(source: str) -> str | None:
    """Digest of the file that a model is in, None for those of installed packages."""
    import hashlib

    path = Path(source.rpartition(":")[0] if ".py:" in source else source)
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    except OSError:
        return None


@cache
def _code_digest() -> str:
    """Of this package's code and data, so that changed laws never meet old results."""
    import hashlib

    package = Path(__file__).resolve().parent.parent
    found = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        shows = path.relative_to(package).parts[0] in ("cli", "reports", "workbench")
        if path.suffix in (".py", ".yaml", ".json") and not shows:
            found.update(path.read_bytes())
    return found.hexdigest()
