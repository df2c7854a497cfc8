"""Colours, marks and type of every figure and page: one place, light and dark.

Kinds of operators take the colours of Okabe and Ito (Color Universal Design, 2008), which people
with any form of colour blindness tell apart; a mark of its own for each kind says it once more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

Mode = Literal["light", "dark"]

BLUE, SKY, GREEN, YELLOW = "#0072B2", "#56B4E9", "#009E73", "#F0E442"
ORANGE, VERMILLION, PURPLE, GREY = "#E69F00", "#D55E00", "#CC79A7", "#8A929C"

SERIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, YELLOW, GREY)
"""Colours of series that have no meaning of their own, in the order they are dealt."""

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "hexagon", "x")

ROOF = "#7C8894"
"""Lines of the roofline: legible on either background."""

WARNING = VERMILLION


class Mark(NamedTuple):
    """How a kind of operator is drawn."""

    colour: str
    symbol: str


KINDS: dict[str, Mark] = {
    "convolution": Mark(BLUE, "circle"),
    "grouped convolution": Mark(BLUE, "square"),
    "depthwise convolution": Mark(VERMILLION, "diamond"),
    "matmul": Mark(GREEN, "circle"),
    "attention": Mark(PURPLE, "circle"),
    "recurrent": Mark(PURPLE, "square"),
    "normalization": Mark(ORANGE, "square"),
    "activation": Mark(SKY, "triangle-up"),
    "elementwise": Mark(SKY, "cross"),
    "softmax": Mark(ORANGE, "diamond"),
    "pooling": Mark(GREEN, "triangle-down"),
    "reduction": Mark(GREEN, "diamond"),
    "embedding": Mark(YELLOW, "square"),
    "movement": Mark(YELLOW, "hexagon"),
    "communication": Mark(YELLOW, "star"),
    "uncovered": Mark(GREY, "x"),
}

OTHER = Mark(GREY, "circle")

PATTERNS = {"circle": "", "square": "/", "diamond": "\\", "cross": "+", "hexagon": "x", "x": "."}
"""What stands for a mark in a bar, where kinds of one colour would look alike."""

BOUNDS = {"compute": BLUE, "memory": ORANGE, "launch": PURPLE, "lanes": GREEN}
"""Colours of what limits an operator."""

BOX = "#5E6975"
"""A box around others: legible on either background."""


def mark_of(kind: str) -> Mark:
    """Colour and symbol of a kind of operator."""
    return KINDS.get(kind, OTHER)


def bar_style(kind: str) -> dict[str, Any]:
    """Colour and pattern of a kind of operator where it has an area rather than a mark."""
    mark = mark_of(kind)
    shape = PATTERNS.get(mark.symbol, "|")
    pattern = {"shape": shape, "size": 7, "solidity": 0.12, "fillmode": "overlay"}
    return {"color": mark.colour, "pattern": pattern}


def with_narrow(
    layout: dict[str, Any],
    entries: int,
    *,
    kept: Callable[[dict[str, Any]], bool] | None = None,
) -> dict[str, Any]:
    """A figure's layout with what a page changes in it on a narrow screen, as `layout.meta`.

    Args:
        layout: of the figure, as plain data with its height and margin.
        entries: of the legend, which goes below the figure there.
        kept: which annotations are kept there, by default all.
    """
    margin, lines = layout["margin"], (entries + 1) // 2 + 1 if entries else 0
    room = 75 + 21 * lines
    legend = {
        **layout.get("legend", {}), "orientation": "h", "x": 0, "xref": "container",
        "xanchor": "left", "yref": "container", "y": 0, "yanchor": "bottom", "font": {"size": 11},
        "title": {"text": ""},
    }  # fmt: skip
    on_top = layout.get("legend", {}).get("y") == 1
    top = max(margin["t"] - (40 if on_top else 0), 10)
    sides = {"l": min(margin["l"], 20), "r": min(margin["r"], 8)}
    changes = {
        "font": {"size": 11},
        "height": layout["height"] + room - margin["b"] + top - margin["t"],
        "margin": {**sides, "t": top, "b": room},
        "legend": legend,
    }
    if kept is not None:
        texts = [text for text in layout.get("annotations", ()) if kept(text)]
        changes["annotations"] = texts
    return {**layout, "meta": {"narrow": changes}}


def fit_narrow(figure: Any, entries: int) -> Any:
    """A plotly figure with `with_narrow` in its layout; the same object comes back."""
    layout = figure.layout.to_plotly_json()
    layout.pop("template", None)
    figure.layout.meta = with_narrow(layout, entries)["meta"]
    return figure


FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"

PALETTE: dict[Mode, dict[str, str]] = {
    "light": {
        "page": "#ffffff",
        "panel": "#f6f7f9",
        "text": "#1b1f24",
        "muted": "#57606a",
        "line": "#d8dee4",
        "link": "#0b5cad",
        "bad": "#b04400",
    },
    "dark": {
        "page": "#12151a",
        "panel": "#1b2027",
        "text": "#e8eaed",
        "muted": "#a3adb8",
        "line": "#343c46",
        "link": "#7cc0f5",
        "bad": "#ff9a5c",
    },
}


def template(mode: Mode) -> dict[str, Any]:
    """The plotly template of a mode."""
    colours = PALETTE[mode]
    axis = {
        "gridcolor": colours["line"],
        "linecolor": colours["muted"],
        "tickcolor": colours["muted"],
        "zeroline": False,
        "ticks": "outside",
        "showline": True,
        "exponentformat": "SI",
        "title": {"font": {"size": 14}},
        "automargin": True,
    }
    return {
        "layout": {
            "font": {"family": FONT, "size": 13, "color": colours["text"]},
            "paper_bgcolor": colours["page"],
            "plot_bgcolor": colours["page"],
            "colorway": list(SERIES),
            "hoverlabel": {
                "bgcolor": colours["panel"],
                "bordercolor": colours["muted"],
                "font": {"family": FONT, "size": 13, "color": colours["text"]},
                "align": "left",
            },
            "xaxis": axis,
            "yaxis": axis,
            "legend": {"bgcolor": "rgba(0,0,0,0)"},
            "annotationdefaults": {"font": {"color": colours["text"]}},
            "title": {"x": 0, "xanchor": "left"},
        }
    }


def colour_variables() -> str:
    """CSS that names the colours of both modes: light unless the page says dark; print is light."""
    modes = {
        mode: "; ".join(f"--{name}: {colour}" for name, colour in colours.items())
        for mode, colours in PALETTE.items()
    }
    return (
        f":root {{ {modes['light']}; --bar: {BLUE}; color-scheme: light }}\n"
        f"@media screen {{ :root[data-mode=dark] {{ {modes['dark']}; --bar: {SKY}; "
        "color-scheme: dark } }\n"
        f"body {{ font-family: {FONT} }}\n"
    )
