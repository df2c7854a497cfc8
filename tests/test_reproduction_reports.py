"""`costmodel reproduce`: its formats, its page, and what it does with wrong names."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from costmodel import published
from costmodel.cli import main
from costmodel.measurement.reproduction import (
    Condition,
    ConditionScore,
    Record,
    Reproduction,
)
from costmodel.measurement.validation.scoring import Score
from costmodel.reports.accuracy.reproduction import (
    conditions_report,
    records_report,
    reproduction_report,
)
from costmodel.reports.accuracy.reproduction_figure import reproduction_figure, reproduction_page
from costmodel.reports.accuracy.reproduction_tables import side_by_side

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
KEYS = ["table", "row", "column", "published", "predicted", "ratio", "unit", "note"]


def ten_percent_more(*ids: str) -> Reproduction:
    """Made-up predictions, 1.1 times what was published; none of accuracies."""
    tables = tuple(published.table(id) for id in ids)
    return Reproduction(
        tables,
        tuple(
            Record(cell, None, "not predicted here")
            if cell.unit == "%"
            else Record(cell, 1.1 * cell.value)
            for table in tables
            for cell in table.cells
        ),
    )


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("COSTMODEL_CACHE", str(tmp_path / "cache"))

    def call(*words: str) -> tuple[int, str, str]:
        code = main(["reproduce", *words])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_json_has_one_record_per_cell(run: Any) -> None:
    code, out, _ = run("worked-examples", "ablation-channel-attention", "--format", "json")
    assert code == 0
    document = json.loads(out)
    assert document["schema_version"] == 1
    cells = [
        cell
        for id in ("worked-examples", "ablation-channel-attention")
        for cell in published.table(id).cells
    ]
    assert len(document["records"]) == len(cells)
    for record, cell in zip(document["records"], cells, strict=True):
        assert list(record) == KEYS
        assert (record["table"], record["row"], record["column"]) == (
            cell.table, cell.row, cell.column,
        )  # fmt: skip
        assert record["published"] == cell.value
        assert record["unit"] == cell.unit
        if record["predicted"] is None:
            assert record["ratio"] is None
            assert record["note"]
        else:
            assert record["ratio"] == pytest.approx(record["predicted"] / cell.value)
    assumed = {entry["column"]: entry["condition"] for entry in document["assumed"]}
    assert assumed["throughput_mi250"].startswith("mi250-gcd, fp32, batch 256")


def test_without_the_cache_nothing_is_kept(run: Any, tmp_path: Path) -> None:
    words = ("ablation-channel-attention", "--format", "csv")
    code, anew, _ = run(*words, "--no-cache")
    assert code == 0
    assert not (tmp_path / "cache").exists()
    assert run(*words)[1] == anew
    assert list((tmp_path / "cache").rglob("*.json.gz"))


def test_table_csv_and_markdown(run: Any, tmp_path: Path) -> None:
    code, out, _ = run("worked-examples", "split-ratios")
    assert code == 0
    for text in ("Operators counted by hand", "205520896", "1/128", "Ours against published"):
        assert text in out
    code, out, _ = run("worked-examples", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert list(rows[0]) == KEYS
    assert len(rows) == len(published.table("worked-examples").cells)
    target = tmp_path / "r.md"
    code, _, err = run("worked-examples", "-o", str(target))
    assert code == 0
    assert f"wrote {target}" in err
    assert "| row |" in target.read_text()


def test_wrong_names_are_told_before_the_work(run: Any) -> None:
    code, _, err = run("imagnet")
    assert code == 2
    assert "did you mean imagenet" in err
    code, _, err = run("worked-examples", "-o", "result.xyz")
    assert code == 2
    assert "format" in err


def test_side_by_side_shows_theirs_ours_and_ratio() -> None:
    found = ten_percent_more("imagenet")
    table = side_by_side(found, found.tables[0])
    titles = [column.title for column in table.shown]
    assert titles[:4] == ["row", "params [M]", "ours", "ratio"]
    assert "top1" not in " ".join(titles)
    cells = dict(zip([row[0] for row in table.texts()], table.texts(), strict=True))
    assert cells["PartialNet-T0"][7:10] == ["7777", "8555", "1.10"]
    assert cells["MobileViTv2-2.0"][13] == "103.7*"  # flagged


def test_what_is_not_predicted_is_listed_with_its_reason() -> None:
    text = reproduction_report(ten_percent_more("coco")).render("table")
    assert re.search(r"coco +ap box +15 +not predicted here", text)


def test_scores_of_made_up_predictions() -> None:
    document = reproduction_report(ten_percent_more("imagenet")).document
    scores = {score["column"]: score for score in document["scores"]}
    assert set(scores) == {
        "params", "macs", "throughput_v100", "throughput_mi250", "latency_epyc_73f3",
    }  # fmt: skip
    for score in scores.values():
        assert score["median_ape"] == pytest.approx(0.1)
        assert score["median_ratio"] == pytest.approx(1.1)
        assert score["spread"] == pytest.approx(0, abs=1e-12)
        assert score["spearman"] == pytest.approx(1)
    assert scores["throughput_mi250"]["flagged"] == 3


def test_claims_show_sign_and_size() -> None:
    text = reproduction_report(ten_percent_more("headline-ratios")).render("table")
    assert re.search(r"PartialNet-T2 / FasterNet-T2, V100 .* \+25\.2 % +\+37\.7 % +same", text)
    below = [
        Record(cell, 2 - cell.value)
        for cell in published.table("headline-ratios").cells
        if cell.value < 2
    ]
    wrong = Reproduction((published.table("headline-ratios"),), tuple(below))
    assert "DIFFERS" in reproduction_report(wrong).render("md")


def test_records_report_is_the_csv() -> None:
    report = records_report(ten_percent_more("coco"))
    assert report.render("csv").splitlines()[0] == ",".join(KEYS)


def condition_scores() -> list[ConditionScore]:
    def scored(error: float) -> Score:
        return Score(41, error, error, 1.0, 1.0, 0.99, 1 + error, None)

    fp32, fp16 = Condition("v100-sxm2", 256), Condition("v100-sxm2", 256, "fp16")
    return [
        ConditionScore("imagenet", "throughput_v100", fp32, True, scored(0.2), 0.05),
        ConditionScore("imagenet", "throughput_v100", fp16, False, scored(0.1), 0.2),
    ]


def test_conditions_tell_where_another_comes_nearer() -> None:
    report = conditions_report(condition_scores())
    text = report.render("table")
    assert "<- assumed" in text
    assert "fp16, batch 256, eager, batch norm not folded comes nearer, 10 % median error" in text
    first, second = report.document["conditions"]
    assert (first["assumed"], second["assumed"]) == (True, False)
    better = conditions_report([condition_scores()[0]]).render("table")
    assert "what is assumed comes nearest" in better


def test_figure_has_a_dot_for_every_prediction() -> None:
    found = ten_percent_more("imagenet")
    figure = reproduction_figure(found, found.tables[0])
    dots = [trace for trace in figure.data if trace.mode == "markers"]
    assert sum(len(trace.x) for trace in dots) == 42 * 5
    hollow = sum(symbol.endswith("-open") for trace in dots for symbol in trace.marker.symbol)
    assert hollow == sum(c.flagged and c.unit != "%" for c in found.tables[0].cells)


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_page_in_a_browser(tmp_path: Path) -> None:
    """It draws its plots, logs nothing, and asks no host for anything."""
    page = reproduction_page(
        ten_percent_more("imagenet", "coco", "headline-ratios"), condition_scores()
    )
    path = tmp_path / "page.html"
    script = """
      addEventListener("load", () => setTimeout(() => {
        const asked = performance.getEntriesByType("resource").map((entry) => entry.name);
        document.body.dataset.asked = asked.filter((name) => !name.startsWith("data:")).join(" ");
      }, 500));
    """
    path.write_text(page.replace("</body>", f"<script>{script}</script></body>"))
    assert CHROMIUM is not None
    ended = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu",
            "--disable-background-networking", "--virtual-time-budget=20000",
            "--enable-logging=stderr", "--window-size=1400,20000", "--dump-dom",
            f"--user-data-dir={tmp_path / 'profile'}", path.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert ":CONSOLE" not in ended.stderr
    assert 'data-asked=""' in ended.stdout
    assert ended.stdout.count('class="point"') >= 42 * 5 + 15 * 3
    for text in ("Published tables, reproduced", "Headline claims", "Which run conditions fit"):
        assert text in ended.stdout
