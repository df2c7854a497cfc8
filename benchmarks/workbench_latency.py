"""How long the workbench takes to follow a control, in a real browser.

    python benchmarks/workbench_latency.py [--changes 50] [--task classification]

Serves the page on this machine, opens it in headless Chromium and moves controls one after the
other by the keyboard: sliders, choices and batch. Measured inside the page: from the event of the
control to the frame that shows the new numbers, the new recommendation, and its chart, which is the
one in sight. Also the server's part alone, by calling the views, and the processor time of either
side, which other work on the machine does not stretch.

Each number in JSON is milliseconds. Needs the extras app and dev, and a Chromium.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import threading
import time
from typing import Any

from costmodel.workbench.tasks import DEFAULT_TASK, TASKS
from costmodel.workbench.values import Steps

SETTLED = 180_000
"""Milliseconds after which a page counts as stuck."""

WATCH = """() => {
  window.marks = {};
  let since = 0;
  const mark = (name) => requestAnimationFrame(() => {
    if (since && !(name in window.marks)) window.marks[name] = performance.now() - since;
  });
  window.begin = () => { window.marks = {}; since = 0; };
  for (const kind of ["input", "change"])
    document.addEventListener(kind, () => { if (!since) since = performance.now(); }, true);
  const watch = (id, name) => new MutationObserver(() => mark(name)).observe(
    document.getElementById(id), { childList: true, subtree: true, characterData: true });
  watch("cards", "numbers");
  watch("advice", "recommendation");
  for (const id of ["pareto"]) {
    const chart = document.querySelector(`#${id} .js-plotly-plot`);
    chart.on("plotly_afterplot", () => mark(id));
  }
}"""

CHOICES = ("block", "attention", "ratio", "patch", "expansion")


def moves(page: Any, count: int, task: str) -> list[tuple[str, dict[str, float]]]:
    """Move one control of a task after the other; for each, milliseconds by what was redrawn.

    "processor" is the processor time of the page's process.
    """
    found = []
    meter = page.context.new_cdp_session(page)
    meter.send("Performance.enable")

    def busy() -> float:
        metrics = meter.send("Performance.getMetrics")["metrics"]
        return 1e3 * next(m["value"] for m in metrics if m["name"] == "ProcessTime")

    for number in range(count):
        before = busy()
        name = _move(page, number, task)
        page.wait_for_function(
            "['numbers', 'recommendation', 'pareto'].every((name) => name in window.marks)",
            timeout=SETTLED,
        )
        marks = page.evaluate("window.marks")
        page.wait_for_timeout(50)
        found.append((name, {**marks, "processor": busy() - before}))
    return found


def _move(page: Any, number: int, task: str) -> str:
    """One change by the keyboard; returns the control's name."""
    preset = TASKS[task]
    sliders = ("depth", "width", "depth", "width", preset.sized_by)
    choices = (*(name for name in CHOICES if name not in preset.hidden), "precision")
    turn, lap = number % 10, number // 10
    page.evaluate("window.begin()")
    if turn < 5:
        name = sliders[turn]
        page.focus(f"#{name}")
        page.keyboard.press("ArrowLeft" if (lap + turn) % 2 else "ArrowRight")
    elif turn < 9:
        name = choices[(turn - 5) % len(choices)]
        chosen = page.locator(f"#{name} input:checked")
        last = page.locator(f"#{name} input").last.is_checked()
        chosen.focus()
        page.keyboard.press("ArrowLeft" if last else "ArrowRight")
    else:
        name = "batch"
        page.focus("#batch")
        page.keyboard.press("ArrowUp")
    return name


def summary(times: list[float]) -> dict[str, float]:
    """Median and worst, milliseconds."""
    return {"median_ms": round(statistics.median(times), 1), "worst_ms": round(max(times), 1)}


def server_part(count: int, task: str) -> dict[str, dict[str, float]]:
    """The views alone, in this process: designs that were seen before, and new ones."""
    from costmodel.workbench.answers import draw, recommend
    from costmodel.workbench.design import design_view
    from costmodel.workbench.state import default_state

    state, screen = default_state(task), {"mode": "light", "narrow": False}
    width = TASKS[task].controls["width"]
    assert isinstance(width, Steps)
    recommend(state.to_query(), screen)
    parts: dict[str, list[float]] = {"numbers": [], "charts": [], "recommendation": []}
    processor = {name: list[float]() for name in parts}
    for number in range(count):
        wide = width.default + width.step * (number % 3)
        changed = state.changed(depth=8 + number % 20, width=wide)
        query = changed.to_query()
        for name, work in (
            ("numbers", lambda s=changed: design_view(s).cards),
            ("charts", lambda q=query: draw(q, screen)),
            ("recommendation", lambda q=query: recommend(q, screen)),
        ):
            start, busy = time.perf_counter(), time.process_time()
            work()
            parts[name].append((time.perf_counter() - start) * 1e3)
            processor[name].append((time.process_time() - busy) * 1e3)
    return {
        name: {**summary(times), "processor_median_ms": summary(processor[name])["median_ms"]}
        for name, times in parts.items()
    }


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--changes", type=int, default=50)
    options.add_argument("--task", choices=TASKS, default=DEFAULT_TASK)
    count, task = vars(options.parse_args()).values()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("no Chromium: install it (apt-get install -y chromium)", file=sys.stderr)
        return 2
    from playwright.sync_api import sync_playwright

    from costmodel.workbench.server import Server

    server = Server()
    threading.Thread(target=server.run, daemon=True).start()
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=chromium,
            args=["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        # Waiting for a condition evaluates text, which the page itself forbids.
        page = browser.new_page(viewport={"width": 1440, "height": 900}, bypass_csp=True)
        width = TASKS[task].controls["width"]
        assert isinstance(width, Steps)
        middle = width.nearest((width.low + width.high) / 2)  # room for steps either way
        page.goto(f"{server.address}?task={task}&width={middle}")
        page.wait_for_selector("#advice .headline", timeout=120_000)
        page.wait_for_selector("#pareto .js-plotly-plot", timeout=SETTLED)
        page.wait_for_timeout(2000)
        page.locator("#pareto").scroll_into_view_if_needed()
        page.evaluate(WATCH)
        first = moves(page, count, task)
        browser.close()
    numbers = [marks["numbers"] for _, marks in first]

    def by_control(what: str) -> list[dict[str, Any]]:
        found: dict[str, list[float]] = {}
        for name, marks in first:
            found.setdefault(name, []).append(marks[what])
        return [{"control": name, **summary(times)} for name, times in found.items()]

    result = {
        "task": task,
        "changes": count,
        "load": [round(value, 1) for value in os.getloadavg()],
        "numbers": summary(numbers),
        "recommendation": summary([marks["recommendation"] for _, marks in first]),
        "chart_in_sight": summary([marks["pareto"] for _, marks in first]),
        "page_processor": summary([marks["processor"] for _, marks in first]),
        "numbers_by_control": by_control("numbers"),
        "recommendation_by_control": by_control("recommendation"),
        "server": server_part(count, task),
    }
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
