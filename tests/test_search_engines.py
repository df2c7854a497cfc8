"""Many processes: the same results, nothing lost and nothing twice, also when a worker dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import costmodel as cm
from costmodel.cli import main
from costmodel.errors import UnknownNameError, UsageError
from costmodel.estimation import estimate
from costmodel.search import load_space
from costmodel.search.engines import workers
from costmodel.search.store import ResultStore, digest
from costmodel.search.sweeping import cases_of, run_sweep
from costmodel.tracing.patterns import matching
from costmodel.tracing.source import load_graph

SOURCES = ("zoo:fasternet_t0", "zoo:fasternet_t1", "zoo:partialnet_t0", "zoo:mobilenet_v2")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A cache of traced graphs, so that workers need not load torch."""
    folder = tmp_path_factory.mktemp("graphs")
    before = os.environ.get("COSTMODEL_CACHE")
    os.environ["COSTMODEL_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["COSTMODEL_CACHE"]
    else:
        os.environ["COSTMODEL_CACHE"] = before


@pytest.fixture(scope="module")
def plain(cache: Path) -> Any:
    """What one process finds."""
    return run_sweep(cases_of(SOURCES, ["v100-sxm2", "t4"], [1, 8]))


def test_one_row_for_every_case_in_order(plain: Any) -> None:
    asked = [(m, d, b) for m in SOURCES for d in ("v100-sxm2", "t4") for b in (1, 8)]
    assert [(row["model"], row["device"], row["batch"]) for row in plain.rows] == asked
    assert (plain.computed, plain.known, plain.failures) == (16, 0, {})


def test_a_store_is_resumed_and_extended(plain: Any, tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "store")
    first = run_sweep(cases_of(SOURCES[:2], ["v100-sxm2"], [1]), store)
    assert (first.computed, len(store)) == (2, 2)
    again = run_sweep(cases_of(SOURCES, ["v100-sxm2", "t4"], [1, 8]), store)
    assert (again.computed, again.known, len(store)) == (14, 2, 16)
    assert again.rows == plain.rows
    (broken,) = list((tmp_path / "store").glob("??/*.json"))[:1]
    broken.write_text("{cut off")
    mended = run_sweep(cases_of(SOURCES, ["v100-sxm2", "t4"], [1, 8]), store)
    assert (mended.computed, mended.rows) == (1, plain.rows)


def test_what_decides_a_result_decides_its_key() -> None:
    (case,) = cases_of(["zoo:fasternet_t0"], ["v100-sxm2"])
    others = [
        cases_of(["zoo:fasternet_t1"], ["v100-sxm2"])[0],
        cases_of(["zoo:fasternet_t0"], ["t4"])[0],
        cases_of(["zoo:fasternet_t0"], ["v100-sxm2"], [2])[0],
        cases_of(["zoo:fasternet_t0"], ["v100-sxm2"], [1], ["fp16"])[0],
        cases_of(["zoo:fasternet_t0"], ["v100-sxm2"], without=["tiles"])[0],
    ]
    assert len({case.key, *(other.key for other in others)}) == 6
    assert case.key == cases_of(["zoo:fasternet_t0"], ["v100"])[0].key  # an alias
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


def test_a_model_that_fails_does_not_stop_the_others(cache: Path) -> None:
    found = run_sweep(cases_of(["zoo:nothing", "zoo:fasternet_t0"], ["v100-sxm2"]))
    assert [row["model"] for row in found.rows] == ["zoo:fasternet_t0"]
    assert "zoo:nothing" in found.failures


def test_a_row_is_what_an_estimate_tells(cache: Path) -> None:
    devices = ["v100-sxm2", "epyc-73f3@1", "rtx-4090", "cortex-a72"]
    found = run_sweep(cases_of(SOURCES[:1], devices, [1, 8], ["fp32", "fp16"]))
    assert len(found.rows) == 16
    for row in found.rows:
        graph = load_graph(SOURCES[0], min(row["batch"], 2))
        alone = estimate(graph, row["device"], row["batch"], row["precision"])
        assert row["latency_s"] == pytest.approx(alone.latency, rel=1e-9)
        assert row["bound"] == alone.bound
        assert row["energy_j"] == pytest.approx(alone.energy.joules, rel=1e-9)
        assert (row["macs"], row["params"]) == (alone.total.macs, alone.total.parameters)
        assert (row["bytes"], row["peak_memory_bytes"]) == (alone.total.bytes, alone.peak_memory)


def test_a_device_that_cannot_compute_so_does_not_stop_the_others(cache: Path) -> None:
    asked = cases_of(SOURCES[:2], ["v100-sxm2", "tpu-v4"], [1], ["fp32", "bf16"])
    found = run_sweep(asked)
    assert [(row["device"], row["precision"]) for row in found.rows] == 2 * [
        ("v100-sxm2", "fp32"), ("v100-sxm2", "bf16"), ("tpu-v4", "bf16"),
    ]  # fmt: skip
    assert not found.failures
    assert "it computes in bfloat16, int8" in found.unable["tpu-v4"]


def test_devices_of_unknown_power_alone_have_no_energy(cache: Path) -> None:
    phones = [p.id for p in cm.list_devices() if p.board_power is None and p.peak("float32")][:2]
    assert len(phones) == 2
    for devices in (phones[:1], phones):
        rows = run_sweep(cases_of(["zoo:fasternet_t0"], devices)).rows
        assert [row["energy_j"] for row in rows] == [None] * len(devices)


def test_patterns_stand_for_the_models_they_match() -> None:
    assert matching(["zoo:fasternet_t?", "zoo:fasternet_t1", "hf:gpt2?decode=8"]) == [
        "zoo:fasternet_t0", "zoo:fasternet_t1", "zoo:fasternet_t2", "hf:gpt2?decode=8",
    ]  # fmt: skip
    with pytest.raises(UnknownNameError, match="zoo models of the pattern 'fusternet"):
        matching(["zoo:fusternet*"])


CHILD = """
import json, os, signal, sys
from pathlib import Path

def main():
    from distributed import LocalCluster
    from costmodel.search.engines import workers
    from costmodel.search.store import ResultStore
    from costmodel.search.sweeping import cases_of, run_sweep

    store = ResultStore(Path(sys.argv[1]))
    cases = cases_of(sys.argv[2].split(","), ["v100-sxm2", "t4"], [1, 8])
    killed = []
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True,
                      dashboard_address=None) as cluster:
        def kill(done, total):
            if not killed:
                killed.append(next(iter(cluster.workers.values())).pid)
                os.kill(killed[0], signal.SIGKILL)

        with workers("dask", cluster.scheduler_address) as made:
            outcome = run_sweep(cases, store, made, kill)
    print(json.dumps([outcome.rows, outcome.computed, outcome.failures, killed, len(store)]))

if __name__ == "__main__":
    main()
"""


def test_dask_loses_nothing_when_a_worker_is_killed(
    plain: Any, cache: Path, tmp_path: Path
) -> None:
    """A real scheduler and two worker processes; one gets SIGKILL after the first result."""
    pytest.importorskip("distributed", reason="needs the extra `cluster`")
    pytest.importorskip("joblib", reason="needs the extra `search`")
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "store"), ",".join(SOURCES)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows, computed, failures, killed, kept = json.loads(done.stdout)
    assert len(killed) == 1
    assert rows == plain.rows
    assert (computed, failures, kept) == (16, {}, 16)


