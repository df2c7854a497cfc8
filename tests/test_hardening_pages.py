"""Names from a model, a table or a profile are only text, on every page and in every terminal."""

from __future__ import annotations

import html
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

from costmodel.changes import consider
from costmodel.cli import main
from costmodel.estimation import Estimate, estimate
from costmodel.graph import Graph
from costmodel.hardware import list_devices
from costmodel.measurement.validation.matching import Skipped
from costmodel.measurement.validation.validation import Validation
from costmodel.reports.accuracy.validation_figure import validation_page
from costmodel.reports.device_catalogue import catalogue_page
from costmodel.reports.model.comparison import compared_models
from costmodel.reports.model.comparison_page import comparison_page
from costmodel.reports.model.page import model_report
from costmodel.reports.model.prediction import prediction_report
from costmodel.reports.page import Card, Section, html_page
from costmodel.reports.roofline.page import roofline_page
from costmodel.reports.table import Column, Table
from costmodel.tracing.builder import GraphBuilder

NASTY = "<script>alert(1)</script>"
BREAKOUT = "</script><img src=x onerror=alert(1)>"


def nasty_graph() -> Graph:
    builder = GraphBuilder(NASTY)
    x = builder.input((1, 64, 56, 56))
    x = builder.conv2d(x, 64, kernel=3, module=f"{NASTY}.{BREAKOUT}")
    return builder.graph(builder.conv2d(x, 64, kernel=3, module=NASTY))


def shell(page: str) -> str:
    """The page as a browser's parser sees it, what is inside scripts and styles left out."""
    return re.sub(r"<(script|style)\b[^>]*>.*?</\1>", "", page, flags=re.DOTALL | re.IGNORECASE)


def assert_harmless(page: str) -> None:
    assert NASTY not in page
    assert BREAKOUT not in page
    assert "onerror" not in re.sub(r"&lt;.*?&gt;", "", shell(page))
    for data in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL):
        assert "<" not in data
        json.loads(data)


def test_every_field_of_a_page_is_escaped() -> None:
    table = Table(NASTY, (Column("a", NASTY), Column("b", BREAKOUT)), ((NASTY, BREAKOUT),))
    section = Section(NASTY, BREAKOUT, tables=(table,), items=(NASTY, BREAKOUT))
    page = html_page(NASTY, BREAKOUT, [section], [Card(NASTY, BREAKOUT, NASTY)])
    assert_harmless(page)
    assert shell(page).count(html.escape(NASTY)) >= 6


def nasty_estimates() -> list[Estimate]:
    return [estimate(nasty_graph(), device) for device in ("v100-sxm2", "epyc-73f3@1")]


def test_a_hostile_model_on_the_roofline_page() -> None:
    text = roofline_page(nasty_estimates())
    assert_harmless(text)
    assert html.escape(NASTY) in shell(text)


def test_a_hostile_model_on_the_report() -> None:
    found = nasty_estimates()
    considered = [consider(each, lambda **_: nasty_graph()) for each in found]
    text = model_report(found, considered, NASTY, f"costmodel report {BREAKOUT}")
    assert_harmless(text)
    assert html.escape(NASTY) in shell(text)


def test_hostile_models_side_by_side() -> None:
    found = compared_models([NASTY, BREAKOUT], [nasty_estimates(), nasty_estimates()], None)
    assert_harmless(comparison_page(found))


def test_a_hostile_table_on_the_validation_page() -> None:
    found = Validation(
        against=NASTY,
        device=BREAKOUT,
        conditions=NASTY,
        group_word="family",
        names=(NASTY, BREAKOUT),
        groups=(NASTY, BREAKOUT),
        measured=np.array([1.0, 2.0]),
        predicted=np.array([1.1, 2.5]),
        skipped=(Skipped(NASTY, BREAKOUT),),
        notes=(NASTY,),
    )
    assert_harmless(validation_page(found))


def test_a_hostile_profile_on_the_catalogue_page() -> None:
    first, *others = list_devices()[:3]
    hostile = first.model_copy(update={"name": NASTY, "vendor": BREAKOUT})
    text = catalogue_page([hostile, *others])
    assert NASTY not in text
    assert BREAKOUT not in text


FILE = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.add_module("<script>alert(1)</script>", nn.Conv2d(3, 8, 3))

    def forward(self, x):
        return dict(self.named_children())["<script>alert(1)</script>"](x)

def net():
    return Net()
"""


def test_a_module_named_as_a_script_from_file_to_page(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(FILE)
    model = f"{tmp_path / 'net.py'}:net"
    output = str(tmp_path / "r.html")
    assert main(["roofline", model, "-i", "3x32x32", "-d", "v100-sxm2", "-o", output]) == 0
    text = Path(output).read_text()
    assert_harmless(text)
    assert "script" in json.dumps(re.findall(r'id="data">(.*?)</script>', text, re.DOTALL))


def test_a_terminal_gets_no_control_codes_from_names() -> None:
    builder = GraphBuilder("\x1b[2Jgone\x07\r[red]x[/red]")
    x = builder.input((1, 8, 8, 8))
    graph = builder.graph(builder.conv2d(x, 8, kernel=3, module="\x1b]0;title\x07"))
    text = io.StringIO()
    prediction_report([estimate(graph, "v100-sxm2")], None, 3).print(text)
    assert "\x1b" not in text.getvalue()
    assert "\x07" not in text.getvalue()
    assert "[red]x[/red]" in text.getvalue()


def test_an_error_shows_no_control_codes(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["summary", "zoo:\x1b[2J"], ["devices", "show", "\x1b[31mred"], ["\x1b[2J"]):
        assert main(words) == 2
        assert "\x1b" not in capsys.readouterr().err
