"""The report page without a browser: its numbers, its structure, its size."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from costmodel.changes import Considered, consider
from costmodel.errors import UsageError
from costmodel.estimation import Estimate, estimate
from costmodel.graph import Graph
from costmodel.reports.model.cost_figure import cost_figure
from costmodel.reports.model.memory_figure import live_bytes, memory_figure
from costmodel.reports.model.module_figure import module_figure
from costmodel.reports.model.module_times import module_times
from costmodel.reports.model.page import model_report
from costmodel.reports.model.share_figures import bound_figure, kind_figure
from costmodel.reports.page import html_page
from costmodel.reports.runs import run_labels
from costmodel.reports.text import percent, show_bytes, show_macs, show_params, show_rate, show_time
from costmodel.tracing.builder import GraphBuilder

NASTY = "<script>alert(1)</script>&amp;\"'"
DEVICES = ("v100-sxm2", "epyc-73f3@1")


def network(name: str = "net", prefix: str = "stages") -> Graph:
    """Two stages of two blocks, each a dense, a depthwise and a pointwise convolution."""
    builder = GraphBuilder(name)
    x = builder.input((2, 32, 28, 28))
    x = builder.conv2d(x, 32, kernel=3, module="stem")
    for stage in range(2):
        for block in range(2):
            path = f"{prefix}.{stage}.{block}"
            x = builder.conv2d(x, 32, kernel=3, groups=32, module=f"{path}.depthwise")
            x = builder.conv2d(x, 32, kernel=1, module=f"{path}.pointwise")
    return builder.graph(x)


def runs(graph: Graph | None = None, batch: int = 8) -> list[Estimate]:
    return [estimate(graph or network(), device, batch) for device in DEVICES]


def page_of(estimates: Sequence[Estimate], cdn: bool = False) -> str:
    considered = [consider(one) for one in estimates]
    return model_report(estimates, considered, "FILE.py:net", "costmodel report ...", cdn=cdn)


@pytest.fixture(scope="module")
def shown() -> str:
    return page_of(runs(), cdn=True)


def shell(page: str) -> str:
    """The page without what is in its scripts."""
    return re.sub(r"<script\b[^>]*>.*?</script>", "", page, flags=re.DOTALL)


def cells_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", shell(page)))


# ------------------------------------------------------------------------------------ numbers


def test_cards_show_what_the_estimates_say(shown: str) -> None:
    text = cells_of(shown)
    for one in runs():
        assert show_time(one.latency) in text
        assert f"{show_rate(one.throughput)} /s" in text
        assert one.interval is not None
        assert f"{show_time(one.interval.low, 2)} to {show_time(one.interval.high, 2)}" in text
        assert f"{percent(one.time_by_bound[one.bound] / one.latency)} of the time" in text
    first = runs()[0]
    assert show_params(first.graph.parameters) in text
    assert f"{first.graph.parameters:,} exactly" in text
    assert show_macs(first.total.macs) in text
    assert show_bytes(first.total.bytes) in text
    assert show_bytes(first.peak_memory) in text


def test_changes_show_what_was_considered(shown: str) -> None:
    text = cells_of(shown)
    for one in runs():
        found = consider(one)
        assert found.changes
        for change in found.changes:
            assert f"{change.speedup:.3g}x" in text
        for left in found.left_out:
            assert left.reason in text


def test_assumptions_and_sources(shown: str) -> None:
    text = cells_of(shown)
    assert "8x32x28x28 float32" in text
    assert "eager: one operator after the other" in text
    assert "None: every operator of the model has a formula." in text
    for one in runs():
        for source in one.target.profile.sources.values():
            assert source.title in text.replace("&#39;", "'").replace("&amp;", "&")
            assert source.date in text


def test_what_has_no_formula_is_listed() -> None:
    from dataclasses import replace

    graph = network()
    unknown = replace(graph, ops=(*graph.ops[:-1], graph.ops[-1]._replace(target="my::operator")))
    text = cells_of(page_of(runs(unknown), cdn=True))
    assert "my::operator" in text
    assert "None: every operator" not in text


def test_more_runs_than_a_page_can_show_are_refused() -> None:
    one = runs()[0]
    with pytest.raises(UsageError, match="at most 8"):
        model_report([one] * 9, [Considered((), ())] * 9, "", "")


def test_labels_say_what_differs() -> None:
    graph = network()
    found = [estimate(graph, "a100", b, p) for b in (1, 2) for p in ("fp32", "fp16")]
    assert run_labels(found)[1] == "a100-sxm4-80gb, batch 1, fp16"
    assert run_labels(found[:1]) == ("a100-sxm4-80gb",)


# -------------------------------------------------------------------------------- module tree


def test_the_tree_adds_up_to_the_operators() -> None:
    estimates = runs()
    tree = {node.path: node for node in module_times(estimates).walk()}
    for path, node in tree.items():
        inside = f"{path}." if path else ""
        for run, one in enumerate(estimates):
            below = [o for o in one.operators if o.module == path or o.module.startswith(inside)]
            assert node.times[run] == pytest.approx(sum(o.time for o in below))
        below = [o for o in estimates[0].operators if (o.module + ".").startswith(inside)]
        assert node.macs == sum(o.macs for o in below)
        assert node.operators == len(below)
    assert tree[""].parameters == estimates[0].graph.parameters
    assert tree["stages.1"].parameters == 2 * (9 * 32 + 32 * 32)
    assert tree["stages.0.1.depthwise"].kind == "depthwise convolution"


def test_a_modules_own_operators_stand_beside_the_modules_in_it() -> None:
    torch = pytest.importorskip("torch")
    from costmodel.tracing.eager import trace

    class Residual(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.nn.Conv2d(8, 8, 1)

        def forward(self, x: Any) -> Any:
            return (x + self.inner(x)) + self.inner(x)

    found = estimate(trace(torch.nn.Sequential(Residual()), (2, 8, 8, 8)), "a100")
    tree = {node.path: node for node in module_times([found]).walk()}
    assert tree["0[add]"].operators == 2
    assert tree["0.inner"].operators == 2
    assert [child.path for child in tree["0"].children] == ["0.inner", "0[add]"]


# ---------------------------------------------------------------------------------- figures


def test_the_boxes_of_the_treemap_add_up_to_the_latency() -> None:
    estimates = runs()
    for run, one in enumerate(estimates):
        (map_,) = module_figure(module_times(estimates), run).data
        assert sum(map_.values) == pytest.approx(one.latency)
        assert len(set(map_.ids)) == len(map_.ids)
        assert set(map_.parents) <= {"", *map_.ids}


def test_small_boxes_are_joined_without_losing_time() -> None:
    builder = GraphBuilder("uneven")
    x = builder.input((8, 256, 56, 56))
    x = builder.conv2d(x, 256, kernel=3, module="large")
    for number in range(50):
        x = builder.conv2d(x, 1, kernel=1, module=f"many.{number}")
    found = estimate(builder.graph(x), "a100", without=["all"])
    (map_,) = module_figure(module_times([found])).data
    assert sum(map_.values) == pytest.approx(found.latency)
    assert any("smaller" in label for label in map_.labels)
    assert len(map_.ids) < 30


def test_shares_are_shares() -> None:
    estimates = runs()
    for figure in (kind_figure(estimates), bound_figure(estimates)):
        bars = len(figure.data[0].x)
        for bar in range(bars):
            assert sum(trace.x[bar] for trace in figure.data) == pytest.approx(1)
    by_kind = {trace.name: trace.x for trace in kind_figure(estimates).data}
    flops = sum(o.flops for o in estimates[0].operators if o.kind == "depthwise convolution")
    total = sum(o.flops for o in estimates[0].operators)
    assert by_kind["depthwise convolution"][0] == pytest.approx(flops / total)
    time = sum(o.time for o in estimates[1].operators if o.kind == "convolution")
    assert by_kind["convolution"][3] == pytest.approx(time / estimates[1].latency)


def test_the_memory_curve_peaks_at_the_peak() -> None:
    (one, _) = runs()
    always, alive = live_bytes(one)
    assert always + alive.max() == one.peak_memory
    curve = memory_figure([one]).data[0]
    image = 8 * 32 * 28 * 28 * 4  # bytes of one activation: input and output are alive at once
    weights = one.graph.parameters * 4
    assert max(curve.y) * 2**20 == pytest.approx(weights + 2 * image, rel=1e-5)


def test_costs_are_flops_over_bytes() -> None:
    one = runs()[0]
    figure = cost_figure(one)
    points = {
        (round(x), round(y))
        for trace in figure.data[1:]
        for x, y in zip(trace.x, trace.y, strict=True)
    }
    assert points == {
        (round(o.bytes_read + o.bytes_written), round(o.flops)) for o in one.operators
    }
    line = figure.data[0]
    assert line.y[0] / line.x[0] == pytest.approx(15.7e12 / 900e9)


# --------------------------------------------------------------------------------- structure


def test_the_pages_are_valid_html(shown: str) -> None:
    html5lib = pytest.importorskip("html5lib", reason="pip install html5lib")
    html5lib.HTMLParser(strict=True).parse(shown)
    words = html_page("words & <signs>", "a lead", [], [])
    html5lib.HTMLParser(strict=True).parse(words)
    html5lib.HTMLParser(strict=True).parse(page_of(runs(network(NASTY, NASTY)), cdn=True))


def test_it_can_be_used_without_seeing_or_pointing(shown: str) -> None:
    html5lib = pytest.importorskip("html5lib", reason="pip install html5lib")
    tree = html5lib.parse(shown, namespaceHTMLElements=False)
    assert tree.attrib["lang"] == "en"
    assert all(tree.find(f".//{name}") is not None for name in ("header", "nav", "main", "footer"))
    assert len(tree.findall(".//h1")) == 1
    ids = [node.attrib["id"] for node in tree.iter() if "id" in node.attrib]
    assert len(ids) == len(set(ids))
    for link in tree.findall(".//nav//a"):
        assert link.attrib["href"].removeprefix("#") in ids
    for section in tree.findall(".//section"):
        assert section.attrib["aria-labelledby"] in ids
    for head in tree.findall(".//th"):
        assert head.attrib["scope"] in ("col", "row")
    for figure in tree.findall(".//div[@role='img']"):
        assert len(figure.attrib["aria-label"]) > 20
    for button in tree.findall(".//button"):
        assert (button.text or "").strip() or button.attrib["aria-label"]
    for scrolled in tree.findall(".//div[@role='region']"):
        assert scrolled.attrib["tabindex"] == "0"
        assert scrolled.attrib["aria-label"]
    levels = [int(node.tag[1]) for node in tree.iter() if node.tag in ("h1", "h2", "h3", "h4")]
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_every_name_is_escaped() -> None:
    page = page_of(runs(network(NASTY, NASTY)), cdn=True)
    assert "<script>alert" not in page
    figures = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])["figures"]
    assert "<script" not in json.dumps(figures)


def test_the_page_asks_nobody_unless_told_to() -> None:
    estimates = runs()
    inlined, small = page_of(estimates), page_of(estimates, cdn=True)
    assert not re.search(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(?!data:)', inlined)
    assert "default-src 'none'; script-src 'unsafe-inline'; style-src" in inlined
    assert 'src="https://cdn.plot.ly/plotly-' in small
    assert "integrity=" in small
    assert "script-src 'unsafe-inline' https://cdn.plot.ly; style-src" in small
    assert len(small.encode()) < 300_000
    assert len(inlined.encode()) < 3_000_000


def test_two_thousand_operators_fit_six_megabytes() -> None:
    builder = GraphBuilder("large")
    x = builder.input((2, 64, 28, 28))
    for number in range(2000):  # no two alike
        path = f"stages.{number // 500}.blocks.{number // 20}.layers.{number // 5}.conv{number}"
        x = builder.conv2d(x, 64 + number * 7 % 193, kernel=1 + 2 * (number % 2), module=path)
    estimates = runs(builder.graph(x))
    page = model_report(estimates, [Considered((), ())] * 2, "large", "")
    assert len(page.encode()) < 6_000_000
    rows = re.findall(r"<tr data-depth=\"\d+\"( hidden)?>", page)
    assert len(rows) > 2000
    assert sum(not hidden for hidden in rows) < 50  # open only as far as one can read


# -------------------------------------------------------------------------- the command line


def test_the_command_writes_a_report_of_a_file_of_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    from costmodel.cli.app import main

    source = tmp_path / "mine.py"
    source.write_text(
        "from torch import nn\n\n\ndef factory():\n"
        "    return nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU())\n"
    )
    target = tmp_path / "out.html"
    words = ["report", f"{source}:factory", "-d", "v100-sxm2", "--input", "3x64x64", "--cdn"]
    assert main([*words, "-o", str(target)]) == 0
    assert "wrote" in capsys.readouterr().err
    text = cells_of(target.read_text())
    assert "1x3x64x64 float32" in text
    assert "1 batch norm folded" in text
    assert "channels-last instead of planar images" in text
    assert f"costmodel report {source}:factory -d v100-sxm2" in text


@pytest.mark.parametrize("output", [[], ["-o", "report.json"], ["-o", "report"]])
def test_a_report_is_a_page(output: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    from costmodel.cli.app import main

    assert main(["report", "zoo:fasternet_t0", "-d", "a100", *output]) == 2
    assert "add -o FILE.html" in capsys.readouterr().err


def test_a_model_that_takes_something_else_is_told_how_to_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    from costmodel.cli.app import main

    source = tmp_path / "grey.py"
    source.write_text("from torch import nn\n\ndef factory():\n    return nn.Conv2d(1, 8, 3)\n")
    words = ["report", f"{source}:factory", "-d", "v100-sxm2", "-o", str(tmp_path / "r.html")]
    assert main(words) == 2
    assert "add --input CxHxW, or let factory return (module, inputs)" in capsys.readouterr().err
    assert main([*words, "--input", "1x28x28", "--cdn"]) == 0
