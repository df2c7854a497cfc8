"""Colours, marks and type of every figure and page: one place, light and dark.

Kinds of operators take the colours of Okabe and Ito (Color Universal Design, 2008), which people
with any form of colour blindness tell apart; a mark of its own for each kind says it once more.
"""

from __future__ import annotations

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


def mark_of(kind: str) -> Mark:
    """Colour and symbol of a kind of operator."""
    return KINDS.get(kind, OTHER)


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


def style_sheet() -> str:
    """CSS of a page: the colours of both modes as variables, then the layout."""
    modes = {
        mode: "; ".join(f"--{name}: {colour}" for name, colour in colours.items())
        for mode, colours in PALETTE.items()
    }
    return (
        f":root {{ {modes['light']}; color-scheme: light }}\n"
        f":root[data-mode=dark] {{ {modes['dark']}; color-scheme: dark }}\n"
        f"body {{ font-family: {FONT} }}\n{_LAYOUT}"
    )


_LAYOUT = """\
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.5rem clamp(1rem, 3vw, 3rem) 4rem; max-width: 110rem;
  background: var(--page); color: var(--text); line-height: 1.5 }
header { display: flex; gap: 1rem; align-items: start; justify-content: space-between }
h1 { font-size: 1.6rem; margin: 0 }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .4rem }
p { margin: .3rem 0 .8rem; max-width: 80ch }
.lead, caption, footer { color: var(--muted) }
button { font: inherit; color: inherit; background: var(--panel); border: 1px solid var(--line);
  border-radius: .4rem; padding: .3rem .8rem; cursor: pointer; white-space: nowrap }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(24rem, 1fr)); gap: .8rem;
  margin: 1.2rem 0 }
.card { background: var(--panel); border: 1px solid var(--line); border-radius: .6rem;
  padding: .7rem 1rem }
.card b { display: block; font-size: 1.5rem; line-height: 1.3 }
.figure { width: 100% }
.scroll { overflow-x: auto }
table { border-collapse: collapse; margin: .5rem 0 1rem; font-size: .92rem }
caption { text-align: left; padding: .2rem 0 .4rem }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line); text-align: left;
  white-space: nowrap }
th { color: var(--muted); font-weight: 600 }
.number { text-align: right; font-variant-numeric: tabular-nums }
.bad { color: var(--bad) }
code { font-size: .95em }
ul { padding-left: 1.2rem }
@media print { button { display: none } body { max-width: none; padding: 0 } }
"""
