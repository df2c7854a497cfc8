"""The gate of `make bench`: a ratio that got worse by more than a fifth fails, nothing else."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


run = script("run")


def test_ratios_are_found_by_their_names() -> None:
    found = dict(
        run.ratios(
            {
                "milliseconds": {"bare": 70.0},
                "models": {"a": {"costmodel_over": {"bare": 0.3, "thop": 0.1}}},
                "ratio": 2,
                "ratio_ok": True,
            }
        )
    )
    assert found == {
        "/models/a/costmodel_over/bare": 0.3,
        "/models/a/costmodel_over/thop": 0.1,
        "/ratio": 2.0,
    }


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"ratio": 1.0}, {"ratio": 1.19}, 0),
        ({"ratio": 1.0}, {"ratio": 1.21}, 1),
        ({"ratio": 1.0}, {"ratio": 0.2}, 0),
        ({}, {"ratio": 9.0}, 0),
        ({"seconds": 1.0}, {"seconds": 9.0}, 0),
    ],
)
def test_a_fifth_worse_is_worse(
    before: dict[str, float], after: dict[str, float], expected: int
) -> None:
    assert len(run.worse(before, after)) == expected


def test_a_worse_result_does_not_replace_the_committed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "HERE", tmp_path)
    (tmp_path / "toy.py").write_text("import sys; print('{\"ratio\": %s}' % sys.argv[1])")
    assert run.run("toy", ["1.0"], tmp_path) == []
    assert run.run("toy", ["1.1"], tmp_path) == []
    kept = json.loads((tmp_path / "toy.json").read_text())
    assert kept["result"] == {"ratio": 1.1}
    assert kept["machine"]["python"] == ".".join(map(str, sys.version_info[:3]))
    (line,) = run.run("toy", ["2.0"], tmp_path)
    assert "2, was 1.1" in line
    assert json.loads((tmp_path / "toy.json").read_text())["result"] == {"ratio": 1.1}
    assert json.loads((tmp_path / "toy.worse.json").read_text())["result"] == {"ratio": 2.0}


def test_every_benchmark_that_is_run_exists() -> None:
    for name in run.BENCHMARKS:
        assert (BENCHMARKS / f"{name}.py").is_file()
