"""Search: the best design is the best by brute force, budgets hold when traced, nothing is lost."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import costmodel as cm
from costmodel.cli import main
from costmodel.errors import UnknownNameError, UsageError
from costmodel.search import Evaluator, load_space
from costmodel.search.goals import Budget, Goal, Reward, check_budgets
from costmodel.search.problem import Problem
from costmodel.search.searching import go_through, search
from costmodel.search.summary import merged

pytest.importorskip("moocore", reason="Pareto fronts need the extra `search`")

SMALL = {
    "width": [32, 48],
    "depth1": 1,
    "depth2": [1, 2],
    "depth3": [2, 4],
    "depth4": 1,
    "kind1": "pconv",
    "kind2": ["conv", "pconv"],
    "kind3": ["pconv", "dwconv"],
    "kind4": ["pconv", "patconv"],
    "ratio": 0.25,
    "resolution": 64,
}


@pytest.fixture(scope="module")
def space() -> Any:
    return load_space("fasternet").restricted(**SMALL)


@pytest.fixture(scope="module")
def columns(space: Any) -> Any:
    return Evaluator(space, ["v100-sxm2", "t4"])(space.enumerate())


def problem(space: Any, columns: Any, *budgets: Budget, **options: Any) -> Problem:
    """A problem that shares what was traced already."""
    made = Problem(space, ["v100-sxm2", "t4"], budgets=budgets, **options)
    made.__dict__["evaluator"] = _evaluator(space)
    return made


_known: dict[int, Evaluator] = {}


def _evaluator(space: Any) -> Evaluator:
    return _known.setdefault(id(space), Evaluator(space, ["v100-sxm2", "t4"]))


def brute_force(columns: Any, budgets: list[Budget], merit: Any) -> int | None:
    """Design by design in plain Python; the first of equals in the order of the choices."""
    best: int | None = None
    for index in range(len(columns.codes)):
        fits = True
        for budget in budgets:
            values = np.atleast_2d(getattr(columns, budget.name))[:, index]
            fits &= all(v >= budget.limit if budget.at_least else v <= budget.limit for v in values)
        if fits and (best is None or merit[index] > merit[best]):
            best = index
    return best


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    latency=st.floats(0.0, 1.0),
    parameters=st.floats(0.0, 1.0),
    goal=st.sampled_from([("capacity", True), ("macs", True), ("bytes", False), ("energy", False)]),
)
def test_the_optimum_is_that_of_brute_force(
    space: Any, columns: Any, latency: float, parameters: float, goal: tuple[str, bool]
) -> None:
    slowest = columns.latency.max(axis=0)
    budgets = [
        Budget("latency", float(np.quantile(slowest, latency))),
        Budget("parameters", float(np.quantile(columns.parameters, parameters))),
    ]
    values = getattr(columns, goal[0])
    worst = values if values.ndim == 1 else values.max(axis=0)
    expected = brute_force(columns, budgets, worst if goal[1] else -worst)
    summary = go_through(problem(space, columns, *budgets, goal=Goal(*goal)))
    if expected is None:
        assert summary.feasible == 0
        assert len(summary.best) == 0
    else:
        assert space.design(summary.best.codes[0]) == space.design(columns.codes[expected])


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    share=st.floats(0, 1), tighter=st.floats(0.5, 1), name=st.sampled_from(["latency", "memory"])
)
def test_tightening_a_budget_never_improves_the_goal(
    space: Any, columns: Any, share: float, tighter: float, name: str
) -> None:
    values = np.atleast_2d(getattr(columns, name)).max(axis=0)
    limit = float(np.quantile(values, share))
    loose, tight = (
        go_through(problem(space, columns, Budget(name, amount)))
        for amount in (limit, limit * tighter)
    )
    assert tight.feasible <= loose.feasible
    if len(tight.best):
        assert tight.best.merit[0] <= loose.best.merit[0]


@pytest.mark.parametrize("size", [7, 50])
def test_chunks_make_no_difference(space: Any, columns: Any, size: int) -> None:
    budget = Budget("latency", float(np.median(columns.latency.max(axis=0))))
    made = problem(space, columns, budget, Budget("memory", 3e6))
    whole = go_through(made)
    parts = [
        made.summarize(columns.codes[i : i + size]) for i in range(0, len(columns.codes), size)
    ]
    joined = merged(parts, made.axes)
    assert joined.seen == whole.seen == len(columns.codes)
    assert joined.feasible == whole.feasible
    assert np.array_equal(joined.best.codes, whole.best.codes)
    assert np.array_equal(joined.front.codes, whole.front.codes)
    assert [part.merit.tolist() for part in joined.without] == [
        part.merit.tolist() for part in whole.without
    ]


def test_the_front_is_what_no_design_beats(space: Any, columns: Any) -> None:
    front = go_through(problem(space, columns)).front
    points = [
        (float(columns.latency[:, i].max()), float(columns.capacity[i]))
        for i in range(len(columns.codes))
    ]
    beaten = [any(a <= p[0] and b >= p[1] and (a, b) != p for a, b in points) for p in points]
    expected = {p for p, is_beaten in zip(points, beaten, strict=True) if not is_beaten}
    assert {tuple(row) for row in front.values.tolist()} == expected


def test_recommendations_meet_their_budgets_when_traced(space: Any, columns: Any) -> None:
    limit = float(np.median(columns.latency.max(axis=0)))
    found = search(problem(space, columns, Budget("latency", limit)), top=3)
    assert len(found.best) == 3
    for best in found.best:
        graph = cm.trace(space.module(best.design), *space.inputs(best.design, 1))
        for device in ("v100-sxm2", "t4"):
            assert cm.estimate(graph, device).latency <= limit
    goals = [best.goal for best in found.best]
    assert goals == sorted(goals, reverse=True)
    assert found.bindings[0].binds
    assert found.bindings[0].goal_without == pytest.approx(float(columns.capacity.max()))


def test_nothing_fits_gives_the_nearest_and_what_binds(space: Any, columns: Any) -> None:
    fastest = columns.latency.max(axis=0)
    budgets = (Budget("latency", float(fastest.min()) / 2), Budget("memory", 1e9))
    found = search(problem(space, columns, *budgets), top=2)
    assert found.recommended is None
    assert found.summary.feasible == 0
    nearest = found.nearest[0]
    assert nearest.design == space.design(columns.codes[int(np.argmin(fastest))])
    assert nearest.overrun == pytest.approx(2.0)
    assert [binding.binds for binding in found.bindings] == [True, False]


def test_a_budget_may_name_its_device(space: Any, columns: Any) -> None:
    limit = float(np.median(columns.latency[0]))
    summary = go_through(problem(space, columns, Budget("latency", limit, "v100-sxm2")))
    assert summary.feasible == int((columns.latency[0] <= limit).sum())
    with pytest.raises(UnknownNameError, match="a100"):
        go_through(problem(space, columns, Budget("latency", limit, "a100")))


def test_mnasnet_reward_by_hand(columns: Any) -> None:
    """capacity x (latency / target)^-0.07, and a hard budget with exponents 0 and -1."""
    target = 1e-3
    slowest = float(columns.latency[:, 5].max())
    soft = Reward(target).values(columns)[5]
    assert soft == pytest.approx(columns.capacity[5] * (slowest / target) ** -0.07)
    hard = Reward(slowest / 2, alpha=0.0, beta=-1.0).values(columns)[5]
    assert hard == pytest.approx(columns.capacity[5] / 2)
    assert Reward(2 * slowest, alpha=0.0, beta=-1.0).values(columns)[5] == columns.capacity[5]


def test_accuracy_is_data_or_the_users(space: Any, columns: Any) -> None:
    with pytest.raises(UsageError, match="accuracy: no data"):
        go_through(problem(space, columns, goal=Goal("accuracy", True)))

    def prefers_shallow(values: Any) -> Any:
        return -1.0 * values["depth2"] - values["depth3"]

    made = problem(space, columns, goal=Goal("accuracy", True), scores=prefers_shallow)
    best = search(made, top=1).best[0]
    assert (best.design["depth2"], best.design["depth3"], best.accuracy) == (1, 2, -3.0)
    wrong = problem(space, columns, goal=Goal("accuracy", True), scores=lambda values: [1.0])
    with pytest.raises(UsageError, match="expected one number each"):
        go_through(wrong)


def test_published_accuracy_is_known_for_published_networks_only() -> None:
    """78.9 and 80.2 are printed for FasterNet-T2 and PartialNet-T2."""
    from costmodel.search.accuracy import published_scores

    base = load_space("fasternet").restricted(resolution=224, ratio=0.25, expansion=2.0)
    scores, source = published_scores(base)
    t2 = {"width": 96, "depth1": 1, "depth2": 2, "depth3": 8, "depth4": 2}
    partial = {"width": 64, "depth1": 2, "depth2": 2, "depth3": 6, "depth4": 4}
    designs = [
        {**t2, **{f"kind{i}": "pconv" for i in (1, 2, 3, 4)}},
        {**partial, **{f"kind{i}": "patconv" for i in (1, 2, 3, 4)}},
        {**t2, **{f"kind{i}": "conv" for i in (1, 2, 3, 4)}},
    ]
    codes = base.codes(designs)
    found = scores(base.values(codes))
    assert found[:2].tolist() == [78.9, 80.2]
    assert np.isnan(found[2])
    assert "Partial Channel Network" in source
    with pytest.raises(UsageError, match="no published table"):
        published_scores(load_space("nasbench201"))


def test_budgets_and_goals_that_make_no_sense() -> None:
    with pytest.raises(UsageError, match="expected more than 0"):
        Budget("latency", float("nan"))
    with pytest.raises(UsageError, match="expected more than 0"):
        Budget("latency", -1.0)
    with pytest.raises(UnknownNameError, match="did you mean latency"):
        Budget("latencies", 1.0)
    with pytest.raises(UsageError, match="given twice"):
        check_budgets([Budget("latency", 1.0), Budget("latency", 2.0)])
    with pytest.raises(UsageError, match="target"):
        Reward(0.0)


@pytest.mark.parametrize("method", ["tpe", "nsga2", "random"])
def test_samplers_find_the_optimum_of_a_small_space(space: Any, columns: Any, method: Any) -> None:
    pytest.importorskip("optuna", reason="samplers need the extra `search`")
    small = space.restricted(width=48, depth2=1, depth3=[2, 4])
    all_of_it = Evaluator(small, ["v100-sxm2", "t4"])(small.enumerate())
    limit = float(np.median(all_of_it.latency.max(axis=0)))
    made = Problem(small, ["v100-sxm2", "t4"], budgets=(Budget("latency", limit),))
    exhaustive = search(made, "exhaustive", top=1)
    sampled = search(made, method, top=1, trials=150, seed=1)
    assert sampled.best[0].design == exhaustive.best[0].design
    assert sampled.summary.seen <= len(all_of_it)


def test_a_study_is_kept_and_resumed(space: Any, columns: Any, tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna", reason="samplers need the extra `search`")
    file = tmp_path / "study.db"
    made = problem(space, columns, Budget("latency", 2e-3))
    search(made, "random", trials=6, storage=str(file), top=1)
    resumed = search(made, "random", trials=10, storage=str(file), top=1)
    (summary,) = optuna.get_all_study_summaries(f"sqlite:///{file}")
    assert summary.n_trials == 10
    assert "resumed a study of 6 proposals" in resumed.notes
    study = optuna.load_study(study_name=summary.study_name, storage=f"sqlite:///{file}")
    assert all("design" in trial.user_attrs for trial in study.trials)
    with pytest.raises(UsageError, match="cannot be used"):
        search(made, "random", trials=1, storage=str(tmp_path / "no" / "where.db"))


def test_what_no_table_lists_is_left_open(
    tmp_path: Path,
) -> None:
    path = tmp_path / "space.yaml"
    path.write_text("family: fasternet\nparameters:\n  width: [32, 48]\n")
    words = ["search", str(path), "-d", "t4", "--accuracy", "published", "--minimize", "latency"]
    assert main([*words, "--latency", "5e-324 s", "-f", "json"]) == 1, "no accuracy, no budget held"
    assert main([*words, "-f", "json", "-o", str(tmp_path / "found")]) == 0
    found = json.loads((tmp_path / "found" / "search.json").read_text())
    assert [entry["accuracy"] for entry in found["best"]] == [None, None]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise KeyError('x')", "KeyError"),
        ("return None", "shape|TypeError|float"),
        ("return 1j * choices['width']", "shape|TypeError|complex"),
        ("return 0", "shape"),
        ("return ['a'] * len(choices['width'])", "ValueError"),
    ],
)
def test_an_accuracy_function_that_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], code: str, said: str
) -> None:
    path = tmp_path / "scores.py"
    path.write_text(f"def score(choices):\n    {code}\n")
    space = tmp_path / "space.yaml"
    space.write_text("family: fasternet\nparameters:\n  width: [32, 48]\n")
    words = ["search", str(space), "-d", "t4", "--accuracy", f"{path}:score"]
    assert main(words) == 2
    assert re.search(f"error: accuracy: .*({said})", capsys.readouterr().err)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE trial_params SET distribution_json = '{'",
        "UPDATE trial_params SET param_value = 99",
        "UPDATE trial_params SET param_name = param_name || 'x'",
    ],
)
def test_a_damaged_study_is_refused(space: Any, columns: Any, tmp_path: Path, change: str) -> None:
    pytest.importorskip("optuna", reason="samplers need the extra `search`")
    file = tmp_path / "study.db"
    made = problem(space, columns)
    search(made, "random", trials=2, storage=str(file), top=1)
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(change)
    with pytest.raises(UsageError, match=r"study\.db: cannot be used"):
        search(made, "random", trials=4, storage=str(file), top=1)


def test_climbing_ends_where_no_single_change_helps(space: Any, columns: Any) -> None:
    from costmodel.search.study import climb

    limit = float(np.median(columns.latency.max(axis=0)))
    made = problem(space, columns, Budget("latency", limit))
    found = climb(made, made.summarize(columns.codes[:1]), columns.codes[:1])
    top = found.best.codes[0]
    near = made.summarize(space.neighbours(top))
    assert not len(near.best) or near.best.merit[0] <= found.best.merit[0]
    changed = (space.neighbours(top) != top).sum(axis=1)
    assert set(changed.tolist()) == {1}
    assert len(changed) == sum(radix - 1 for radix in space.radices)


def test_compound_scaling_by_time_and_by_operations() -> None:
    """Within twice the baseline's metric, and nothing on the grid that fits has more capacity."""
    from costmodel.search.compound import find_scaling

    grid = load_space("efficientnet_compound").restricted(
        alpha=[1.0, 1.2, 1.4], beta=[1.0, 1.1, 1.2], gamma=[1.0, 1.15]
    )
    whole = Evaluator(grid.restricted(phi=1.0), ["t4"])(grid.restricted(phi=1.0).enumerate())
    base = Evaluator(grid.restricted(phi=0.0), ["t4"])(grid.restricted(phi=0.0).enumerate())
    for metric in ("macs", "latency"):
        best = find_scaling("t4", by=metric, space=grid, top=1).best[0]
        limit = 2 * float(getattr(base, metric).max())
        assert best.metric(metric) <= limit
        fits = np.atleast_2d(getattr(whole, metric))[0] <= limit
        assert best.goal == pytest.approx(whole.capacity[fits].max())
    with pytest.raises(UsageError, match="more than 1"):
        find_scaling("t4", factor=1.0)
    with pytest.raises(UsageError, match="one that costs"):
        find_scaling("t4", by="throughput")


