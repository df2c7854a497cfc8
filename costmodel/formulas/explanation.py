"""What an explanation holds: quantities from symbols to numbers, parts, the textbook's form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from costmodel.errors import UnknownNameError
from costmodel.formulas.cost import Cost
from costmodel.formulas.notation import number, substituted, text

QUANTITIES = {
    "macs": ("multiply-accumulates", "MACs"),
    "other_flops": ("other arithmetic", "FLOPs"),
    "flops": ("FLOPs (2 x MACs + other)", "FLOPs"),
    "bytes_read": ("bytes read", "B"),
    "bytes_written": ("bytes written", "B"),
    "parameters": ("parameters", "parameters"),
    "intensity": ("arithmetic intensity", "FLOP/B"),
}
"""What is explained of a cost: attribute of `Cost`, label and unit."""

_PART_QUANTITIES = ("macs", "flops", "bytes_read", "bytes_written", "parameters")

_LONG = 100
"""Characters beyond which a quotient of two quantities is named instead of written out."""


@dataclass(frozen=True)
class Quantity:
    """One quantity of a cost, from symbols to a number."""

    name: str
    """Attribute of `Cost`: "macs"."""
    formula: Any
    """sympy expression in the operator's symbols."""
    simplified: Any
    """The same at the assumptions."""
    assumptions: Mapping[Any, Any]
    """Value by sympy symbol."""

    @property
    def label(self) -> str:
        """What it is called: "bytes read"."""
        return QUANTITIES[self.name][0]

    @property
    def unit(self) -> str:
        """ "MACs", "FLOPs", "B", "parameters" or "FLOP/B"."""
        return QUANTITIES[self.name][1]

    @property
    def value(self) -> float | int | None:
        """The number, or None while a symbol is open."""
        if self.simplified.free_symbols:
            return None
        value = float(self.simplified)
        return int(self.simplified) if value.is_integer() else value

    @property
    def steps(self) -> tuple[str, ...]:
        """The formula, with the numbers put in, worked out; equal steps are shown once."""
        used = {s: v for s, v in self.assumptions.items() if s in self.formula.free_symbols}
        lines = [text(self.formula)] if self.formula.free_symbols else []
        if used:
            lines.append(substituted(self.formula, used))
        if self.name == "intensity" and lines and len(lines[0]) > _LONG:
            lines = ["FLOPs / (bytes read + bytes written)"]
        if self.value is None:
            lines.append(text(self.simplified))
        else:
            lines.append(f"{number(self.value)} {self.unit}")
        return tuple(dict.fromkeys(lines))

    @property
    def latex(self) -> str:
        """The formula as LaTeX."""
        import sympy

        return str(sympy.latex(self.formula))


@dataclass(frozen=True)
class TextbookForm:
    """The published approximation beside the exact count."""

    quantity: str
    """"MACs" or "memory accesses (elements)"."""
    formula: Any
    simplified: Any
    exact: Any
    """The exact count at the assumptions; accesses are bytes over bytes per element."""
    citation: str
    difference: str

    @property
    def ratio(self) -> float | None:
        """Exact over textbook, or None while a symbol is open."""
        if self.simplified.free_symbols or self.exact.free_symbols:
            return None
        return float(self.exact / self.simplified)


@dataclass(frozen=True)
class Explanation:
    """The cost of one operator, block or place in a model, explained."""

    name: str
    description: str
    kind: str
    source: str
    symbols: Mapping[str, str]
    """Meaning by symbol."""
    assumptions: Mapping[str, Any]
    """What is assumed, by symbol: numbers or expressions."""
    quantities: tuple[Quantity, ...]
    parts: Mapping[str, Cost]
    """A block's parts at the assumptions, as sympy expressions; empty for a single operator."""
    textbook: tuple[TextbookForm, ...] = ()
    place: str = ""
    """Where in a model it is, with its shapes; empty for a formula by itself."""
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Quantity:
        """One quantity by its `Cost` attribute.

        Raises:
            UnknownNameError: if there is no such quantity.
        """
        for quantity in self.quantities:
            if quantity.name == name:
                return quantity
        raise UnknownNameError("quantity", name, QUANTITIES)

    @cached_property
    def latex(self) -> str:
        """All quantities as an aligned LaTeX display."""
        rows = (rf"\text{{{q.label}}} &= {q.latex}" for q in self.quantities)
        return r"\begin{aligned}" + r" \\ ".join(rows) + r"\end{aligned}"

    def _repr_latex_(self) -> str:
        return f"$${self.latex}$$"

    def to_text(self) -> str:
        """The explanation as lines of text."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield self.name + (f"  ({self.place})" if self.place else "")
        yield from (f"  {line}" if line else "" for line in self.description.splitlines())
        yield ""
        for name, meaning in self.symbols.items():
            given = f" = {text(self.assumptions[name])}" if name in self.assumptions else ""
            yield f"  {name}{given}: {meaning}"
        yield ""
        for quantity in self.quantities:
            first, *others = quantity.steps
            yield f"  {quantity.label} = {first}"
            yield from (f"  {'':{len(quantity.label)}} = {step}" for step in others)
        if self.parts:
            yield ""
            for part, cost in self.parts.items():
                yield (
                    f"  {part}: {_shown(cost.macs)} MACs, {_shown(cost.bytes)} B, "
                    f"{_shown(cost.parameters)} parameters"
                )
        for form in self.textbook:
            yield ""
            yield f"  textbook {form.quantity} = {text(form.formula)}  [{form.citation}]"
            yield f"    at these values {_shown(form.simplified)}, exact {_shown(form.exact)}"
            if form.difference:
                yield f"    the textbook's form is for {form.difference}"
        yield ""
        yield f"  source: {self.source}"
        yield from (f"  note: {note}" for note in self.notes)

    def to_dict(self) -> dict[str, Any]:
        """The explanation as JSON-ready data; expressions are text."""
        return {
            "name": self.name,
            "description": self.description,
            "kind": self.kind,
            "place": self.place,
            "source": self.source,
            "symbols": dict(self.symbols),
            "assumptions": {name: _plain(value) for name, value in self.assumptions.items()},
            "quantities": {
                q.name: {
                    "label": q.label,
                    "unit": q.unit,
                    "formula": text(q.formula),
                    "latex": q.latex,
                    "simplified": text(q.simplified),
                    "steps": list(q.steps),
                    "value": q.value,
                }
                for q in self.quantities
            },
            "parts": {
                part: {name: _plain(getattr(cost, name)) for name in _PART_QUANTITIES}
                for part, cost in self.parts.items()
            },
            "textbook": [
                {
                    "quantity": form.quantity,
                    "formula": text(form.formula),
                    "value": _plain(form.simplified),
                    "exact": _plain(form.exact),
                    "ratio": form.ratio,
                    "citation": form.citation,
                    "difference": form.difference,
                }
                for form in self.textbook
            ],
            "notes": list(self.notes),
        }


def _shown(value: Any) -> str:
    plain = _plain(value)
    return plain if isinstance(plain, str) else number(plain)


def _plain(value: Any) -> float | int | str:
    """A number if it is one, else the expression as text."""
    import sympy

    expr = sympy.sympify(value)
    if expr.free_symbols:
        return text(expr)
    plain = float(expr)
    return int(expr) if plain.is_integer() else plain
