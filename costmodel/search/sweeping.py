"""Sweeps: models x devices x batches x precisions, on as many processes as there are.

A model is one piece of work: it is traced once, wherever that is, and predicted under all
conditions that are asked for. What comes back is written to the store at once, so a sweep that was
interrupted, or is asked for again with more devices, does only what is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from costmodel import __version__
from costmodel.counts import check_count
from costmodel.errors import CostModelError, UsageError
from costmodel.estimation import estimate, resolve_target
from costmodel.graph import Graph
from costmodel.roofline.ceilings import Target
from costmodel.roofline.precision import get_precision
from costmodel.search.engines import Progress, Workers
from costmodel.search.store import ResultStore, digest

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
                "device": self.target.profile.model_dump(mode="json"),
                "threads": self.target.threads,
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
    rows: dict[str, Row] = {}
    keys = [case.key for case in cases]
    if store is not None:
        rows = {key: row for key in keys if (row := store.get(key)) is not None}
    known = sum(key in rows for key in keys)
    missing: dict[str, list[Case]] = {}
    for case, key in zip(cases, keys, strict=True):
        if key not in rows:
            missing.setdefault(case.source, []).append(case)
    arguments = [(tuple(group),) for group in missing.values()]
    found: Iterable[list[Row] | str]
    found = workers.map(predict_cases, arguments) if workers else _here(arguments)
    failures: dict[str, str] = {}
    done = known
    for (group,), outcome in zip(arguments, found, strict=True):
        if isinstance(outcome, str):
            failures[group[0].source] = outcome
        else:
            for case, row in zip(group, outcome, strict=True):
                rows[case.key] = row
                if store is not None:
                    store.put(case.key, row)
        done += len(group)
        if progress is not None:
            progress(done, len(cases))
    ordered = [rows[key] for key in keys if key in rows]
    return SweepOutcome(ordered, len(ordered) - known, known, failures)


def _here(arguments: Iterable[tuple[tuple[Case, ...]]]) -> Iterator[list[Row] | str]:
    return (predict_cases(*each) for each in arguments)


def predict_cases(cases: Sequence[Case]) -> list[Row] | str:
    """Rows of cases of one model, or why it has none: a model that fails must not stop a sweep."""
    from costmodel.tracing.cache import cached_graph

    try:
        # A single sample is traced alone: what is a view then is a copy in a larger batch.
        graphs = {size: cached_graph(cases[0].source, size) for size in {_traced(c) for c in cases}}
        return [_row(case, graphs[_traced(case)]) for case in cases]
    except CostModelError as error:
        return " ".join(str(error).split())


def _traced(case: Case) -> int:
    return min(case.batch, 2)


def _row(case: Case, graph: Graph) -> Row:
    found = estimate(graph, case.target, case.batch, case.precision, without=case.without)
    total = found.total
    return {
        "model": case.source,
        "device": found.device,
        "batch": case.batch,
        "precision": case.precision,
        "latency_s": found.latency,
        "throughput_per_s": found.throughput,
        "energy_j": None if found.energy is None else found.energy.joules,
        "bound": found.bound,
        "macs": float(total.macs),
        "params": float(total.parameters),
        "bytes": float(total.bytes),
        "peak_memory_bytes": float(found.peak_memory),
    }


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
