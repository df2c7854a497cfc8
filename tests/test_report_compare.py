"""Models against each other: ratios, published accuracies, the Pareto front."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from costmodel.errors import UsageError
from costmodel.estimation import Estimate, estimate
from costmodel.published.accuracy import published_accuracy
from costmodel.reports.model.comparison import (
    Comparison,
    compared_models,
    comparison_report,
    records_report,
)
from costmodel.reports.model.comparison_page import (
    accuracy_figure,
    comparison_page,
    pareto_front,
    relative_figure,
)
from costmodel.tracing.builder import GraphBuilder

SOURCES = ("zoo:fasternet_t0", "zoo:fasternet_t1", "FILE.py:mine")
DEVICES = ("v100-sxm2", "epyc-73f3@1")


def model(name: str, channels: int, image: int = 224) -> list[Estimate]:
    """A stand-in of the right input shape; what it computes does not matter here."""
    builder = GraphBuilder(name)
    x = builder.input((1, 3, image, image))
    graph = builder.graph(builder.conv2d(x, channels, kernel=3, module="stem"))
    return [estimate(graph, device, 4) for device in DEVICES]


def compared(baseline: str | None = None) -> Comparison:
    estimates = [model("fasternet_t0", 64), model("fasternet_t1", 128), model("mine", 32)]
    return compared_models(SOURCES, estimates, baseline)


def test_ratios_are_to_the_baseline() -> None:
    rows = list(csv.DictReader(io.StringIO(records_report(compared("mine")).render("csv"))))
    assert [(row["model"], row["device"]) for row in rows] == [
        (name, device) for name in ("fasternet_t0", "fasternet_t1", "mine") for device in DEVICES
    ]
    by_case = {(row["model"], row["device"]): row for row in rows}
    for device in DEVICES:
        base = by_case["mine", device]
        for name in ("fasternet_t0", "fasternet_t1", "mine"):
            row = by_case[name, device]
            for quantity, ratio in (
                ("latency_s", "latency_vs_baseline"),
                ("throughput_per_s", "throughput_vs_baseline"),
                ("peak_memory_bytes", "memory_vs_baseline"),
            ):
                assert float(row[ratio]) == pytest.approx(
                    float(row[quantity]) / float(base[quantity])
                )
            low, time, high = (
                float(row[k]) for k in ("interval_low_s", "latency_s", "interval_high_s")
            )
            assert low < time < high


def test_the_numbers_are_those_of_the_estimates() -> None:
    one = model("fasternet_t1", 128)[0]
    (row,) = [
        r for r in json.loads(comparison_report(compared()).render("json"))["models"]
        if (r["model"], r["device"]) == ("fasternet_t1", "v100-sxm2")
    ]  # fmt: skip
    assert row["latency_s"] == one.latency
    assert row["peak_memory_bytes"] == one.peak_memory
    assert row["macs"] == 4 * 224 * 224 * 9 * 3 * 128
    assert row["top1_percent"] == 76.2
    assert "Partial Channel Network" in row["top1_source"]


def test_a_case_says_what_the_cases_share() -> None:
    assert compared().cases == ("v100-sxm2, batch 4, fp32", "epyc-73f3@1, batch 4, fp32")
    text = comparison_report(compared()).render("table")
    assert "vs fasternet_t0" in text
    assert "no published table here has mine" in text


def test_a_baseline_that_is_no_model() -> None:
    with pytest.raises(UsageError, match="expected one of zoo:fasternet_t0"):
        compared("other")


def test_cases_that_not_all_models_have_are_left_out() -> None:
    one, other = model("one", 64), model("other", 32)
    found = compared_models(["one", "other"], [one, other[1:]])
    assert found.cases == ("epyc-73f3@1, batch 4, fp32",)
    assert found.models[0].estimates == (one[1],)
    with pytest.raises(UsageError, match="no device"):
        compared_models(["one", "other"], [one[:1], other[1:]])


def test_a_page_of_too_many_cases_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    from costmodel.cli.app import main

    for words in (["compare", "-m", "zoo:fasternet_t0"], ["report", "zoo:fasternet_t0"]):
        assert main([*words, "-d", "all", "-o", "page.html"]) == 2
        assert "at most 8" in capsys.readouterr().err


# ---------------------------------------------------------------------------------- accuracy


@pytest.mark.parametrize(
    ("source", "shape", "percent"),
    [
        ("zoo:fasternet_t2", (3, 224, 224), 78.9),
        ("zoo:mobilenet_v2", (3, 224, 224), 72.0),
        ("zoo:partialnet_t2", (3, 224, 224), 80.2),
        ("zoo:partialnet_t2_merged", (3, 224, 224), 80.2),
        ("zoo:fasternet_t2", (3, 192, 192), None),
        ("timm:mobilenetv2_100", (3, 224, 224), None),
        ("FILE.py:fasternet_t2", (3, 224, 224), None),
    ],
)
def test_published_accuracy(source: str, shape: tuple[int, ...], percent: float | None) -> None:
    found = published_accuracy(source, shape)
    assert (found and found.percent) == percent


def test_another_image_size_has_no_published_accuracy() -> None:
    (one,) = compared_models(["zoo:fasternet_t0"], [model("fasternet_t0", 64, 192)]).models
    assert one.accuracy is None


def test_the_front_is_what_nobody_beats() -> None:
    points = [(3.0, 70.0), (1.0, 60.0), (2.0, 75.0), (2.0, 71.0), (5.0, 75.0), (4.0, 80.0)]
    brute = [
        i for i, (time, value) in enumerate(points)
        if not any(
            other != (time, value) and other[0] <= time and other[1] >= value for other in points
        )
    ]  # fmt: skip
    assert sorted(pareto_front(points)) == brute == [1, 2, 5]
    assert pareto_front([]) == []


# ------------------------------------------------------------------------------------ figures


def test_the_figures_show_the_numbers() -> None:
    found = compared()
    front, behind = accuracy_figure(found, 0).data[1:]
    shown = dict(zip([*front.text, *behind.text], [*front.x, *behind.x], strict=True))
    assert set(shown) == {"fasternet_t0", "fasternet_t1"}
    assert shown["fasternet_t0"] == model("fasternet_t0", 64)[0].latency
    bars = relative_figure(found).data
    one, base = model("mine", 32), model("fasternet_t0", 64)
    assert [bar.x[2] for bar in bars] == pytest.approx(
        [a.latency / b.latency for a, b in zip(one, base, strict=True)]
    )


def test_the_page_is_whole() -> None:
    page = comparison_page(compared())
    assert "Accuracy against latency" in page
    assert "Partial Channel Network" in page
    unknown = compared_models(["FILE.py:mine"], [model("mine", 32)])
    assert "Too few of the models" in comparison_page(unknown)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    from costmodel.cli.app import main

    words = ["compare", "-m", "zoo:fasternet_t0", "-m", "zoo:partialnet_t0", "-d", "a100"]
    assert main([*words, "-f", "json"]) == 0
    models = json.loads(capsys.readouterr().out)["models"]
    assert models[0]["latency_vs_baseline"] == 1
    assert main([*words, "-o", str(tmp_path / "c.html")]) == 0
    assert (tmp_path / "c.html").stat().st_size < 3_000_000
    assert main(["compare", "-d", "a100"]) == 2
    assert "add -m MODEL" in capsys.readouterr().err
