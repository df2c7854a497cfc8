"""How objects look in a notebook: the numbers of the API, every text escaped, no scripts."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

import pytest

import costmodel as cm
from costmodel.estimation import estimate, sweep
from costmodel.graph import Graph
from costmodel.hardware import load_device
from costmodel.reports.text import show_time
from costmodel.tracing.builder import GraphBuilder

NASTY = "<img src=x onerror=alert(1)>&\"'"
LARGEST = 20_000
"""Characters of HTML that an object may take in a notebook."""


def graph(name: str = "two", module: str = "first") -> Graph:
    """A 3x3 convolution of 64 to 64 channels on 56x56, then a 1x1 one to 128."""
    builder = GraphBuilder(name)
    x = builder.input((1, 64, 56, 56))
    x = builder.conv2d(x, 64, kernel=3, module=module)
    return builder.graph(builder.conv2d(x, 128, kernel=1, module="second"))


class Nesting(HTMLParser):
    """Checks that every element that is opened is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def shown(thing: object) -> str:
    """The HTML of an object, checked for what holds of all."""
    markup: str = thing._repr_html_()  # type: ignore[attr-defined]
    reader = Nesting()
    reader.feed(markup)
    assert not reader.open
    assert not reader.seen & {"script", "img", "style", "link", "iframe"}
    assert len(markup) < LARGEST
    return markup


def text_of(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", markup)).split())


def test_a_graph_shows_what_it_costs() -> None:
    text = text_of(shown(graph()))
    macs = 56 * 56 * 64 * (9 * 64 + 128)
    assert f"{macs / 1e6:.3g} MMACs" in text
    assert "(1, 64, 56, 56)" in text
    assert "parameters 45.1 k" in text
    assert "aten::convolution 2" in text


def test_a_symbolic_graph_shows_its_formula() -> None:
    torch = pytest.importorskip("torch")
    traced = cm.trace(torch.nn.Linear(8, 4), (2, 8), symbolic={"batch": 0})
    text = text_of(shown(traced))
    assert "MACs 32·batch" in text
    assert "symbolic sizes batch" in text


def test_an_estimate_shows_its_numbers() -> None:
    found = estimate(graph(), "v100-sxm2", 8)
    text = text_of(shown(found))
    assert show_time(found.latency) in text
    assert found.interval is not None
    for kind, seconds in found.time_by_kind.items():
        assert f"{kind} {show_time(seconds)}" in text
    for part in ("two on v100-sxm2", "Slowest operators", "second"):
        assert part in text


def test_a_sweep_shows_each_of_its_estimates() -> None:
    found = sweep(graph(), ["v100-sxm2", "t4"], [1, 8], ["fp32", "fp16"])
    text = text_of(shown(found))
    for one in found:
        assert show_time(one.latency) in text
    assert shown(found).count("<tr>") == 1 + len(found)


def test_a_long_sweep_is_cut_and_says_so() -> None:
    found = sweep(graph(), ["v100-sxm2"], range(1, 101))
    assert "and 70 more" in text_of(shown(found))


def test_a_device_shows_peaks_memory_and_sources() -> None:
    profile = load_device("v100-sxm2")
    text = text_of(shown(profile))
    for part in ("125 TFLOP/s", "900 GB/s", "dram HBM2", *profile.sources):
        assert part in text


def test_names_are_escaped() -> None:
    evil = graph(name=NASTY, module=NASTY)
    for thing in (evil, estimate(evil, "t4"), sweep(evil, ["t4"], [1, 2])):
        markup = shown(thing)
        assert NASTY not in markup
        assert html.escape(NASTY) in markup
    profile = load_device("v100-sxm2").model_copy(update={"name": NASTY})
    assert NASTY not in shown(profile)
    assert html.escape(NASTY) in shown(profile)


def test_unknown_numbers_are_shown_as_unknown() -> None:
    assert "is not known" in text_of(shown(load_device("myriad-x")))


def test_formulas_show_themselves_as_latex() -> None:
    latex = cm.formula("pconv")._repr_latex_()
    assert latex.startswith("$$")
    assert latex.endswith("$$")
    assert r"\text{MACs} &= c_{p}^{2} h k^{2} n w" in latex
    assert latex.count("{") == latex.count("}")
