"""The pages of roofline, compare and compare-ops as a person meets them."""

from __future__ import annotations

from typing import Any

from costmodel.estimation import Estimate, estimate
from costmodel.reports.model.comparison import Comparison, compared_models
from costmodel.reports.model.comparison_page import comparison_page
from costmodel.reports.operators.comparison import compare_operators
from costmodel.reports.operators.page import operator_page
from costmodel.reports.operators.variants import parse_operator
from costmodel.reports.roofline.page import roofline_page
from costmodel.reports.text import show_rate, show_time
from costmodel.tracing.builder import GraphBuilder
from tests.browser.conftest import Open, draw_all, keep

NASTY = "<script>document.title='broken'</script>"
DEVICES = ("v100-sxm2", "epyc-73f3@1")


def runs(name: str = "two", module: str = "first", channels: int = 64) -> list[Estimate]:
    builder = GraphBuilder(name)
    x = builder.input((1, 3, 224, 224))
    x = builder.conv2d(x, channels, kernel=3, module=module)
    x = builder.conv2d(x, channels, kernel=3, groups=channels, module="depthwise")
    return [estimate(builder.graph(x), device, 32) for device in DEVICES]


def compared() -> Comparison:
    names = ("fasternet_t0", "fasternet_t1", "fasternet_t2")
    estimates = [runs(name, channels=16 * 2**i) for i, name in enumerate(names)]
    return compared_models([f"zoo:{name}" for name in names], estimates)


def hover(page: Any, figure: str, place: str) -> str:
    """Point at the first dot of a trace; what the page then says."""
    chart = page.locator(figure)
    chart.scroll_into_view_if_needed()
    dot = chart.locator(place).first
    dot.wait_for()
    box = dot.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    shown = chart.locator(".hoverlayer .hovertext")
    shown.first.wait_for()
    return " ".join(shown.all_text_contents())


def test_the_roofline_page(show: Open) -> None:
    found = runs()
    page = show(roofline_page(found))
    keep(page, "roofline-light-1440")
    text = page.inner_text("body") + " ".join(page.locator("svg text").all_text_contents())
    for one in found:
        assert show_time(one.latency) in text
        assert f"{show_rate(one.throughput)} samples/s" in text
    for label in ("dram 900 GB/s", "float32 vector 15.7 TFLOP/s", "depthwise convolution"):
        assert label in text
    said = hover(page, "#figure-0", "g.trace.scatter:has(path.point) >> nth=-1 >> path.point")
    assert "MACs = " in said
    assert "of the time together" in said


def test_names_that_are_markup_stay_names(show: Open) -> None:
    page = show(roofline_page(runs(NASTY, NASTY)))
    draw_all(page)
    assert page.title() == f"Roofline of {NASTY}"
    assert NASTY in page.inner_text("body")


def test_the_comparison(show: Open) -> None:
    found = compared()
    page = show(comparison_page(found), mode="dark")
    text = page.inner_text("body")
    for model in found.models:
        for case, one in enumerate(model.estimates):
            base = found.baseline.estimates[case]
            assert show_time(one.latency) in text
            assert f"{one.latency / base.latency:.3g}x" in text
    assert "Partial Channel Network" in text
    said = hover(page, "#figure-1", "path.point")
    assert "% top-1" in said
    assert "90 % interval" in said
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        keep(page, f"compare-dark-{width}")
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_comparison_of_operators(show: Open) -> None:
    operators = [parse_operator(name) for name in ("conv", "dwconv", "pconv:1/4")]
    page = show(
        operator_page(compare_operators(operators, [32, 64, 128], 56, 3, ["v100-sxm2"], [256]))
    )
    keep(page, "compare-ops-light-1440")
    text = page.inner_text("body") + " ".join(page.locator("svg text").all_text_contents())
    for label in ("Latency", "channels", "pconv:1/4", "3x3 on 56x56, v100-sxm2, batch 256"):
        assert label in text
    assert page.locator("path.point").count() >= 4 * 9  # panels, operators, sizes
