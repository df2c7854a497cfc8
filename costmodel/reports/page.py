"""One self-contained HTML page: figures, tables and text, readable without a network.

Everything is inlined, plotly.js included, and the page's own policy forbids the browser to ask
any host for anything. Pages are jinja templates with everything escaped; what a figure shows is
escaped by `plain`. The templates, the style and the scripts are files of `templates/`.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from costmodel.reports import theme
from costmodel.reports.table import Table

if TYPE_CHECKING:
    from jinja2 import Environment

CDN = "https://cdn.plot.ly"


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
    alt: str = ""
    """What the figure shows, for those who cannot see it; by default heading and text."""
    figures: tuple[tuple[Any, str], ...] = ()
    """Several figures, each with such a description; side by side where there is room."""


class Picture(NamedTuple):
    """A figure with its place on the page."""

    number: int
    alt: str
    height: int
    """Pixels kept free for it until it is drawn."""


@dataclass
class Pictures:
    """The figures of a page, numbered in the order they are added."""

    figures: list[dict[str, Any]] = field(default_factory=list)
    """Data and layout of each, without the template, which the page has in both modes."""

    def add(self, figure: Any, alt: str) -> Picture:
        """Put a figure on the page: plotly's, or its data and layout as plain data."""
        document = figure if isinstance(figure, dict) else json.loads(figure.to_json())
        layout = {name: v for name, v in document["layout"].items() if name != "template"}
        self.figures.append({"data": document["data"], "layout": layout})
        return Picture(len(self.figures) - 1, alt, int(layout.get("height", 450)))

    def data(self) -> dict[str, Any]:
        """What the page's script draws."""
        return {
            "figures": self.figures,
            "templates": {mode: theme.template(mode) for mode in theme.PALETTE},
        }


def plain(text: str) -> str:
    """Text from a model made safe for plotly, which reads a few HTML tags and entities."""
    return escape(text, quote=False)


def html_page(
    title: str,
    lead: str,
    sections: Sequence[Section],
    cards: Sequence[Card] = (),
    *,
    cdn: bool = False,
) -> str:
    """The page as text; light or dark as the reader's system is, with a button to change it.

    Args:
        title: of the page.
        lead: a sentence under it.
        sections: its parts.
        cards: numbers above them.
        cdn: whether plotly.js comes from its makers' host rather than in the page.
    """
    pictures = Pictures()
    parts = []
    for section in sections:
        described = [(section.figure, section.alt or f"{section.heading}. {section.text}")]
        shown = [] if section.figure is None else described
        added = [pictures.add(figure, alt) for figure, alt in (*shown, *section.figures)]
        parts.append((section, added))
    return render(
        "page.html", pictures, title=title, lead=lead, sections=parts, cards=cards, cdn=cdn
    )


def render(
    template: str,
    pictures: Pictures,
    scripts: Sequence[str] = (),
    *,
    cdn: bool = False,
    **context: Any,
) -> str:
    """A page from one of the templates that extend `page.html`.

    Args:
        template: file name.
        pictures: all figures that the template places.
        scripts: file names of scripts the page needs beside its own.
        cdn: whether plotly.js comes from its makers' host rather than in the page.
        context: whatever else the template asks for; escaped there.
    """
    from markupsafe import Markup

    from costmodel import __version__

    text: str = (
        environment()
        .get_template(template)
        .render(
            version=__version__,
            style=Markup(style_sheet()),
            data=Markup(json_for_script(pictures.data())),
            plotly=_plotly(cdn) if pictures.figures else _Plotly(),
            script=Markup("".join(map(file_text, ("page.js", *scripts)))),
            **context,
        )
    )
    return text


def json_for_script(data: Any) -> str:
    """JSON that cannot end the script element it stands in, whatever the strings hold."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def style_sheet() -> str:
    """CSS of a page: the colours of both modes as variables, then the layout."""
    return theme.colour_variables() + file_text("page.css")


class _Plotly(NamedTuple):
    """plotly.js itself, or where it is and the digest that a browser checks it by."""

    packed: str = ""
    """gzip in base64: a third of the size, and nothing for the browser to parse on opening."""
    url: str = ""
    integrity: str = ""
    host: str = ""


@cache
def _plotly(cdn: bool) -> _Plotly:
    from plotly.offline import get_plotlyjs, get_plotlyjs_version

    source: bytes = get_plotlyjs().encode()
    if not cdn:
        return _Plotly(packed=base64.b64encode(gzip.compress(source, mtime=0)).decode())
    digest = base64.b64encode(hashlib.sha256(source).digest()).decode()
    url = f"{CDN}/plotly-{get_plotlyjs_version()}.min.js"
    return _Plotly(url=url, integrity=f"sha256-{digest}", host=CDN)


@cache
def environment() -> Environment:
    """The templates, with everything put into them escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("costmodel.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def file_text(name: str) -> str:
    """One of the template files as it is."""
    from importlib.resources import files

    return (files("costmodel.reports") / "templates" / name).read_text(encoding="utf-8")
