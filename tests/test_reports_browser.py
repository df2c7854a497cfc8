"""The pages in a real browser: headless Chromium loads them, runs them and tells what it saw."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from costmodel.estimation import Estimate, estimate
from costmodel.reports.operator_comparison import compare_operators
from costmodel.reports.operator_page import operator_page
from costmodel.reports.operator_variants import parse_operator
from costmodel.reports.roofline_figure import roofline_page
from costmodel.reports.text import show_rate, show_time
from costmodel.tracing.builder import GraphBuilder

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

NASTY = "<script>document.title='broken'</script>"


def load(page: str, folder: Path, *flags: str, script: str = "") -> tuple[str, str]:
    """The document after its scripts ran, and what the browser logged on the console."""
    path = folder / "page.html"
    path.write_text(page.replace("</body>", f"<script>{script}</script></body>"))
    assert CHROMIUM is not None
    ended = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu",
            "--disable-background-networking", "--virtual-time-budget=6000",
            "--enable-logging=stderr", "--window-size=1400,1200", "--dump-dom", *flags,
            f"--user-data-dir={folder / 'profile'}", path.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    console = "\n".join(line for line in ended.stderr.splitlines() if ":CONSOLE" in line)
    return ended.stdout, console


def found(name: str = "two", module: str = "first") -> list[Estimate]:
    builder = GraphBuilder(name)
    x = builder.input((1, 64, 56, 56))
    x = builder.conv2d(x, 64, kernel=3, module=module)
    graph = builder.graph(builder.conv2d(x, 64, kernel=3, groups=64, module="depthwise"))
    return [estimate(graph, "v100-sxm2", 32), estimate(graph, "epyc-73f3@1", 1)]


def visible(dom: str) -> str:
    """The text of the document, scripts and styles left out."""
    shell = re.sub(r"<(script|style)\b[^>]*>.*?</\1>", " ", dom, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", " ", shell))


def test_roofline_page_draws_its_charts_and_numbers(tmp_path: Path) -> None:
    estimates = found()
    dom, console = load(roofline_page(estimates), tmp_path)
    assert console == ""
    assert dom.count('class="main-svg"') >= 1
    assert dom.count('class="point"') >= 4  # two operators on two devices
    text = visible(dom)
    for one in estimates:
        assert show_time(one.latency) in text
        assert f"{show_rate(one.throughput)} samples/s" in text
    for label in ("dram 900 GB/s", "float32 vector", "15.7 TFLOP/s", "depthwise convolution"):
        assert label in text


def test_pointing_at_a_dot_explains_it(tmp_path: Path) -> None:
    script = """
      const chart = document.getElementById("figure-0");
      const curve = chart.data.findIndex((trace) => trace.name === "depthwise convolution");
      Plotly.Fx.hover(chart, [{ curveNumber: curve, pointNumber: 0 }]);
    """
    dom, console = load(roofline_page(found()), tmp_path, script=script)
    assert console == ""
    hover = re.search(r'<g class="hoverlayer">(.*?)</g></g></g>', dom, re.DOTALL)
    text = visible(dom if hover is None else hover[1])
    for part in ("depthwise", "32x64x56x56", "MACs = c_in·c_out", "memory", "of the time"):
        assert part in text


def test_the_button_changes_the_mode(tmp_path: Path) -> None:
    page = roofline_page(found())
    dom, _ = load(page, tmp_path)
    assert 'data-mode="light"' in dom
    dom, console = load(page, tmp_path, script='document.getElementById("mode").click();')
    assert console == ""
    assert 'data-mode="dark"' in dom
    dom, _ = load(page, tmp_path, "--blink-settings=preferredColorScheme=0")
    assert 'data-mode="dark"' in dom


def test_names_that_are_markup_stay_names(tmp_path: Path) -> None:
    dom, console = load(roofline_page(found(name=NASTY, module=NASTY)), tmp_path)
    assert console == ""
    title = re.search(r"<title>(.*?)</title>", dom, re.DOTALL)
    assert title is not None
    assert html.unescape(title[1]) == f"Roofline of {NASTY}"
    assert NASTY in visible(dom)


def test_nothing_is_asked_of_any_host(tmp_path: Path) -> None:
    script = """
      addEventListener("load", () => setTimeout(() => {
        const asked = performance.getEntriesByType("resource").map((entry) => entry.name);
        document.body.dataset.asked = asked.filter((name) => !name.startsWith("data:")).join(" ");
      }, 500));
    """
    dom, console = load(roofline_page(found()), tmp_path, script=script)
    assert console == ""
    assert 'data-asked=""' in dom


def test_operator_page(tmp_path: Path) -> None:
    operators = [parse_operator(name) for name in ("conv", "dwconv", "pconv:1/4")]
    compared = compare_operators(operators, [32, 64, 128], 56, 3, ["v100-sxm2"], [256])
    dom, console = load(operator_page(compared), tmp_path)
    assert console == ""
    text = visible(dom)
    for label in ("Latency", "channels", "pconv:1/4", "3x3 on 56x56, v100-sxm2, batch 256"):
        assert label in text
    assert dom.count('class="point"') >= 4 * 9  # four panels, three operators, three sizes
