"""View models as Dash components: cards, tables, lists. Text is text; nothing is read as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dash import dcc, html

from costmodel.reports.table import Table
from costmodel.workbench.cards import Card

GRAPH_CONFIG = {
    "displaylogo": False,
    "responsive": True,
    "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"],
    "plotlyServerURL": "",
}

EMPTY: dict[str, Any] = {
    "data": [],
    "layout": {
        "xaxis": {"visible": False},
        "yaxis": {"visible": False},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "height": 200,
    },
}
"""A chart with nothing in it."""


def cards_of(cards: Iterable[Card]) -> list[Any]:
    """Each number in a box of its own."""
    return [
        html.Div(
            [
                html.Span(card.label, className="label"),
                html.Strong(card.value, id=f"card-{card.key}"),
                html.Span(card.detail, className="detail"),
                *_meter(card),
            ],
            className=f"card {card.tone}",
            **{"data-key": card.key},
        )
        for card in cards
    ]


def _meter(card: Card) -> list[Any]:
    if card.share is None:
        return []
    width = f"{min(card.share, 1) * 100:.1f}%"
    return [
        html.Span(html.Span(style={"width": width}), className="meter", **{"aria-hidden": "true"})
    ]


def table_of(table: Table, chosen: int | None = None) -> Any:
    """A table with the cells a person reads; row `chosen` stands out."""
    kinds = ["number" if column.right else "" for column in table.shown]
    head = [
        html.Th(column.title, className=kind, scope="col")
        for column, kind in zip(table.shown, kinds, strict=True)
    ]
    rows = [
        html.Tr(
            [html.Td(text, className=kind) for text, kind in zip(cells, kinds, strict=True)],
            className="chosen" if index == chosen else "",
        )
        for index, cells in enumerate(table.texts())
    ]
    caption = [html.Caption(table.title)] if table.title else []
    return html.Div(
        html.Table([*caption, html.Thead(html.Tr(head)), html.Tbody(rows)]), className="scroll",
        tabIndex="0", role="region", **{"aria-label": table.title or "table"},
    )  # fmt: skip


def notes_of(notes: Sequence[str]) -> list[Any]:
    """Assumptions, folded away."""
    if not notes:
        return []
    return [
        html.Details(
            [
                html.Summary("What this assumes"),
                html.Ul([html.Li(note) for note in notes]),
            ],
            className="notes",
        )
    ]


def chart(name: str, text: str) -> Any:
    """An empty chart, with what it shows for those who cannot see it."""
    return html.Div(
        dcc.Graph(id=name, figure=EMPTY, config=GRAPH_CONFIG, className="chart"),
        role="img",
        **{"aria-label": text},
    )


def panel(title: str, *children: Any, lead: str = "", name: str = "") -> Any:
    """A part of the page under a heading."""
    lead_text = [html.P(lead, className="lead")] if lead else []
    return html.Section(
        [html.H2(title), *lead_text, *children], className="panel", **({"id": name} if name else {})
    )