# ------------------------------------------------------------------------- the command


FIX = [f"--fix={name}={','.join(map(str, values)) if isinstance(values, list) else values}"
       for name, values in SMALL.items()]  # fmt: skip


def test_the_command_writes_everything(capsys: Any, tmp_path: Path) -> None:
    words = ["search", "fasternet", "-d", "v100-sxm2", "--latency", "1ms", "--top", "2"]
    assert main([*words, *FIX, "-o", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "capacity proxy" in shown
    assert "no accuracy" in shown
    assert "energy: v100-sxm2: static power is assumed" in " ".join(shown.split())
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "search.txt", "search.json", "search.csv", "search.html", "front.csv",
        "design-1.yaml", "design-2.yaml", "design_1.py", "design_2.py",
    }  # fmt: skip
    document = json.loads((tmp_path / "search.json").read_text())
    best = document["best"][0]
    graph = cm.load_graph(str(tmp_path / "design-1.yaml"))
    estimate = cm.estimate(graph, "v100-sxm2")
    assert best["devices"][0]["latency_s"] == pytest.approx(estimate.latency, rel=1e-12)
    assert best["macs"] == estimate.total.macs
    assert best["parameters"] == graph.parameters
    assert best["devices"][0]["latency_s"] <= 1e-3
    rows = list(csv.DictReader(io.StringIO((tmp_path / "search.csv").read_text())))
    assert float(rows[0]["latency_s"]) == best["devices"][0]["latency_s"]
    front = list(csv.DictReader(io.StringIO((tmp_path / "front.csv").read_text())))
    assert len(front) == len(document["front"])
    page = (tmp_path / "search.html").read_text()
    assert "default-src 'none'" in page
    assert "Pareto front" in page


def test_pytorch_code_of_a_design_runs_alone(tmp_path: Path) -> None:
    """In a process that cannot import this package; it computes, and has the same parameters."""
    from costmodel.zoo.families import family, pytorch_code

    found = family("fasternet")
    fixed = {name: value for name, value in SMALL.items() if not isinstance(value, list)}
    kinds = {"kind2": "inverted", "kind3": "separable", "kind4": "patconv"}
    chosen = {**fixed, **kinds, "width": 32}
    path = tmp_path / "design.py"
    path.write_text(pytorch_code(found, chosen))
    blocked = f"import sys; sys.modules['costmodel'] = None; sys.argv = [{str(path)!r}]; "
    run = f"import runpy; runpy.run_path({str(path)!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", blocked + run], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    count = sum(p.numel() for p in found.build(**chosen).parameters())
    assert done.stdout.split("]) ")[1].strip() == str(count)


