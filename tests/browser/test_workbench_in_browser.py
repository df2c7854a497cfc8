"""The workbench as a person meets it: real controls, the keyboard, two users, a narrow screen."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("dash", reason="the workbench needs the extra app")
pytest.importorskip("waitress", reason="the workbench needs the extra app")
pytest.importorskip("moocore", reason="the workbench needs the extra app")

import torch

import costmodel as cm
from costmodel.reports.text import show_bytes, show_macs, show_params, show_rate, show_time
from costmodel.workbench.advice import advise
from costmodel.workbench.server import Server
from costmodel.workbench.state import TABS, State, read_query
from costmodel.workbench.tasks import TASKS
from costmodel.zoo.families import family
from tests.browser.conftest import SCREENSHOTS

PATIENCE = 30_000
"""Milliseconds; machines that run tests are busy."""

Visit = Callable[..., Any]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The workbench, served on this machine."""
    server = Server(max_upload=2**20)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield server.address
    server.close()


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Visit]:
    """Open the page of a query as a user of one's own.

    Afterwards the console must be empty, and nothing may have been asked of any other host.
    """
    said: list[str] = []
    asked: list[str] = []
    contexts: list[Any] = []

    def watch(route: Any) -> None:
        url = route.request.url
        if url.startswith((address, "data:", "blob:")):
            route.continue_()
        else:
            asked.append(url)
            route.abort()

    def open_page(query: str = "", width: int = 1440, mode: str = "light") -> Any:
        context = browser.new_context(color_scheme=mode, viewport={"width": width, "height": 900})
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        context.route("**/*", watch)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{address}?{query}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert asked == []
    assert said == []


