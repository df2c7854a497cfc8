"""The workbench: an interactive page on which a network is designed for a device and a budget.

`create_app()` builds it, `costmodel serve` runs it. Everything the page shows is a function of its
state, and the state is the query of its URL:

state        what the controls say, read from a URL or from the controls, checked alike
views        plain functions from a state to a view model; they know nothing of the browser
figures      view models as plotly figures
app          a thin Dash layer: controls in, view models out

Nothing is kept for a user on the server: only caches, keyed by content, that hold the same for all.
"""

from __future__ import annotations

from typing import Any


def create_app(**options: Any) -> Any:
    """The page as a Dash application; see `costmodel.workbench.app.create_app`."""
    from costmodel.workbench.app import create_app

    return create_app(**options)


__all__ = ["create_app"]