def test_the_command_says_what_does_not_fit(capsys: Any) -> None:
    assert main(["search", "fasternet", "-d", "v100-sxm2", "--latency", "1us", *FIX]) == 1
    shown = capsys.readouterr().out
    assert "No design fits; the nearest" in shown
    assert "of latency at most 1 us" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "unknown design space"),
        (["vit", "--latency", "5"], "--latency: expected a quantity in s"),
        (["vit", "--latency", "-5ms"], "--latency: budget latency"),
        (["vit", "--parameters", "many"], "--parameters: expected a number such as 1.2G"),
        (["vit", "--maximize", "beauty"], "unknown metric 'beauty'"),
        (["vit", "--maximize", "macs", "--minimize", "bytes"], "one goal at a time"),
        (["vit", "--fix", "width"], "expected NAME=VALUE"),
        (["vit", "--fix", "width=7"], "width 7: expected 8 to 16384"),
        (["vit", "--method", "magic"], "--method 'magic'"),
        (["vit", "--address", "here:1"], "add --engine"),
        (["vit", "--engine", "spark"], "engine 'spark': expected loky, dask, ray"),
        (["dpconv", "--method", "exhaustive"], "67,108,864 combinations, too many"),
        (["vit", "--accuracy", "missing.py:score"], "missing.py: no such file"),
    ],
)
def test_wrong_words_give_one_line_and_code_2(capsys: Any, words: list[str], said: str) -> None:
    assert main(["search", *words, "-d", "v100-sxm2"]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