def until(page: Any, what: Callable[[], Any]) -> Any:
    """Wait for something to become true; the page forbids to evaluate text, so it is polled."""
    for _ in range(PATIENCE // 50):
        found = what()
        if found:
            return found
        page.wait_for_timeout(50)
    raise AssertionError("it did not become true")


def card(page: Any, key: str) -> str:
    """The value that a card shows."""
    return str(page.locator(f"#card-{key}").inner_text())


def predicted(state: State) -> cm.Estimate:
    """What the Python API says of the network of a state."""
    found = family(TASKS[state.task].family().name)
    parameters = TASKS[state.task].parameters(state.values())
    with torch.device("meta"):
        model = found.build(**parameters)
    graph = cm.trace(model, *found.inputs(min(state.batch, 2), **parameters))
    return cm.estimate(graph, state.device, state.batch, state.precision)


def shows(page: Any, expected: cm.Estimate) -> None:
    """The cards come to show an estimate."""
    until(page, lambda: page.locator("#card-latency").count())
    until(page, lambda: card(page, "latency") == show_time(expected.latency))
    assert card(page, "bound") == expected.bound
    assert card(page, "throughput") == show_rate(expected.throughput)
    assert card(page, "memory") == show_bytes(expected.peak_memory)
    assert card(page, "parameters") == show_params(float(expected.total.parameters))
    macs = float(expected.total.macs) / expected.batch
    assert card(page, "macs") == show_macs(macs)


def state_of(page: Any) -> State:
    """The state in the page's address."""
    return read_query(urlsplit(page.url).query).state


def keep(page: Any, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"workbench-{name}.png", full_page=True)


def drawn(page: Any, *charts: str) -> None:
    """Scroll to charts until they are drawn, something in them."""
    for chart in charts:
        page.locator(f"#{chart}").scroll_into_view_if_needed()
        page.locator(f"#{chart} .trace").first.wait_for(state="attached")


def test_numbers_are_the_apis_and_follow_the_controls(visit: Visit) -> None:
    page = visit("latency=6")
    shows(page, predicted(read_query("").state))
    page.locator("#depth").fill("20")
    shows(page, predicted(read_query("depth=20").state))
    page.locator("#block label", has_text="Inverted residual").click()
    state = read_query("depth=20&block=inverted&latency=6").state
    shows(page, predicted(state))
    until(page, lambda: state_of(page) == state)
    drawn(page, "roofline", "blocks", "pareto")
    keep(page, "design-1440")
    with page.expect_download() as waiting:
        page.locator("#export-yaml").click()
    text = waiting.value.path().read_text()
    assert "kind: design" in text
    assert "kind1: inverted" in text


def test_apply_sets_the_controls(visit: Visit) -> None:
    query = "latency=6"
    page = visit(query)
    best = advise(read_query(query).state).recommended
    assert best is not None
    page.locator("#apply-best").click()
    state = read_query(query).state.changed(**best.changes)
    until(page, lambda: state_of(page) == state)
    assert page.locator("#depth").input_value() == str(state.depth)
    assert page.locator("#width").input_value() == str(state.width)
    assert page.locator("#block input:checked").get_attribute("value") == state.block
    expected = predicted(state)
    shows(page, expected)
    assert expected.latency <= 6e-3
    page.locator("#advice", has_text="keep the present design").wait_for()


def test_an_infeasible_budget_says_why_and_what_is_nearest(visit: Visit) -> None:
    query = "latency=0.05"
    page = visit(query)
    page.locator("#advice", has_text="None of 720 designs fits the budget").wait_for()
    found = advise(read_query(query).state)
    told = page.locator("#recommendation").inner_text()
    for reason in found.reasons:
        assert reason in told
    assert found.nearest_text in told
    assert not page.locator("#apply-best").is_visible()
    page.locator("#apply-nearest").click()
    assert found.nearest is not None
    shows(page, predicted(read_query(query).state.changed(**found.nearest.changes)))


def test_an_address_restores_the_page(visit: Visit) -> None:
    query = (
        "device=t4&others=a10&task=segmentation&precision=fp16&batch=4&latency=30&memory=900"
        "&block=patconv&depth=9&width=48&resolution=384&ratio=1/2&expansion=3"
    )
    state = read_query(query).state
    page = visit(query)
    shows(page, predicted(state))
    assert parse_qs(urlsplit(page.url).query) == parse_qs(query)
    assert page.locator("#resolution").get_attribute("max") == "1024"
    assert page.locator("#resolution").input_value() == "384"
    assert page.locator("#task input:checked").get_attribute("value") == "segmentation"
    assert page.locator("#memory").input_value() == "900"
    assert "NVIDIA T4" in page.locator("#device").inner_text()
    page.locator("#width").fill("64")
    until(page, lambda: state_of(page) == state.changed(width=64))
    page.goto(f"{page.url}&depth=99&device=/etc/passwd")
    page.locator("#problems", has_text="no device '/etc/passwd' in the catalogue").wait_for()
    assert "depth '99': expected a whole number" in page.locator("#problems").inner_text()
    assert state_of(page).width == 64


def test_the_keyboard_is_enough(visit: Visit) -> None:
    page = visit("")
    shows(page, predicted(read_query("").state))
    reached: list[str] = []
    for _ in range(24):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("() => document.activeElement.id"))
        name = page.evaluate("() => document.activeElement.name || ''")
        reached.append(name)
    for control in ("mode", "tab", "precision", "batch", "latency", "task", "block", "depth"):
        assert control in reached
    page.locator("#depth").focus()
    page.keyboard.press("ArrowRight")
    until(page, lambda: state_of(page).depth == 14)
    page.locator("#block input:checked").focus()
    page.keyboard.press("ArrowLeft")
    until(page, lambda: state_of(page).block == "inverted")
    page.locator("#device").focus()
    page.keyboard.press("j")
    until(page, lambda: "search" in page.evaluate("() => document.activeElement.className"))
    page.keyboard.type("etson agx orin")
    page.locator(".dash-dropdown-option").nth(1).wait_for(state="hidden")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    until(page, lambda: state_of(page).device == "jetson-agx-orin")
    shows(page, predicted(read_query("depth=14&block=inverted&device=jetson-agx-orin").state))
    page.locator("#apply-best").focus()
    page.keyboard.press("Enter")
    until(page, lambda: state_of(page).depth != 14 or state_of(page).block != "inverted")


def test_every_tab_in_light_and_dark(visit: Visit) -> None:
    page = visit("", mode="dark")
    until(page, lambda: page.locator("html").get_attribute("data-mode") == "dark")
    for label, place, charts in (
        ("FLOP calculator", "#calculator table", ["calculator-figure"]),
        ("Compound scaling", "#scaling table", ["scaling-figure"]),
        ("Compare devices", "#devices table", ["devices-figure"]),
        ("ONNX file", "#onnx p", []),
        ("Design", "#advice .headline", ["roofline", "blocks", "pareto"]),
    ):
        page.locator("#tab label", has_text=label).click()
        page.locator(place).first.wait_for()
        drawn(page, *charts)
    keep(page, "design-dark-1440")
    page.locator("#mode").click()
    until(page, lambda: page.locator("html").get_attribute("data-mode") == "light")
    page.reload()
    until(page, lambda: page.locator("html").get_attribute("data-mode") == "light")


