"""optuna's own dashboard, served here over a kept study of more than a million designs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any
from urllib.request import urlopen
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from costmodel.search import load_space
from costmodel.search.goals import Budget
from costmodel.search.problem import Problem
from costmodel.search.searching import search

pytest.importorskip("moocore", reason="Pareto fronts need the extra `search`")
optuna = pytest.importorskip("optuna", reason="samplers need the extra `search`")
optuna_dashboard = pytest.importorskip("optuna_dashboard", reason="pip install optuna-dashboard")

TRIALS = 24
BUDGET = 5e-3
"""Seconds: some of the designs exceed it, and some do not."""


class Quiet(WSGIRequestHandler):
    """Says nothing of the requests it answers."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A study on disk, in a space that is too large to go through but has few kinds of blocks."""
    depths = {f"depth{stage}": list(range(1, 41)) for stage in (1, 2, 3, 4)}
    kinds = {f"kind{stage}": "pconv" for stage in (1, 2, 3, 4)}
    space = load_space("fasternet").restricted(
        width=[32, 48], ratio=0.25, resolution=64, **depths, **kinds
    )
    assert space.combinations > 1_000_000
    path = tmp_path_factory.mktemp("study") / "study.db"
    problem = Problem(space, ["v100-sxm2"], budgets=(Budget("latency", BUDGET),))
    search(problem, top=1, trials=TRIALS, storage=str(path))
    url = f"sqlite:///{path}"
    (summary,) = optuna.get_all_study_summaries(url)
    return url, optuna.load_study(study_name=summary.study_name, storage=url)


@pytest.fixture(scope="module")
def ask(study: Any) -> Iterator[Callable[[str], Any]]:
    """What the dashboard answers to a path."""
    url, _ = study
    with make_server("127.0.0.1", 0, optuna_dashboard.wsgi(url), handler_class=Quiet) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()

        def answer(path: str) -> Any:
            with urlopen(f"http://127.0.0.1:{server.server_port}{path}", timeout=60) as found:
                return json.loads(found.read())

        yield answer
        server.shutdown()
        thread.join()


def test_the_dashboard_lists_the_study_and_its_trials(ask: Any, study: Any) -> None:
    _, kept = study
    (listed,) = ask("/api/studies")["study_summaries"]
    assert (listed["study_name"], listed["directions"]) == (kept.study_name, ["maximize"])
    trials = ask(f"/api/studies/{listed['study_id']}?after=0")["trials"]
    assert len(trials) == TRIALS
    for shown, trial in zip(trials, kept.trials, strict=True):
        assert shown["state"] == "Complete"
        assert shown["values"] == pytest.approx(trial.values)
        design = {item["key"]: item["value"] for item in shown["user_attrs"]}["design"]
        assert json.loads(design.replace("'", '"'))["resolution"] == 64


def test_the_dashboard_knows_which_trials_keep_to_the_budget(ask: Any, study: Any) -> None:
    """By the time that was predicted, not by what the trial says of itself."""
    _, kept = study
    (listed,) = ask("/api/studies")["study_summaries"]
    found = ask(f"/api/studies/{listed['study_id']}?after=0")
    feasible = [all(c <= 0 for c in t["constraints"]) and t["constraints"] for t in found["trials"]]
    within = [trial.user_attrs["latency_s"][0] <= BUDGET for trial in kept.trials]
    assert [bool(each) for each in feasible] == within
    assert 0 < sum(within) < TRIALS
    fits = [trial.value for trial, fine in zip(kept.trials, within, strict=True) if fine]
    assert kept.best_trial.value == max(fits)
