"""Reports: tables, files, the roofline view and the pages, without a browser."""

from __future__ import annotations

import html
import json
import os
import re
from math import log10
from pathlib import Path

import pytest

from costmodel.errors import UnknownNameError, UsageError
from costmodel.estimation import Estimate, estimate
from costmodel.graph import Graph
from costmodel.reports import theme
from costmodel.reports.channels import dense_channels, parse_channels
from costmodel.reports.model.module_summary import module_costs
from costmodel.reports.operators.comparison import (
    OperatorComparison,
    Point,
    compare_operators,
)
from costmodel.reports.operators.figure import beaten_ranges, operator_figure
from costmodel.reports.operators.page import operator_page, verdicts
from costmodel.reports.operators.variants import parse_operator
from costmodel.reports.page import html_page
from costmodel.reports.report import Report, write_text
from costmodel.reports.roofline.figure import roofline_figure
from costmodel.reports.roofline.page import roofline_page
from costmodel.reports.roofline.terminal import roofline_chart
from costmodel.reports.roofline.view import roofline_view
from costmodel.reports.table import Column, Table
from costmodel.reports.text import exact, percent, show_intensity
from costmodel.tracing.builder import GraphBuilder

NASTY = "<script>alert('x')</script>"


def graph(name: str = "two", module: str = "first") -> Graph:
    """A 3x3 convolution of 64 to 64 channels on 56x56, then a 1x1 one to 128."""
    builder = GraphBuilder(name)
    x = builder.input((1, 64, 56, 56))
    x = builder.conv2d(x, 64, kernel=3, module=module)
    return builder.graph(builder.conv2d(x, 128, kernel=1, module="second"))


def plain(device: str = "v100-sxm2", batch: int = 1, **options: str) -> Estimate:
    return estimate(graph(), device, batch, without=["all"], **options)


# ------------------------------------------------------------------------------------ tables


def table() -> Table:
    columns = (
        Column("name", "name", right=False),
        Column("size_bytes", "size", lambda value: f"{value} B"),
        Column("hidden", "hidden", csv_only=True),
        Column("", "shown", right=False),
    )
    return Table("A [title]", columns, (("a|b*c", 3, 1, "x"), ("[red]plain[/red]", None, 2, "y")))


def test_a_table_reads_the_same_everywhere() -> None:
    assert table().to_csv() == "name,size_bytes,hidden\na|b*c,3,1\n[red]plain[/red],,2\n"
    assert table().to_markdown().splitlines()[2:] == [
        "| name | size | shown |",
        "| --- | ---: | --- |",
        r"| a\|b\*c | 3 B | x |",
        "| [red]plain[/red] | ? | y |",
    ]
    text = Report({}, (table(),), ("a [note]",)).render("table")
    assert "A [title]" in text
    assert "[red]plain[/red]" in text
    assert "note: a [note]" in text
    assert "hidden" not in text
    assert "\x1b" not in text


def test_a_table_refuses_a_short_row() -> None:
    with pytest.raises(ValueError, match="1 cells in 2 columns"):
        Table("t", (Column("a", "a"), Column("b", "b")), ((1,),))


def test_json_never_holds_what_json_cannot() -> None:
    assert json.loads(Report({"a": 1}, ()).render("json")) == {"schema_version": 1, "a": 1}
    with pytest.raises(ValueError, match="not JSON compliant"):
        Report({"a": float("nan")}, ()).render("json")


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (0.0004, "<0.1 %"),
        (0.0123, "1.2 %"),
        (0.0996, "10 %"),
        (0.5, "50 %"),
        (1, "100 %"),
    ],
)
def test_a_small_share_is_never_none(share: float, text: str) -> None:
    assert percent(share) == text


def test_numbers_as_text() -> None:
    assert show_intensity(2.25) == "2.25 FLOP/B"
    assert show_intensity(1149.3) == "1,149 FLOP/B"
    assert exact(3.0) == 3
    assert type(exact(3.0)) is int
    assert exact(2.5) == 2.5


# ------------------------------------------------------------------------------------- files


def test_a_file_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.txt"
    write_text(path, "one")
    write_text(path, "two")
    assert path.read_text() == "two"
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UsageError, match="No space left"):
        write_text(path, "three")
    assert path.read_text() == "two"
    assert [p.name for p in tmp_path.iterdir()] == ["r.txt"]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="folder"):
        write_text(tmp_path, "text")


