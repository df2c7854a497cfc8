"""Pages in Debian's Chromium, driven by playwright.

Skipped, with the reason, where either is missing. Playwright's own browsers are not needed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SCREENSHOTS = Path(__file__).parents[2] / "out" / "screenshots"
"""To look at; git ignores the folder."""

Open = Callable[..., Any]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    reason = "playwright is missing: pip install playwright"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield opened
        opened.close()


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Open the text of a page; afterwards nothing may have gone wrong in it.

    No request may leave for a host, and the console must be empty.
    """
    asked: list[str] = []
    said: list[str] = []
    contexts: list[Any] = []

    def watch(route: Any) -> None:
        url = route.request.url
        if url.startswith(("file:", "data:", "blob:")):
            route.continue_()
        else:
            asked.append(url)
            route.abort()

    def open_page(text: str, mode: str = "light", width: int = 1440) -> Any:
        path = tmp_path / "page.html"
        path.write_text(text, encoding="utf-8")
        context = browser.new_context(color_scheme=mode, viewport={"width": width, "height": 900})
        contexts.append(context)
        context.route("**/*", watch)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert asked == []
    assert said == []


def draw_all(page: Any) -> None:
    """Scroll to every figure that can be seen, until it is drawn."""
    for number in range(page.locator(".figure").count()):
        place = page.locator(f"#figure-{number}")
        if place.is_visible():
            place.scroll_into_view_if_needed()
            place.locator(".main-svg").first.wait_for(state="attached")


def keep(page: Any, name: str) -> None:
    """A screenshot of the whole page, for people to look at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    draw_all(page)
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