def die(number: int) -> int:
    """As a process does that the system has no memory left for."""
    if number == 3:
        os.kill(os.getpid(), 9)
    return number


def test_a_worker_of_loky_that_dies_is_told_in_a_line() -> None:
    pytest.importorskip("joblib", reason="needs the extra `search`")
    expected = "engine loky: a worker died .*ask again to go on"
    with pytest.raises(UsageError, match=expected), workers("loky", jobs=2) as made:
        list(made.map(die, [(number,) for number in range(8)]))


RAY_CHILD = """
import json, sys
from pathlib import Path
import ray
from costmodel.search.engines import workers
from costmodel.search.store import ResultStore
from costmodel.search.sweeping import cases_of, run_sweep

store = ResultStore(Path(sys.argv[1]))
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
address = ray.get_runtime_context().gcs_address
told = []
with workers("ray", address, jobs=2) as made:
    cases = cases_of(sys.argv[2].split(","), ["v100-sxm2", "t4"], [1, 8])
    outcome = run_sweep(cases, store, made, lambda done, total: told.append(done))
    numbers = list(made.map(divmod, [(n, 7) for n in range(20)]))
found = [outcome.rows, outcome.computed, outcome.failures, len(store), told, numbers]
Path(sys.argv[3]).write_text(json.dumps(found))  # Ray itself writes on stdout
"""


