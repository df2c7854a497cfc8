"""Sampling designs with optuna: for spaces that are too large to go through.

Trials are asked for and told back in groups, so that a group is costed as one array. A broken
budget is told as a constraint, by how much it is exceeded. Nothing is pruned: a design costs
microseconds, there is no cheaper look at it.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from costmodel.counts import check_count
from costmodel.errors import CostModelError, UsageError
from costmodel.search.goals import Reward
from costmodel.search.problem import Problem
from costmodel.search.summary import Summary, merged

if TYPE_CHECKING:
    import optuna

    from costmodel.search.engines import Progress

Array = np.ndarray

GROUP = 50
"""Designs that are proposed, costed and told together."""
LARGEST_SEED = 2**32
"""Of the samplers' generators; seeds lie below."""
FAR = 1e6
"""Share of a budget used beyond which it makes no difference."""


def sample_designs(
    problem: Problem,
    sampler: str,
    trials: int,
    seed: int,
    storage: str | None,
    progress: Progress | None,
) -> tuple[Summary, tuple[str, ...]]:
    """The summary of the designs that a sampler proposed, and what to say of it.

    Raises:
        UsageError: if optuna is missing, the storage cannot be used, or no proposal meets the
            space's conditions.
    """
    check_count("trials", trials)
    if not 0 <= seed < LARGEST_SEED:
        raise UsageError(f"seed {seed:.6g}: expected 0 to {LARGEST_SEED - 1}")
    study = open_study(problem, sampler, seed, storage)
    with _named(storage):
        before = done = len(study.trials)
        _codes(problem, study)  # what is there can be read: from here on only writing can fail
    while done < trials:
        with _named(storage, only_its_own=True):
            _next_group(problem, study, min(GROUP, trials - done))
            done = len(study.trials)
        if progress is not None:
            progress(done, trials)
    codes = _codes(problem, study)
    if not len(codes):
        raise problem.space.empty()
    summary = climb(problem, problem.summarize(codes), codes)
    notes: tuple[str, ...] = (
        f"{len(codes):,} different designs of {done:,} proposals by {sampler}, of "
        f"{problem.space.combinations:.3g} combinations, then one parameter changed at a time "
        "while that helps: the best found, not the best there is",
    )
    if before:
        notes += (f"resumed a study of {before:,} proposals",)
    return summary, notes


def climb(problem: Problem, summary: Summary, codes: Array) -> Summary:
    """Change one parameter of the best design, or of the nearest, while that helps.

    Args:
        problem: what is sought.
        summary: of the designs seen so far.
        codes: of the same designs, (designs, parameters); none is costed twice.
    """
    known = {row.tobytes() for row in codes}
    while True:
        code = _first(summary)
        near = problem.space.neighbours(code)
        new = near[[row.tobytes() not in known for row in near.astype(codes.dtype)]]
        if not len(new):
            return summary
        known.update(row.tobytes() for row in new.astype(codes.dtype))
        summary = merged([summary, problem.summarize(new)], problem.axes)
        if np.array_equal(_first(summary), code):
            return summary


def _first(summary: Summary) -> Array:
    top = summary.best if len(summary.best) else summary.nearest
    return np.asarray(top.codes[0] if len(top) else summary.front.codes[0])