# -------------------------------------------------------------------------- the roofline view


def test_the_view_is_the_roofline_worked_by_hand() -> None:
    view = roofline_view(plain())
    assert [(roof.label, roof.peak) for roof in view.roofs] == [("float32 vector", 15.7e12)]
    assert view.main.bandwidth == 900e9
    first, second = view.dots
    flops = 2 * 64 * 64 * 9 * 56 * 56
    moved = 4 * (64 * 56 * 56 + 64 * 64 * 9 + 64 * 56 * 56)
    assert (first.flops, first.bytes) == (flops, moved)
    assert first.intensity == pytest.approx(flops / moved)
    assert first.intensity > 15.7e12 / 900e9  # right of the ridge point, so on the roof
    assert first.achieved == pytest.approx(15.7e12)
    assert first.share + second.share == pytest.approx(1)
    assert first.shapes == "1x64x56x56, 64x64x3x3 → 1x64x56x56"


def test_plain_dots_lie_on_the_roofline_at_any_batch() -> None:
    for batch, precision in ((1, "fp32"), (64, "fp16")):
        view = roofline_view(plain("a100", batch, precision=precision))
        for dot in view.drawn:
            attainable = min(dot.roof.peak, view.main.bandwidth * dot.intensity)
            assert dot.achieved == pytest.approx(attainable)


def test_equal_operators_share_a_dot() -> None:
    builder = GraphBuilder("repeated")
    x = builder.input((1, 32, 8, 8))
    for index in range(5):
        x = builder.conv2d(x, 32, kernel=3, module=f"block{index}")
    (dot,) = roofline_view(estimate(builder.graph(x), "a100", without=["all"])).dots
    assert dot.names == tuple(f"block{index}" for index in range(5))
    assert dot.share == pytest.approx(1)


def test_names_of_memory_levels_keep_clear_of_the_title() -> None:
    """Also where a tiny operator makes it many decades tall, on the workbench's 400 pixels."""
    builder = GraphBuilder("tiny")
    graph = builder.graph(builder.conv2d(builder.input((1, 1, 1, 1)), 1, kernel=1))
    layout = roofline_figure([estimate(graph, "v100-sxm2")]).layout
    low, high = layout.yaxis.range
    assert high - low > 8
    shifted = [text for text in layout.annotations if text.yshift]
    assert len(shifted) == 3
    for text in shifted:
        assert 400 * (text.y - low) / (high - low) + text.yshift + 16 <= 400


def test_one_core_sees_its_own_caches() -> None:
    bandwidths = {d.level: d.bandwidth for d in roofline_view(plain("epyc-73f3@1")).diagonals}
    whole = {d.level: d.bandwidth for d in roofline_view(plain("epyc-73f3")).diagonals}
    assert bandwidths["l1"] * 16 == pytest.approx(whole["l1"])
    assert bandwidths["llc"] * 8 == pytest.approx(whole["llc"])  # two cores share each of eight


def test_what_has_no_arithmetic_is_listed_beside_the_chart() -> None:
    pytest.importorskip("torch")
    from costmodel.tracing.source import load_graph

    found = estimate(load_graph("zoo:fasternet_t0"), "v100-sxm2")
    view = roofline_view(found)
    assert view.left_out
    assert all(dot.flops == 0 for dot in view.left_out)
    assert sum(dot.share for dot in (*view.drawn, *view.left_out)) == pytest.approx(1)
    assert "aten::cat" in roofline_page([found])


# ---------------------------------------------------------------------------------- figures


def test_the_figure_shows_the_numbers_of_the_estimate() -> None:
    found = plain(batch=8)
    figure = roofline_figure([found])
    (dots,) = [trace for trace in figure.data if trace.name == "convolution"]
    assert list(dots.x) == pytest.approx([o.intensity for o in found.operators])
    assert list(dots.y) == pytest.approx([o.achieved_flops for o in found.operators])
    for text in ("first", "c_in·c_out", "925 MMACs", "compute bound", "of float32 vector"):
        assert text in dots.text[0]
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
    assert figure.layout.xaxis.exponentformat == figure.layout.yaxis.exponentformat == "SI"
    ridge = [trace for trace in figure.data if "ridge point" in str(trace.text)]
    assert 15.7e12 / 900e9 in list(ridge[0].x)


