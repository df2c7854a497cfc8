"""The accuracy page: what is recorded of a validation, and what the page says of it."""

from __future__ import annotations

import json
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest

from costmodel.cli import main
from costmodel.errors import UsageError
from costmodel.measurement.validation.accuracy import (
    AccuracyRun,
    AccuracyTable,
    joined,
    read_accuracy,
    run_of,
)
from costmodel.reports.accuracy.page import accuracy_page, page_of, weaknesses
from costmodel.reports.text import percent

ROOT = Path(__file__).parent.parent


def run(test: str = "networks", **changes: Any) -> AccuracyRun:
    values = {
        "test": test, "kind": "spec-only", "device": "rtx-4090", "conditions": "fp32", "n": 200,
        "skipped": 0, "median_ape": 0.05, "mape": 0.08, "within_10": 0.75, "within_20": 0.95,
        "spearman": 0.99, "bias": 1.01, "coverage_90": 0.91,
        "command": "costmodel validate --against DATA/a.csv -d rtx-4090",
    }  # fmt: skip
    return AccuracyRun.model_validate({**values, **changes})


def table(*runs: AccuracyRun) -> AccuracyTable:
    return AccuracyTable(version="0.1.0", date="2026-01-31", runs=runs)


def test_a_record_is_what_the_command_printed(tmp_path: Path) -> None:
    """From a kernel table of one device to a line of the page, by way of the command line."""
    rows = ["opname,latency_ms,device,kernel_name,grid_x,grid_y,grid_z,m,n,k,b"]
    rows += [
        f"linear,{0.05 * i},Tesla T4,sgemm,8,{4 * i},1,{256 * i},512,512,1" for i in range(1, 6)
    ]
    measured, written = tmp_path / "linear.csv", tmp_path / "v.json"
    measured.write_text("\n".join(rows) + "\n")
    words = ["validate", "--against", str(measured), "-d", "t4", "-o", str(written)]
    assert main(words) == 0
    document = json.loads(written.read_text())
    record = run_of(document, "linear", "same-device", "costmodel validate ...", "nobody's")
    assert record.n == 5
    assert record.mape == document["mape"]
    assert record.coverage_90 is None
    assert [family.name for family in record.worst] == ["linear"]
    page = accuracy_page(table(record))
    assert "| linear | t4 |" in page
    assert f"| {percent(document['median_ape'])} | {percent(document['mape'])} |" in page
    assert "$ costmodel validate ..." in page


def test_kinds_of_tests_are_kept_apart() -> None:
    page = accuracy_page(table(run("a"), run("b", kind="few-shot"), run("c", kind="same-device")))
    order = [page.index(f"| {name} | rtx-4090 |") for name in "abc"]
    headings = [page.index(f"## Devices {word}") for word in ("known", "with", "that")]
    assert sorted([*order, *headings]) == [
        place for pair in zip(headings, order, strict=True) for place in pair
    ]


def test_weaknesses_are_named() -> None:
    bad = run(
        "bad", mape=0.4, bias=0.7, coverage_90=0.6, skipped=100, device="epyc-73f3@1",
        kind="same-device", worst=[{"name": "swin", "n": 9, "mape": 0.5, "bias": 0.6}],
    )  # fmt: skip
    said = list(weaknesses([run("good"), bad]))
    assert said[0] == "The worst test is bad on epyc-73f3@1: 40 % mean error."
    assert "bad: predictions are too fast, by 30 % at the median." in said
    assert "bad: only 60 % of the measurements are inside the 90 % interval." in said
    assert "bad: 100 rows (33 %) could not be compared." in said
    assert "bad: worst by mean error: swin (50 %, n = 9)." in said
    assert "No CPU was judged by its data sheet alone." in said
    assert any("TPUs" in line and "was ever judged" in line for line in said)
    assert not any("good" in line or "GPU " in line for line in said)


def test_runs_are_replaced_by_name() -> None:
    before = table(run("a"), run("b"))
    after = joined(before, [run("b", mape=0.5), run("c")], "0.2.0", "2026-02-01")
    assert [(r.test, r.mape) for r in after.runs] == [("a", 0.08), ("b", 0.5), ("c", 0.08)]
    assert (after.version, after.date) == ("0.2.0", "2026-02-01")


def test_a_broken_file_is_refused_by_place(tmp_path: Path) -> None:
    path = tmp_path / "accuracy.json"
    document = json.loads(table(run()).model_dump_json())
    document["runs"][0]["within_10"] = 75
    path.write_text(json.dumps(document))
    with pytest.raises(UsageError, match=r"runs\.0\.within_10"):
        read_accuracy(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_accuracy(tmp_path / "none.json")


def test_the_committed_page_is_the_committed_record() -> None:
    """`python benchmarks/accuracy.py` writes both."""
    assert (ROOT / "docs" / "accuracy.md").read_text() == page_of(ROOT / "docs" / "accuracy.json")


def test_the_listed_validations_are_commands() -> None:
    """Every option exists, every device and kind too, and no test is listed twice."""
    listed = tomllib.loads((ROOT / "benchmarks" / "accuracy.toml").read_text())["run"]
    names = [entry["test"] for entry in listed]
    assert len(set(names)) == len(names)
    for entry in listed:
        run(entry["test"], kind=entry["kind"], target=entry["target"])
        words = shlex.split(entry["options"])
        missing = str(ROOT / "no such folder" / entry["file"])
        assert main(["validate", "--against", missing, *words]) == 2
