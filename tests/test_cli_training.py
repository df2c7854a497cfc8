"""`predict --mode train`, and training tables in `validate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from costmodel.cli import main
from costmodel.estimation import estimate
from costmodel.tracing.source import load_graph

MODEL = "zoo:fasternet_t0"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: Any, tmp_path: Path) -> Any:
    monkeypatch.setenv("COSTMODEL_CACHE", str(tmp_path / "cache"))

    def call(*words: str) -> tuple[int, str, str]:
        code = main(list(words))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_json_of_a_training_step_is_that_of_python(run: Any) -> None:
    words = ("--mode", "train", "--optimizer", "sgd-momentum", "-p", "amp-fp16", "-b", "16")
    code, out, _ = run("predict", MODEL, "-d", "rtx-3090", *words, "-f", "json")
    assert code == 0
    (found,) = json.loads(out)["estimates"]
    graph = load_graph(MODEL, 2, mode="train", optimizer="sgd-momentum", autocast="float16")
    expected = estimate(graph, "rtx-3090", batch=16)
    assert found["latency_s"] == pytest.approx(expected.latency)
    assert found["precision"] == "amp-fp16"
    assert set(found["phases_s"]) == {"forward", "backward", "optimizer"}
    assert sum(found["memory_bytes"].values()) == found["peak_memory_bytes"]
    assert found["fits"] is True
    assert found["largest_batch"] == expected.largest_batch > 16


def test_table_shows_phases_memory_and_the_largest_batch(run: Any) -> None:
    code, out, _ = run("predict", MODEL, "-d", "t4", "--mode", "train", "--checkpointing")
    assert code == 0
    for word in ("recompute", "backward", "optimizer state", "gradients", "largest batch"):
        assert word in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--mode", "both"), "infer or train"),
        (("--optimizer", "adam"), "only for mode train"),
        (("--mode", "train", "--optimizer", "adan"), "unknown optimizer"),
        (("--mode", "train", "--compiled"), "neither --compiled nor --baseline"),
        (("--mode", "train", "-p", "fp17"), "unknown precision"),
    ],
)
def test_wrong_usage_is_one_line(run: Any, words: tuple[str, ...], message: str) -> None:
    code, out, err = run("predict", MODEL, "-d", "t4", *words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_a_training_table_states_its_conditions(run: Any, tmp_path: Path) -> None:
    pytest.importorskip("timm", reason="the models come from the zoo extra")
    table = tmp_path / "benchmark-train-amp-nchw-pt112-cu113-rtx3090.csv"
    table.write_text(
        "model,train_samples_per_sec,train_step_time,train_batch_size,train_img_size,param_count\n"
        "resnet18,100,50.0,8,64,11.69\n"
        "resnet34,100,50.0,8,64,99.99\n"
    )
    words = ("validate", "--against", str(table), "-d", "rtx-3090", "-f", "json")
    code, out, _ = run(*words, "--mode", "train")
    assert code == 0
    found = json.loads(out)
    assert found["n"] == 1
    assert found["rows"][0]["name"] == "resnet18"
    assert [entry["model"] for entry in found["skipped"]] == ["resnet34"]
    assert "sgd-nesterov, for-loop, gradients accumulated" in found["conditions"]
    assert set(found) >= {
        "n", "skipped", "median_ape", "mape", "within_10", "within_20", "spearman", "bias",
        "coverage_90",
    }  # fmt: skip
    code, _, err = run(*words)
    assert code == 2
    assert "not a timm infer table" in err