def test_panels_share_their_axes() -> None:
    figure = roofline_figure([plain(), plain("epyc-73f3@1")])
    assert figure.layout.xaxis.range == figure.layout.xaxis2.range
    assert figure.layout.yaxis.range == figure.layout.yaxis2.range
    low, high = figure.layout.yaxis.range
    assert low < log10(112e9) < log10(15.7e12) < high


def test_every_kind_has_a_colour_and_a_mark_of_its_own() -> None:
    from typing import get_args

    from costmodel.formulas.registry import Kind

    marks = [theme.mark_of(kind) for kind in theme.KINDS]
    assert len(set(marks)) == len(marks)
    assert set(get_args(Kind)) - set(theme.KINDS) <= {"view", "composition"}
    okabe_ito = {"#0072B2", "#56B4E9", "#009E73", "#F0E442", "#E69F00", "#D55E00", "#CC79A7"}
    assert {mark.colour for mark in marks} <= okabe_ito | {theme.GREY}


def contrast(one: str, other: str) -> float:
    """WCAG 2.1 contrast ratio of two colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_is_legible_in_both_modes(mode: theme.Mode) -> None:
    colours = theme.PALETTE[mode]
    for text in ("text", "muted", "link", "bad"):
        for ground in ("page", "panel"):
            assert contrast(colours[text], colours[ground]) >= 4.5
    assert contrast(theme.ROOF, colours["page"]) >= 3


def test_the_terminal_chart() -> None:
    text = roofline_chart(plain(), colour=False, width=90)
    assert "two on v100-sxm2, batch 1, fp32" in text
    assert "float32 vector 15.7 TFLOP/s" in text
    assert "\x1b" not in text
    assert re.search(r"[^a-zA-Z]A[^a-zA-Z]", text)


# ------------------------------------------------------------------------------------ pages


def without_data(page: str) -> str:
    """The page as a browser's parser sees it: the JSON and plotly.js blocks cut out."""
    return re.sub(r"<script\b[^>]*>.*?</script>", "", page, flags=re.DOTALL)


def test_names_are_escaped_everywhere() -> None:
    found = estimate(graph(name=NASTY, module=NASTY), "v100-sxm2")
    page = roofline_page([found])
    assert NASTY not in page
    assert NASTY in html.unescape(without_data(page))
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    assert "<" not in data[1]
    figure = json.dumps(json.loads(data[1])["figures"][0])
    assert "<script" not in figure
    assert "&lt;script&gt;" in figure


def test_a_page_needs_nothing_from_anywhere() -> None:
    page = roofline_page([plain()])
    shell = without_data(page)
    assert "default-src 'none'" in shell
    assert set(re.findall(r'\b(?:src|href)="([^"]*)"', shell)) == {"data:,", "#main"}
    assert len(page.encode()) < 6_000_000
    assert len(html_page("words", "only", [])) < 20_000  # plotly.js only where there is a figure


def test_operator_page_says_what_the_numbers_say() -> None:
    operators = [parse_operator(text) for text in ("dwconv", "pconv:1/4")]
    found = compare_operators(
        operators, [32, 64, 512], 56, 3, ["v100-sxm2"], [256], without=["all"]
    )
    assert verdicts(found[0]) == (
        "dwconv has fewer FLOPs than pconv:1/4 and is not faster at 32 to 64 channels",
    )
    assert html.escape(verdicts(found[0])[0]) in operator_page(found)
    latency = operator_figure(found[0]).data[0]
    assert list(latency.x) == [32, 64, 512]
    assert list(latency.y) == [point.time for point in found[0].of("dwconv")]


# ------------------------------------------------------------------- comparison of operators


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("32:512", [32, 64, 128, 256, 512]),
        ("32:500", [32, 64, 128, 256]),
        ("48:48", [48]),
        ("32:128:32", [32, 64, 96, 128]),
        ("96,48,96", [48, 96]),
        ("7", [7]),
    ],
)
def test_channels(text: str, expected: list[int]) -> None:
    assert parse_channels(text) == expected


