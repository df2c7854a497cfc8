"""Operators compared over image sizes, and the tables of a notebook, in a real browser."""

from __future__ import annotations

from typing import Any

from costmodel.estimation import estimate
from costmodel.hardware import load_device
from costmodel.reports.operators.comparison import OperatorComparison, compare_operators
from costmodel.reports.operators.crossovers import changes, formula_text
from costmodel.reports.operators.page import operator_page, verdicts
from costmodel.reports.operators.variants import parse_operator
from costmodel.reports.text import show_time
from tests.browser.conftest import Open, keep

NAMES = ("dwconv", "pconv:1/4", "patconv:1/4")


def cases() -> list[OperatorComparison]:
    operators = [parse_operator(name) for name in NAMES]
    return [
        one
        for size in (14, 56)
        for one in compare_operators(operators, [32, 64, 256], size, 3, ["v100-sxm2"], [64])
    ]


def pointed_at(page: Any, column: int, row: int) -> str:
    """What the page says when a cell of the first figure, a heat map, is pointed at."""
    chart = page.locator("#figure-0")
    chart.scroll_into_view_if_needed()
    chart.locator(".main-svg").first.wait_for(state="attached")
    x, y = page.evaluate(
        "([column, row]) => { const { xaxis, yaxis } = "
        "document.getElementById('figure-0')._fullLayout; return ["
        "xaxis._offset + xaxis.c2p(column), yaxis._offset + yaxis.c2p(row)] }",
        [column, row],
    )
    box = chart.bounding_box()
    page.mouse.move(box["x"] + x, box["y"] + y)
    label = chart.locator(".hoverlayer text")
    label.first.wait_for(state="attached")
    return " ".join(label.all_text_contents())


def test_map_verdicts_and_crossovers_say_what_the_api_says(show: Open) -> None:
    found = cases()
    page = show(operator_page(found), mode="dark")
    keep(page, "compare-ops-map-dark-1440")
    text = page.inner_text("body")
    assert "Which operator is fastest: v100-sxm2, batch 64, fp32" in text
    for one in found:
        for sentence in verdicts(one):
            assert sentence in text
        for change in changes(one):
            assert formula_text(change) in text
            if change.solved is not None:
                assert f"{change.solved.size:.1f}" in text
    label = pointed_at(page, 2, 1)  # the third number of channels, the second size
    assert "256 channels, 56x56" in label
    for point in found[1].points:
        if point.channels == 256:
            assert f"{point.operator}: {show_time(point.time)}" in label


def test_a_notebook_cell_is_readable(show: Open) -> None:
    """What `_repr_html_` gives, put into a page as a notebook does."""
    found = estimate(parse_operator("patconv").graph(64, 56, 3), "v100-sxm2", 64)
    device = load_device("v100-sxm2")
    parts = [thing._repr_html_() for thing in (found.graph, found, device)]
    page = show(f"<!DOCTYPE html><meta charset='utf-8'><title>t</title>{''.join(parts)}")
    text = page.inner_text("body")
    assert show_time(found.latency) in text
    assert "125 TFLOP/s" in text
    page.locator("summary", has_text="Slowest operators").click()
    assert found.operators[0].name in page.inner_text("body")