def open_study(
    problem: Problem, sampler: str = "tpe", seed: int = 0, storage: str | None = None
) -> optuna.Study:
    """The problem's study, new or resumed from its storage."""
    try:
        import optuna
    except ImportError:
        raise UsageError(
            "optuna is not installed; install it with: pip install 'roofline-costmodel[search]'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    url = None if storage is None else storage if "://" in storage else f"sqlite:///{storage}"
    goals = [problem.goal]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        made = _SAMPLERS[sampler](optuna, seed)
        with _named(storage):
            return optuna.create_study(
                storage=url,
                sampler=made,
                pruner=optuna.pruners.NopPruner(),
                study_name=f"{problem.space.name}-{fingerprint(problem)[:12]}",
                directions=["maximize" if goal.maximize else "minimize" for goal in goals],
                load_if_exists=True,
            )


@contextmanager
def _named(storage: str | None, *, only_its_own: bool = False) -> Iterator[None]:
    """Say in a line that a study's storage is damaged, locked, full or none at all.

    Args:
        storage: as the user gave it; without one, errors are nobody else's.
        only_its_own: errors of databases alone, where other things can go wrong as well.
    """
    kinds: tuple[type[Exception], ...] = (Exception,)
    if only_its_own and storage is not None:
        from optuna.exceptions import OptunaError
        from sqlalchemy.exc import SQLAlchemyError

        kinds = (OptunaError, SQLAlchemyError)
    try:
        yield
    except kinds as error:
        if storage is None or isinstance(error, CostModelError):
            raise
        text = " ".join(str(error).split())[:200]
        raise UsageError(f"storage {storage}: cannot be used: {text}") from error


_SAMPLERS: Mapping[str, Any] = {
    "tpe": lambda optuna, seed: optuna.samplers.TPESampler(seed=seed, multivariate=True),
    "nsga2": lambda optuna, seed: optuna.samplers.NSGAIISampler(seed=seed),
    "random": lambda optuna, seed: optuna.samplers.RandomSampler(seed=seed),
}


def _next_group(problem: Problem, study: optuna.Study, count: int) -> None:
    from optuna.trial import TrialState

    space = problem.space
    trials = [study.ask() for _ in range(count)]
    codes = np.array(
        [
            [
                trial.suggest_int(name, 0, radix - 1) if _ordered(values) else
                trial.suggest_categorical(name, list(range(radix)))
                for (name, values), radix in zip(space.choices.items(), space.radices, strict=True)
            ]
            for trial in trials
        ],
        dtype=np.int32,
    )  # fmt: skip
    allowed = space.allowed(codes)
    for trial, fine in zip(trials, allowed, strict=True):
        if not fine:
            _constrain(trial, {"in the space": FAR})
            study.tell(trial, 0.0)
    kept = [trial for trial, fine in zip(trials, allowed, strict=True) if fine]
    if not kept:
        return
    codes = codes[allowed]
    columns = problem.evaluator(codes)
    accuracy = problem.accuracy(codes)
    values = problem.goal.values(columns, accuracy)
    used = [budget.use(columns, accuracy) for budget in problem.budgets]
    for index, trial in enumerate(kept):
        excess = {"in the space": -1.0}
        for budget, share in zip(problem.budgets, used, strict=True):
            name = budget.name if budget.device is None else f"{budget.name} on {budget.device}"
            excess[name] = min(float(share[index]), FAR) - 1
        _constrain(trial, excess)
        trial.set_user_attr("latency_s", [float(t) for t in columns.latency[:, index]])
        trial.set_user_attr("design", space.design(codes[index]))
        known = bool(np.isfinite(values[index]))
        study.tell(
            trial,
            float(values[index]) if known else None,
            state=TrialState.COMPLETE if known else TrialState.FAIL,
        )


def _constrain(trial: optuna.Trial, excess: Mapping[str, float]) -> None:
    """Tell a trial how far it exceeds each constraint, by name; at most 0 is met.

    optuna has named constraints since its version 5. Its dashboard still reads the list of before,
    and without one it takes every design for feasible. The sum of what is exceeded, by which
    samplers rank, doubles for all trials alike.
    """
    for name, value in excess.items():
        trial.set_constraint(name, value)
    trial.storage.set_trial_system_attr(trial._trial_id, "constraints", list(excess.values()))


def _ordered(values: Sequence[Any]) -> bool:
    return not isinstance(values[0], (str, bool))


def _codes(problem: Problem, study: optuna.Study) -> Array:
    """(designs, parameters) each design of the study once, in the order it was proposed.

    Raises:
        ValueError: if the study holds designs of another space.
    """
    names = problem.space.parameters
    rows = dict.fromkeys(
        tuple(int(trial.params[name]) for name in names)
        for trial in study.trials
        if trial.state.name == "COMPLETE"
    )
    codes = np.array(list(rows), dtype=np.int32).reshape(len(rows), len(names))
    if ((codes < 0) | (codes >= np.array(problem.space.radices))).any():
        raise ValueError("it holds choices that the space does not have")
    return np.asarray(codes[problem.space.allowed(codes)])


def fingerprint(problem: Problem) -> str:
    """Hexadecimal digest of all that decides what a design of this problem is worth."""
    goal = problem.goal
    reward = [goal.target, goal.quality, goal.alpha, goal.beta] if isinstance(goal, Reward) else []
    parts = {
        "family": problem.space.family.name,
        "choices": {name: list(values) for name, values in problem.space.choices.items()},
        "conditions": [condition.text for condition in problem.space.conditions],
        "devices": [
            [target.label, target.threads, target.profile.model_dump(mode="json")]
            for target in problem.targets
        ],
        "goal": [goal.name, goal.maximize, *reward],
        "budgets": [[b.name, b.limit, b.device] for b in problem.budgets],
        "run": [problem.batch, problem.precision, list(problem.without)],
        "axes": [[axis.name, axis.maximize] for axis in problem.axes],
        "scores": problem.scores_source,
    }
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