@pytest.mark.parametrize("text", ["", "a", "0:8", "-1", "64:32", "1:2:3:4", "1:9,3", "1:999999:1"])
def test_channels_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="channels"):
        parse_channels(text)


def test_figures_fill_a_doubling_range_up() -> None:
    assert dense_channels([32, 64], "32:64") == [32, 40, 48, 56, 64]
    assert dense_channels([32, 64], "32:64", multiple=16) == [32, 48, 64]
    assert dense_channels([32, 64], "32,64") == [32, 64]


def test_operator_names() -> None:
    assert parse_operator("pconv").label == "pconv:1/4"
    assert parse_operator("pconv:0.5").label == "pconv:1/2"
    assert parse_operator("gconv:16").multiple == 16
    with pytest.raises(UnknownNameError, match="dwconv"):
        parse_operator("dwcnv")
    for text in ("pconv:0", "pconv:2", "pconv:x", "gconv:0", "gconv:1/2", "conv:1"):
        with pytest.raises(UsageError):
            parse_operator(text)


def test_only_slower_operators_with_fewer_flops_are_beaten() -> None:
    """dwconv against conv: fewer FLOPs and faster, so nothing is marked."""
    (found,) = compare_operators(
        [parse_operator("conv"), parse_operator("dwconv")], [64, 256], 56, 3, ["v100-sxm2"]
    )
    for conv, depthwise in zip(found.points[::2], found.points[1::2], strict=True):
        assert depthwise.flops < conv.flops
        expected = ("conv",) if depthwise.time >= conv.time else ()
        assert depthwise.beaten_by == expected
        assert conv.beaten_by == ()


def test_shaded_ranges_end_half_way() -> None:
    def point(channels: int, beaten: bool) -> Point:
        return Point("conv", channels, 1, 2, 3, 4.0, "memory", ("b",) if beaten else ())

    marked = {64, 128, 512}
    counts = (32, 64, 128, 256, 512)
    comparison = OperatorComparison(
        target=plain().target, batch=1, precision="fp32", size=56, kernel=3,
        variants=(parse_operator("conv"),), channels=counts,
        points=tuple(point(c, c in marked) for c in counts), notes=(),
    )  # fmt: skip
    found = list(beaten_ranges(comparison, "conv"))
    assert found[0] == pytest.approx(((32 * 64) ** 0.5, (128 * 256) ** 0.5))
    assert found[1] == pytest.approx(((256 * 512) ** 0.5, 512))
    assert len(found) == 2


# -------------------------------------------------------------------------- graphs, modules


def test_a_built_graph_equals_a_traced_one() -> None:
    torch = pytest.importorskip("torch")
    from costmodel.tracing.eager import trace

    with torch.device("meta"):
        model = torch.nn.Sequential(
            torch.nn.Conv2d(64, 64, 3, padding=1, bias=False),
            torch.nn.Conv2d(64, 128, 1, bias=False),
        )
    traced = estimate(trace(model, (1, 64, 56, 56)), "a100", 32)
    built = estimate(graph(), "a100", 32)
    assert built.latency == traced.latency
    assert built.total == traced.total
    assert built.peak_memory == traced.peak_memory


def test_builder_refuses_what_does_not_fit() -> None:
    builder = GraphBuilder("bad")
    x = builder.input((1, 6, 8, 8))
    with pytest.raises(UsageError, match="divide"):
        builder.conv2d(x, 6, kernel=3, groups=4)
    with pytest.raises(UsageError, match="odd"):
        builder.conv2d(x, 6, kernel=2)


def test_module_sums_equal_the_graph() -> None:
    pytest.importorskip("torch")
    from costmodel.tracing.source import load_graph

    fasternet = load_graph("zoo:fasternet_t0")
    modules = {module.path: module for module in module_costs(fasternet)}
    total = estimate(fasternet, "a100").total
    root = modules[""]
    assert root.cost.macs == total.macs
    assert root.cost.bytes == total.bytes
    assert root.parameters == fasternet.parameters == 3_905_500
    for path, module in modules.items():
        below = [m for p, m in modules.items() if p and p.rpartition(".")[0] == path and p != path]
        own = sum(1 for op in fasternet.ops if op.module == path and not op.is_view)
        assert module.operators == own + sum(m.operators for m in below)
