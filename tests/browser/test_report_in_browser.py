"""The report as a person meets it: numbers, hover, sorting, modes, print, narrow screens."""

from __future__ import annotations

import re
from typing import Any

import pytest

from costmodel.changes import consider
from costmodel.estimation import Estimate, estimate
from costmodel.graph import Graph
from costmodel.reports.model.page import model_report
from costmodel.reports.text import percent, show_bytes, show_rate, show_time
from costmodel.tracing.builder import GraphBuilder
from tests.browser.conftest import Open, draw_all, keep

NASTY = "<script>document.title='broken'</script>"


def network(name: str = "net", prefix: str = "stages") -> Graph:
    builder = GraphBuilder(name)
    x = builder.input((2, 64, 56, 56))
    for stage in range(3):
        for block in range(2):
            path = f"{prefix}.{stage}.{block}"
            x = builder.conv2d(x, 64, kernel=3, groups=64, module=f"{path}.depthwise")
            x = builder.conv2d(x, 64 + 32 * stage, kernel=1, module=f"{path}.pointwise")
            x = builder.conv2d(x, 64, kernel=3, module=f"{path}.dense")
    return builder.graph(x)


def runs(graph: Graph | None = None) -> list[Estimate]:
    used = graph or network()
    return [estimate(used, device, 16) for device in ("v100-sxm2", "epyc-73f3@1")]


def text_of(estimates: list[Estimate]) -> str:
    considered = [consider(one) for one in estimates]
    return model_report(estimates, considered, "FILE.py:net", "costmodel report FILE.py:net")


@pytest.fixture(scope="module")
def report() -> str:
    return text_of(runs())


def test_numbers_are_those_of_the_api(show: Open, report: str) -> None:
    page = show(report)
    text = page.inner_text("body")
    for one in runs():
        for shown in (
            show_time(one.latency),
            f"{show_rate(one.throughput)} /s",
            percent(one.time_by_bound[one.bound] / one.latency),
            show_bytes(one.peak_memory),
            f"{consider(one).best()[0].speedup:.3g}x",
        ):
            assert shown in text


def test_pointing_at_a_dot_explains_the_operator(show: Open, report: str) -> None:
    page = show(report)
    chart = page.locator(".figure[aria-label^='Roofline chart']").first
    chart.scroll_into_view_if_needed()
    place = "g.trace.scatter:has(path.point)"
    chart.locator(place).last.wait_for()
    number = chart.evaluate(
        "e => e.data.filter(t => t.mode === 'markers')"
        ".findIndex(t => t.name === 'depthwise convolution')"
    )
    dot = chart.locator(place).nth(number).locator("path.point").first
    box = dot.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    hover = chart.locator(".hoverlayer .hovertext")
    hover.first.wait_for()
    one = next(o for o in runs()[0].operators if o.kind == "depthwise convolution")
    text = " ".join(hover.all_text_contents())
    for part in (
        "stages.0.0.depthwise", "16x64x56x56", "MACs = ", "moved", f"{one.bound} bound",
        "of float32 vector", "of the time",
    ):  # fmt: skip
        assert part in text


def names(page: Any, depth: int) -> list[str]:
    rows = page.locator(f"table.tree tbody tr[data-depth='{depth}']:visible .name")
    return [text.split()[0] for text in rows.all_inner_texts()]


def test_the_tree_sorts_and_opens(show: Open, report: str) -> None:
    page = show(report)
    stages = {
        stage: sum(o.time for o in runs()[0].operators if o.module.startswith(f"stages.{stage}."))
        for stage in "012"
    }
    slowest = sorted(stages, key=lambda stage: -stages[stage])
    header = page.locator("table.tree thead th", has_text="v100-sxm2: time")
    assert names(page, 2) == ["0", "1", "2"]
    assert header.get_attribute("aria-sort") is None
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    assert names(page, 2) == slowest
    header.locator("button").focus()
    page.keyboard.press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"
    assert names(page, 2) == slowest[::-1]
    page.keyboard.press("Space")
    assert header.get_attribute("aria-sort") is None
    assert names(page, 2) == ["0", "1", "2"]

    twist = page.locator("table.tree tr[data-depth='2'] .twist").first
    assert twist.get_attribute("aria-expanded") == "false"
    assert names(page, 3) == []
    twist.focus()
    page.keyboard.press("Enter")
    assert twist.get_attribute("aria-expanded") == "true"
    assert names(page, 3) == ["0", "1"]
    page.get_by_role("button", name="Open all").click()
    assert names(page, 4) == ["depthwise", "pointwise", "dense"] * 6
    page.get_by_role("button", name="Close all").click()
    assert names(page, 2) == []


def test_light_dark_and_print(show: Open, report: str) -> None:
    page = show(report, mode="dark")
    colour = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(colour) == "rgb(18, 21, 26)"
    last = page.locator(".figure").last
    page.locator("#figure-0 .main-svg").first.wait_for(state="attached")
    assert last.locator(".main-svg").count() == 0  # drawn when it is seen
    draw_all(page)
    assert last.locator(".main-svg").count() > 0
    page.locator("#mode").click()
    assert page.evaluate(colour) == "rgb(255, 255, 255)"
    page.wait_for_function(
        "getComputedStyle(document.querySelector('#figure-0 .main-svg')).backgroundColor"
        " === 'rgb(255, 255, 255)'"
    )
    page.locator("#mode").click()
    page.emulate_media(media="print")
    assert page.evaluate(colour) == "rgb(255, 255, 255)"
    assert not page.locator(".tools").is_visible()
    assert not page.locator("nav").is_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('.tall')).maxHeight") == "none"
    assert len(re.findall(rb"/Type\s*/Page\b", page.pdf())) >= 3


def test_the_keyboard_reaches_everything_in_order(show: Open, report: str) -> None:
    page = show(report)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.locator("#mode").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Summary"


def test_names_that_are_markup_stay_names(show: Open) -> None:
    page = show(text_of(runs(network(NASTY, "<b>x</b>"))))
    draw_all(page)
    assert page.title().startswith(NASTY)
    page.get_by_role("button", name="Open all").click()
    assert "<b>x</b>" in page.inner_text("table.tree")


def test_screens_wide_and_narrow(show: Open, report: str) -> None:
    page = show(report)
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        for mode in ("light", "dark"):
            page.emulate_media(color_scheme=mode)
            keep(page, f"report-{mode}-{width}")
        assert page.evaluate("document.documentElement.scrollWidth") == width