def test_a_language_model_has_controls_and_words_of_its_own(visit: Visit) -> None:
    page = visit("precision=fp16")
    shows(page, predicted(read_query("precision=fp16").state))
    assert not page.locator("#row-context").is_visible()
    page.locator("#task label", has_text="LLM decode").click()
    state = read_query("task=llm&precision=fp16").state
    shows(page, predicted(state))
    for name in ("resolution", "block", "ratio", "patch"):
        assert not page.locator(f"#row-{name}").is_visible()
    assert "Tokens per second" in page.locator("#cards").inner_text()
    assert "mage" not in page.locator("#cards").inner_text()
    page.locator("#attention label", has_text="Multi-query").click()
    page.locator("#context").fill("32768")
    state = state.changed(attention="mqa", context=32768)
    shows(page, predicted(state))
    until(page, lambda: state_of(page) == state)
    found = advise(state)
    assert found.recommended is not None
    page.locator("#advice .headline", has_text=found.headline).wait_for()
    drawn(page, "roofline", "blocks", "pareto")
    keep(page, "llm-1440")
    page.locator("#apply-best").click()
    shows(page, predicted(state.changed(**found.recommended.changes)))
    page.locator("#tab label", has_text="Compare devices").click()
    page.locator("#devices th", has_text="tokens/s").wait_for()
    narrow = visit(state.to_query(), width=390)
    shows(narrow, predicted(state))
    narrow.locator("#advice .headline").wait_for()
    assert narrow.evaluate("() => document.documentElement.scrollWidth") <= 390
    drawn(narrow, "roofline", "blocks", "pareto")
    keep(narrow, "llm-390")


def test_the_calculator_and_a_scale_that_is_applied(visit: Visit) -> None:
    page = visit("tab=calculator&depth=8&width=32&phi=2")
    page.locator("#calculator td", has_text=f"{16 * 1_849_688_064:,}").wait_for()
    page.locator("#channels").fill("128")
    page.locator("#calculator td", has_text=f"{16 * 9 * 128 * 128 * 56 * 56:,}").first.wait_for()
    page.locator("#tab label", has_text="Compound scaling").click()
    page.locator("#scaling table").wait_for()
    page.locator("#apply-scaled").click()
    # 8 · 1.2², 32 · 1.1² and 224 · 1.15² are 11.5, 38.7 and 296.2.
    until(page, lambda: (state_of(page).depth, state_of(page).width) == (12, 40))
    assert state_of(page).resolution == 288
    assert state_of(page).tab == "design"


def test_an_onnx_file_is_predicted(visit: Visit) -> None:
    onnx = pytest.importorskip("onnx", reason="reading ONNX needs the extra onnx")
    kind = onnx.TensorProto.FLOAT
    weight = onnx.helper.make_tensor("w", kind, (64, 3, 3, 3), b"\0" * (64 * 108), raw=True)
    node = onnx.helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    x = onnx.helper.make_tensor_value_info("x", kind, ("n", 3, 224, 224))
    y = onnx.helper.make_tensor_value_info("y", kind, None)
    graph = onnx.helper.make_graph([node], "one", [x], [y], [weight])
    opset = onnx.helper.make_opsetid("", 17)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9)
    page = visit("tab=onnx")

    def send(name: str, data: bytes) -> None:
        file = {"name": name, "mimeType": "application/octet-stream", "buffer": data}
        page.locator("#file input[type=file]").set_input_files(file)

    send("bad.onnx", b"nothing of the kind")
    page.locator("#onnx-problem", has_text="bad.onnx").wait_for()
    send("mine.onnx", model.SerializeToString())
    page.locator("#onnx .headline", has_text="mine: 1.73 k parameters").wait_for()
    builder_macs = 64 * 27 * 224 * 224
    assert show_macs(builder_macs) in page.locator("#onnx .headline").inner_text()
    assert len(state_of(page).upload) == 64


def test_two_users_do_not_share_state(visit: Visit) -> None:
    first, second = visit(""), visit("")
    shows(first, predicted(read_query("").state))
    first.locator("#depth").fill("20")
    shows(first, predicted(read_query("depth=20").state))
    shows(second, predicted(read_query("").state))
    second.locator("#width").fill("64")
    shows(second, predicted(read_query("width=64").state))
    shows(first, predicted(read_query("depth=20").state))


def test_a_narrow_screen_has_room_for_all(visit: Visit) -> None:
    page = visit(width=390)
    for tab, label in TABS.items():
        page.locator("#tab label", has_text=label).click()
        place = {"design": "#advice .headline", "onnx": "#onnx p"}.get(tab, f"#{tab} table")
        page.locator(place).first.wait_for()
        page.wait_for_timeout(200)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
        if tab == "design":
            keep(page, "design-390")
