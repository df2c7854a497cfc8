"""The book of formulas in the documentation: each operator's cost, worked through with numbers.

python -m costmodel.reports.formula_book    prints it as Markdown
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from costmodel.formulas import Formula, formula_names, get_formula
from costmodel.formulas.explain import explain_formula
from costmodel.formulas.explanation import Explanation
from costmodel.formulas.notation import number, text, tidy
from costmodel.formulas.symbols import MEANING, symbol

VALUES = {
    "n": 1, "b": 4, "m": 196, "l": 196, "s": 196, "heads": 4, "heads_kv": 2, "d": 32, "d_v": 32,
    "causal": 0, "e_mask": 0, "window": 49, "buckets": 49, "states": 16, "points": 4096,
    "c": 64, "c_in": 64, "c_out": 128, "c_p": 16, "c_mid": 128, "g": 1, "t": 6, "gates": 4,
    "layers": 1, "directions": 1, "h": 56, "w": 56, "h_in": 56, "w_in": 56, "d_in": 8,
    "h_out": 56, "w_out": 56, "d_out": 8, "k": 3, "k_h": 3, "k_w": 3, "k_d": 3, "p": 3136,
    "p_in": 3136, "p_out": 3136, "v": 27556, "bias": 1, "affine": 1, "shortcut": 1, "real": 1,
    "grad_x": 1, "grad_w": 1, "grad_b": 1, "e_x": 200704, "e_w": 64, "e_y": 200704, "e_i": 196,
    "f": 1, "devices": 8, "on_chip": 98304, "b_x": 4, "b_w": 4, "b_y": 4, "b_i": 8,
}  # fmt: skip
"""Sizes that the examples are worked with, by symbol: a 56 x 56 map of 64 channels in float32."""

KINDS = {
    "convolution": "Convolution",
    "depthwise convolution": "Depthwise convolution",
    "matmul": "Matrix products",
    "attention": "Attention",
    "recurrent": "Recurrent layers and scans",
    "normalization": "Normalisation",
    "softmax": "Softmax",
    "elementwise": "Elementwise work and activations",
    "pooling": "Pooling",
    "reduction": "Reductions",
    "embedding": "Embedding",
    "movement": "Movement of data",
    "communication": "Communication between devices",
    "composition": "Blocks made of several operators",
}
"""Chapters, in order, by kind of operator; what is of none of these comes last."""

THIN_SPACE = r" \, "

LEAD = """\
Every operator has one formula for its exact cost. It is written once, in the symbols below, and
used four ways: called on numbers, on arrays, on symbols, and printed here. MACs are
multiply-accumulates; FLOPs are 2 x MACs + other arithmetic; bytes are those that have to move when
nothing is in a cache. Published approximations stand beside the exact count.
`costmodel explain NAME --set c_in=256` puts your own numbers in.
"""


def formula_book(names: Iterable[str] | None = None) -> str:
    """The book as Markdown with LaTeX: the symbols, then a chapter per kind of operator.

    Args:
        names: formulas to show, by default all that are registered.
    """
    formulas = [get_formula(name) for name in (formula_names() if names is None else names)]
    parts = ["# The formula book", "", LEAD, *_symbols(formulas)]
    kinds = [*KINDS, *sorted({f.kind for f in formulas} - set(KINDS))]
    for kind in kinds:
        chapter = [formula for formula in formulas if formula.kind == kind]
        if chapter:
            parts += [f"## {KINDS.get(kind, kind.capitalize())}", ""]
        for formula in sorted(chapter, key=lambda f: f.name):
            parts += _section(formula)
    return "\n".join(parts)


def _symbols(formulas: Iterable[Formula]) -> Iterator[str]:
    used = {name for formula in formulas for name in formula.symbols}
    yield from ("## Symbols", "", "| symbol | meaning |", "| --- | --- |")
    for name, meaning in MEANING.items():
        if name in used:
            yield f"| `{name}` | {meaning} |"
    yield ""


def _section(formula: Formula) -> Iterator[str]:
    worked = explain_formula(formula, {name: VALUES[name] for name in formula.symbols})
    yield from (f"### {formula.name}", "", formula.description, "", "$$")
    yield from _latex(formula)
    yield from ("$$", "")
    yield from _worked(worked)
    if worked.parts:
        yield from ("", "Parts: " + ", ".join(worked.parts) + ".")
    for form in worked.textbook:
        ratio = "" if form.ratio is None else f"; the exact count here is {_times(form.ratio)}"
        note = f" It is for {form.difference}." if form.difference else ""
        yield from ("", f"Published: {form.quantity} = {_code(text(form.formula))}{ratio}.{note}")
        yield f"*{form.citation}.*"
    yield from ("", f"Source: {formula.source}.", "")


def _latex(formula: Formula) -> Iterator[str]:
    import sympy

    rows = (
        ("MACs", formula.cost.macs),
        ("other FLOPs", formula.cost.other_flops),
        ("bytes read", formula.cost.bytes_read),
        ("bytes written", formula.cost.bytes_written),
        ("parameters", formula.cost.parameters),
    )
    shown = [(label, tidy(value)) for label, value in rows if value != 0]
    yield r"\begin{aligned}"
    names = {symbol(name): _typeset(name) for name in formula.symbols}
    lines = [
        rf"\text{{{label}}} &= {sympy.latex(value, symbol_names=names, mul_symbol=THIN_SPACE)}"
        for label, value in shown
    ]
    yield " \\\\\n".join(lines)
    yield r"\end{aligned}"


def _typeset(name: str) -> str:
    """A symbol in LaTeX: words are words, not products of letters."""
    base, _, index = name.partition("_")
    word = base if len(base) == 1 else rf"\mathrm{{{base}}}"
    return rf"{word}_{{\mathrm{{{index}}}}}" if index else word


def _worked(worked: Explanation) -> Iterator[str]:
    given = ", ".join(f"{name} = {text(value)}" for name, value in worked.assumptions.items())
    yield f"At {_code(given)}:"
    yield ""
    for name in ("macs", "flops", "bytes_read", "bytes_written", "parameters", "intensity"):
        quantity = worked[name]
        if quantity.value:
            unit = "" if name == "parameters" else f" {quantity.unit}"
            yield f"- {quantity.label}: {number(quantity.value)}{unit}"


def _times(ratio: float) -> str:
    return "the same" if ratio == 1 else f"{ratio:.4g} times it"


def _code(shown: str) -> str:
    return f"`{shown}`"


if __name__ == "__main__":
    sys.stdout.write(formula_book())
