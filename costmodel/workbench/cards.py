"""`Card`: one number of a view model, as it is shown."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Card(NamedTuple):
    """A number in a box: what it is, its value with unit, and what to know about it."""

    key: str
    label: str
    value: str
    detail: str = ""
    tone: Literal["", "good", "bad"] = ""
    """Whether it meets its budget."""
    share: float | None = None
    """Of the budget that it takes; None without one."""
