"""What is known of the reader's screen: it changes how figures look, never a number."""

from __future__ import annotations

from typing import Any, NamedTuple

from costmodel.reports.theme import Mode


class Screen(NamedTuple):
    """Light or dark, and whether it is as narrow as a telephone's."""

    mode: Mode = "light"
    narrow: bool = False


def screen_of(value: Any) -> Screen:
    """What the browser says of itself; a wide light screen if that makes no sense."""
    if not isinstance(value, dict):
        return Screen()
    return Screen("dark" if value.get("mode") == "dark" else "light", bool(value.get("narrow")))