def test_ray_gives_the_same(plain: Any, cache: Path, tmp_path: Path) -> None:
    """A cluster of two processors on this machine, reached by its address."""
    pytest.importorskip("ray", reason="pip install ray")
    script = tmp_path / "child.py"
    script.write_text(RAY_CHILD)
    found = tmp_path / "found.json"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "store"), ",".join(SOURCES), str(found)],
        capture_output=True, text=True, check=False,
        env={**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows, computed, failures, kept, told, numbers = json.loads(found.read_text())
    assert rows == plain.rows
    assert (computed, failures, kept, told) == (16, {}, 16, [4, 8, 12, 16])
    assert numbers == [list(divmod(n, 7)) for n in range(20)]


def test_ray_says_at_once_that_nobody_listens() -> None:
    pytest.importorskip("joblib", reason="needs the extra `search`")
    pytest.importorskip("ray", reason="pip install ray")
    expected = "ray at 127.0.0.1:1: no cluster answers"
    with pytest.raises(UsageError, match=expected), workers("ray", "127.0.0.1:1"):
        pass


def test_a_search_in_two_processes_finds_the_same() -> None:
    pytest.importorskip("joblib", reason="needs the extra `search`")
    pytest.importorskip("moocore", reason="needs the extra `search`")
    import numpy as np

    from costmodel.search import searching
    from costmodel.search.goals import Budget
    from costmodel.search.problem import Problem

    space = load_space("vit").restricted(depth=[2, 4], mlp_ratio=2.0, patch=[16, 32])
    problem = Problem(space, ["v100-sxm2"], budgets=(Budget("latency", 5e-3),))
    alone = searching.go_through(problem)
    before = searching.CHUNK
    searching.CHUNK = 100
    try:
        with workers("loky", jobs=2) as made:
            spread = searching.go_through(problem, workers=made)
    finally:
        searching.CHUNK = before
    assert (spread.seen, spread.feasible) == (alone.seen, alone.feasible)
    assert np.array_equal(spread.best.codes, alone.best.codes)
    assert np.array_equal(spread.front.codes, alone.front.codes)


def test_engines_that_cannot_be() -> None:
    pytest.importorskip("joblib", reason="needs the extra `search`")
    with pytest.raises(UsageError, match="expected loky, dask, ray"), workers("spark"):
        pass
    with pytest.raises(UsageError, match="jobs 0"), workers("loky", jobs=0):
        pass
    with pytest.raises(UsageError, match="loky runs on this machine"), workers("loky", "host:1"):
        pass


def test_the_command(plain: Any, cache: Path, tmp_path: Path, capsys: Any) -> None:
    words = ["sweep", *SOURCES, "-d", "v100-sxm2", "-d", "t4", "-b", "1,8", "--store",
             str(tmp_path / "store"), "-f", "json"]  # fmt: skip
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == plain.rows
    assert main([*words[:-1], "table"]) == 0
    assert "0 predictions worked out, 16 known from before" in capsys.readouterr().out
    assert main(["sweep", "zoo:nothing", "-d", "t4"]) == 1
    assert "left out: zoo:nothing" in capsys.readouterr().out


def test_names_of_a_release_are_listed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("timm", reason="pip install timm")
    from costmodel.tracing import patterns, timm_models

    monkeypatch.setenv("COSTMODEL_CACHE", str(tmp_path))
    listed = timm_models.timm_names()
    asked = []

    def names() -> list[str]:
        asked.append(1)
        return listed

    monkeypatch.setattr(timm_models, "timm_names", names)
    for _ in range(3):
        assert matching(["timm:resnet1?"]) == ["timm:resnet18"]
    assert len(asked) == 1
    monkeypatch.setattr(patterns, "version", lambda package: "of tomorrow")
    matching(["timm:resnet1?"])
    assert len(asked) == 2, "another release is listed anew"
    for entry in tmp_path.rglob("*.gz"):
        entry.write_bytes(b"not a list")
    matching(["timm:resnet1?"])
    assert len(asked) == 3
