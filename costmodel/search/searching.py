"""`search`: go through all designs of a space, or let a sampler propose them.

Up to `EXHAUSTIVE` combinations every design is costed, in chunks of arrays. Beyond, optuna's
samplers propose designs; a study kept in a file is resumed by the next search of the same problem.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import numpy as np

from costmodel.counts import check_count
from costmodel.errors import UsageError
from costmodel.search.problem import Problem
from costmodel.search.result import SearchResult, bindings, checked
from costmodel.search.summary import Summary, merged

if TYPE_CHECKING:
    from costmodel.search.engines import Progress, Workers

Array = np.ndarray
Method = Literal["auto", "exhaustive", "tpe", "nsga2", "random"]
METHODS: tuple[Method, ...] = ("auto", "exhaustive", "tpe", "nsga2", "random")

EXHAUSTIVE = 3_000_000
"""Combinations up to which all are costed."""
CHUNK = 1 << 18
"""Combinations costed at a time."""


def search(
    problem: Problem,
    method: Method = "auto",
    *,
    top: int = 5,
    trials: int = 2000,
    seed: int = 0,
    storage: str | None = None,
    progress: Progress | None = None,
    workers: Workers | None = None,
) -> SearchResult:
    """The best designs of a problem, each checked by tracing the whole network.

    Args:
        problem: what is searched.
        method: "exhaustive", or a sampler: "tpe", "nsga2" or "random"; "auto" goes through all
            designs if there are at most `EXHAUSTIVE` and else samples.
        top: how many designs to recommend.
        trials: how many designs a sampler proposes, those of an earlier search included.
        seed: of the sampler.
        storage: where a sampler's study is kept: a file, or a URL as optuna takes it.
        progress: called as the search goes on.
        workers: of an engine (`engines.workers`), to go through a space in many processes; a
            sampler works in this one.

    Raises:
        UsageError: for a space without designs or with too many to go through.
    """
    started = time.perf_counter()
    chosen = _method(problem, method)
    check_count("top", top)
    if chosen == "exhaustive":
        summary = go_through(problem, progress, workers)
        kept = "no study is kept: all designs were costed, there was nothing to sample"
        notes: tuple[str, ...] = () if storage is None else (kept,)
    else:
        from costmodel.search.study import sample_designs

        summary, notes = sample_designs(problem, chosen, trials, seed, storage, progress)
    best = checked(problem, summary.best, top, feasible=True)
    nearest = [] if best else checked(problem, summary.nearest, top, feasible=False)
    return SearchResult(
        problem=problem,
        method=chosen,
        summary=summary,
        best=tuple(best),
        nearest=tuple(nearest),
        bindings=bindings(problem, summary, best[0] if best else None),
        error=problem.evaluator.error,
        seconds=time.perf_counter() - started,
        notes=notes,
    )


def _method(problem: Problem, method: Method) -> Method:
    if method not in METHODS:
        raise UsageError(f"method {method!r}: expected {', '.join(METHODS)}")
    if method == "auto":
        return "exhaustive" if problem.space.combinations <= EXHAUSTIVE else "tpe"
    return method


def go_through(
    problem: Problem, progress: Progress | None = None, workers: Workers | None = None
) -> Summary:
    """The summary of all designs, the same however many workers there are.

    Raises:
        UsageError: if there are too many, or none.
    """
    chunks = chunks_of(problem)
    found: Iterable[Summary | None]
    if workers is None:
        found = (_summary(problem, *chunk) for chunk in chunks)
    else:
        for chunk in chunks:  # once here, rather than in every process
            problem.evaluator.prepare(problem.space.numbered(*chunk))
        found = workers.map(_summary, [(problem, *chunk) for chunk in chunks])
    parts: list[Summary] = []
    for (_, stop), part in zip(chunks, found, strict=True):
        if part is not None:
            parts.append(part)
        if progress is not None:
            progress(stop, problem.space.combinations)
    if not parts:
        raise problem.space.empty()
    return merged(parts, problem.axes)


def _summary(problem: Problem, start: int, stop: int) -> Summary | None:
    codes = problem.space.numbered(start, stop)
    return problem.summarize(codes) if len(codes) else None


def chunks_of(problem: Problem) -> list[tuple[int, int]]:
    """Ranges of combinations to cost at a time.

    Raises:
        UsageError: if there are too many.
    """
    problem.space.require_at_most(EXHAUSTIVE)
    total = problem.space.combinations
    return [(start, min(start + CHUNK, total)) for start in range(0, total, CHUNK)]
