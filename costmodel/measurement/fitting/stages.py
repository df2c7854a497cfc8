"""Which measured networks identify which constants, and how well that carries over to families.

Constants of GPUs are fitted to eager runs, then the few that only compiled runs show; those of CPUs
by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from costmodel.measurement.fitting.network_fit import fit_networks
from costmodel.measurement.validation.scoring import Score, score
from costmodel.measurement.validation.validation import Run, family_of, take
from costmodel.roofline.constants import DEFAULT, Constants, constant_table

COMPILED = ("compiled_launch", "fused_reread")
"""Constants that only compiled runs identify."""


def fit_stages(
    runs: Sequence[Run], start: Constants, wanted: frozenset[str] | None, evaluations: int
) -> tuple[Constants, list[str]]:
    """Constants fitted to the runs that identify them, and the names of those that were free.

    Args:
        runs: measured networks.
        start: where to begin.
        wanted: constants to fit, None for all.
        evaluations: bound on the optimiser's steps.
    """
    constants, free = start, []
    for belongs, members in _stages():
        group = [(run.target, run.networks) for run in runs if belongs(run)]
        names = among(members, wanted)
        if group and names:
            constants = fit_networks(group, constants, names, evaluations)
            free += names
    return constants, free


def cross_validated(
    runs: Sequence[Run],
    folds: int,
    start: Constants,
    wanted: frozenset[str] | None,
    evaluations: int,
    seed: int = 0,
) -> list[Score]:
    """Scores of each run, every family predicted by constants fitted to other families.

    Args:
        runs: measured networks.
        folds: parts that the families are dealt into at random.
        start: where each fit begins.
        wanted: constants to fit, None for all.
        evaluations: bound on the optimiser's steps.
        seed: of the deal.
    """
    families = [[family_of(name) for name in run.networks.names] for run in runs]
    known = sorted({family for names in families for family in names})
    dealt = np.random.default_rng(seed).permutation(len(known)) % folds
    fold_of = dict(zip(known, dealt.tolist(), strict=True))
    of_run = [np.array([fold_of[family] for family in names]) for names in families]
    predicted = [np.zeros(len(run.networks)) for run in runs]
    for fold in range(folds):
        kept = [
            run._replace(networks=take(run.networks, np.flatnonzero(of != fold)))
            for run, of in zip(runs, of_run, strict=True)
            if (of != fold).any()
        ]
        constants, _ = fit_stages(kept, start, wanted, evaluations)
        for run, of, times in zip(runs, of_run, predicted, strict=True):
            times[of == fold] = run.networks.predict(run.target, constants)[of == fold]
    return [score(times, run.networks.measured) for run, times in zip(runs, predicted, strict=True)]


def among(members: Sequence[str], wanted: frozenset[str] | None) -> list[str]:
    """Those of some constants that are wanted."""
    return [name for name in members if wanted is None or name in wanted]


def _stages() -> list[tuple[Callable[[Run], bool], list[str]]]:
    """Which runs identify which constants, in the order of fitting."""
    gpu, cpu = _like("launch"), _like("cpu_launch")

    def on_gpu(run: Run) -> bool:
        return run.target.profile.kind == "gpu" and run.conditions.step is None

    return [
        (
            lambda run: on_gpu(run) and not run.conditions.compiled,
            [name for name in gpu if name not in COMPILED],
        ),
        (lambda run: on_gpu(run) and run.conditions.compiled, list(COMPILED)),
        (lambda run: run.target.profile.kind == "cpu" and run.conditions.step is None, cpu),
    ]


def _like(name: str) -> list[str]:
    """Constants that come from the same fit as this one."""
    table = {row.name: row for row in constant_table(DEFAULT)}
    return [row.name for row in table.values() if row.source == table[name].source]
