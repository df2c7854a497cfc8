"""One self-contained HTML page: figures, tables and text, readable without a network.

Everything is inlined, plotly.js included, and the page's own policy forbids the browser to ask
any host for anything. Whatever comes from a model (names of modules, classes, operators) is
escaped here or in `plain`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from costmodel.reports import theme
from costmodel.reports.table import Table


@dataclass(frozen=True)
class Card:
    """A number in a box: what it is, its value, and what to know about it."""

    label: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a page under a heading; all text is plain and gets escaped."""

    heading: str
    text: str = ""
    figure: Any = None
    """A plotly figure."""
    tables: tuple[Table, ...] = ()
    items: tuple[str, ...] = ()


def plain(text: str) -> str:
    """Text from a model made safe for plotly, which reads a few HTML tags and entities."""
    return escape(text, quote=False)


def html_page(
    title: str, lead: str, sections: Sequence[Section], cards: Sequence[Card] = ()
) -> str:
    """The page as text; light or dark as the reader's system is, with a button to change it."""
    from plotly.offline import get_plotlyjs

    figures = [section.figure for section in sections if section.figure is not None]
    body = "".join(map(_section, sections))
    data = {
        "figures": [json.loads(figure.to_json()) for figure in figures],
        "templates": {mode: theme.template(mode) for mode in theme.PALETTE},
    }
    return _PAGE.format(
        title=escape(title),
        lead=escape(lead),
        style=theme.style_sheet(),
        cards=_cards(cards),
        body=_numbered(body),
        data=_json_for_script(data),
        plotly=get_plotlyjs() if figures else "",
        script=_SCRIPT,
    )


def _json_for_script(data: Any) -> str:
    """JSON that cannot end the script element it stands in, whatever the strings hold."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _numbered(body: str) -> str:
    pieces = body.split(_FIGURE)
    return "".join(
        piece + (f'<div class="figure" id="figure-{i}"></div>' if i < len(pieces) - 1 else "")
        for i, piece in enumerate(pieces)
    )


_FIGURE = "\0figure\0"


def _section(section: Section) -> str:
    heading = f"<h2>{escape(section.heading)}</h2>" if section.heading else ""
    text = f"<p>{escape(section.text)}</p>" if section.text else ""
    figure = _FIGURE if section.figure is not None else ""
    tables = "".join(f'<div class="scroll">{_table(table)}</div>' for table in section.tables)
    items = "".join(f"<li>{escape(item)}</li>" for item in section.items)
    return (
        f"<section>{heading}{text}{figure}{tables}{f'<ul>{items}</ul>' if items else ''}</section>"
    )


def _table(table: Table) -> str:
    kinds = [' class="number"' if column.right else "" for column in table.shown]
    head = "".join(
        f'<th scope="col"{kind}>{escape(column.title)}</th>'
        for column, kind in zip(table.shown, kinds, strict=True)
    )
    rows = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{escape(text)}</td>" for text, kind in zip(cells, kinds, strict=True))
        + "</tr>"
        for cells in table.texts()
    )
    caption = f"<caption>{escape(table.title)}</caption>" if table.title else ""
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _cards(cards: Sequence[Card]) -> str:
    if not cards:
        return ""
    boxes = "".join(
        f'<div class="card">{escape(card.label)}<b>{escape(card.value)}</b>'
        f'<span class="lead">{escape(card.detail)}</span></div>'
        for card in cards
    )
    return f'<div class="cards">{boxes}</div>'


_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<header>
<div><h1>{title}</h1><p class="lead">{lead}</p></div>
<button type="button" id="mode">Dark</button>
</header>
<main>
{cards}
{body}
</main>
<script type="application/json" id="data">{data}</script>
<script>{plotly}</script>
<script>{script}</script>
</body>
</html>
"""

_SCRIPT = """\
(() => {
  const { figures, templates } = JSON.parse(document.getElementById("data").textContent);
  const button = document.getElementById("mode");
  const draw = (mode) => {
    document.documentElement.dataset.mode = mode;
    button.textContent = mode === "dark" ? "Light" : "Dark";
    figures.forEach((figure, i) => Plotly.react(
      `figure-${i}`, figure.data, { ...figure.layout, template: templates[mode] },
      { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d"] }));
  };
  const wanted = matchMedia("(prefers-color-scheme: dark)");
  draw(wanted.matches ? "dark" : "light");
  wanted.addEventListener("change", (event) => draw(event.matches ? "dark" : "light"));
  button.addEventListener("click", () =>
    draw(document.documentElement.dataset.mode === "dark" ? "light" : "dark"));
})();
"""
