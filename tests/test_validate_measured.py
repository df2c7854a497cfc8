"""Validation on published measurements, where a folder of them is at hand."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from costmodel.cli import main

FOLDER = os.environ.get("COSTMODEL_MEASURED", "")

pytestmark = pytest.mark.skipif(
    not FOLDER, reason="COSTMODEL_MEASURED names no folder with timm/, kernels/ and end_to_end/"
)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*words: str) -> Any:
        assert main(["validate", *words, "--format", "json"]) == 0
        return json.loads(capsys.readouterr().out)

    return call


def table(*parts: str) -> str:
    path = Path(FOLDER, *parts)
    if not path.exists():
        pytest.skip(f"no {path.name} in the folder")
    return str(path)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_networks_on_an_unseen_gpu(run: Any, layout: str) -> None:
    pytest.importorskip("timm")
    path = table("timm", f"benchmark-infer-amp-{layout}-pt240-cu124-rtx4090.csv")
    found = run("--against", path, "-d", "rtx-4090", "--fast-norm", "--limit", "25")
    assert found["n"] >= 24
    assert found["median_ape"] < 0.08
    assert found["spearman"] > 0.97
    assert 0.8 <= found["bias"] <= 1.2
    assert found["coverage_90"] > 0.7


def test_compiled_networks_on_an_unseen_gpu(run: Any) -> None:
    pytest.importorskip("timm")
    path = table("timm", "benchmark-infer-amp-nchw-pt240-cu124-rtx4090-dynamo.csv")
    found = run("--against", path, "-d", "rtx-4090", "--fast-norm", "--limit", "25")
    assert "compiled" in found["conditions"]
    assert found["median_ape"] < 0.12
    assert found["spearman"] > 0.97


@pytest.mark.parametrize("operator", ["linear", "bmm", "add", "softmax"])
def test_kernels(run: Any, operator: str) -> None:
    path = table("kernels", f"{operator}.csv.gz")
    found = run("--against", path, "-d", "v100-pcie-32gb", "--limit", "1000")
    assert found["n"] == 1000
    assert found["median_ape"] < 0.2
    assert found["spearman"] > 0.85, "the smallest kernels all take the host's time"


def test_transformers_are_read_and_compared(run: Any) -> None:
    pytest.importorskip("transformers")
    path = table("end_to_end", "transformers_fp32.csv")
    found = run("--against", path, "-d", "v100-pcie-32gb", "--models", "bert*")
    assert found["n"] >= 2
    assert {entry["model"].split()[0] for entry in found["skipped"]} >= {"bert_large"}
