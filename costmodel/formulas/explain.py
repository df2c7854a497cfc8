"""Explaining a cost: the formula, what is assumed, the numbers put in step by step, the source.

For an operator ("pconv"), a block ("inverted_residual"), or an operator or module of a traced
graph ("layer1.0.conv2"); the exact count with the textbook's beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from costmodel.errors import UnknownNameError, UsageError
from costmodel.formulas.columns import bind_op
from costmodel.formulas.cost import Cost
from costmodel.formulas.notation import number, substituted, text, tidy
from costmodel.formulas.registry import Formula, get_formula
from costmodel.formulas.symbols import BYTES, MEANING, expression, symbol
from costmodel.graph import Graph, Op

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

SHORTHANDS = {
    "k": ("k_h", "k_w", "k_d"),
    "h": ("h_in", "h_out"),
    "w": ("w_in", "w_out"),
    "c": ("c_in", "c_out"),
}
"""What one symbol sets in a formula that does not have it: k = 3 is k_h = k_w = 3."""


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


_PART_QUANTITIES = ("macs", "flops", "bytes_read", "bytes_written", "parameters")


def explain_formula(
    name: str | Formula, assumptions: Mapping[str, Any] | None = None
) -> Explanation:
    """Explain an operator or a block by its formula.

    Args:
        name: a formula or its name ("pconv", "inverted-residual").
        assumptions: values by symbol, as numbers, expressions or text: {"c_p": "c_in/4",
            "c_in": 256, "k": 3}. A symbol that the formula lacks may appear in the others'
            expressions, or stand for several of its own (`SHORTHANDS`).

    Raises:
        UnknownNameError: if there is no such formula.
        UsageError: for an assumption that the formula has no use for, or that is no expression.
    """
    formula = get_formula(name) if isinstance(name, str) else name
    return _explain(formula, _resolved(formula, assumptions or {}))


def explain_operator(graph: Graph, name: str) -> Explanation:
    """Explain an operator of a traced graph, or all operators of one of its modules.

    Args:
        graph: a traced model.
        name: one of `graph.op_names`, or the path of a module; where a module has the name of
            its only own operator, "path.*" means all of the module.

    Raises:
        UnknownNameError: if the graph has neither, with the nearest names.
    """
    names = graph.op_names
    if name in names:
        return _explain_op(graph, graph.ops[names.index(name)], name)
    path = name.removesuffix(".*")
    inside = [
        (op, own)
        for op, own in zip(graph.ops, names, strict=True)
        if not op.is_view and (op.module == path or op.module.startswith(f"{path}."))
    ]
    if not inside:
        known = {*names, *graph.modules}
        raise UnknownNameError(f"operator or module of {graph.name}", name, known)
    return _explain_module(graph, path, inside)


def _explain_op(graph: Graph, op: Op, name: str) -> Explanation:
    inputs, outputs = graph.inputs_of(op), graph.outputs_of(op)
    shapes = ", ".join(str(tuple(x.shape)) for x in inputs if x is not None)
    place = f"{op.target}, {shapes} -> {', '.join(str(tuple(y.shape)) for y in outputs)}"
    if op.is_view:
        note = "a view: its output is its input's memory under another shape; nothing is moved"
        return Explanation(name, "", "view", "definition", {}, {}, (), {}, (), place, (note,))
    row = bind_op(op, inputs, outputs)
    formula = get_formula(row.binding.formula)
    widths = {"b_x": row.data, "b_w": row.weights, "b_y": row.output}
    values = {**row.binding.values}
    for byte_symbol, operand in widths.items():
        if byte_symbol in formula.symbols:
            values[byte_symbol] = operand.bytes_per_element(4)
    notes = []
    if row.kind == "uncovered":
        notes.append(f"no formula for {op.target}: only its bytes are counted")
    elif row.binding.primitive:
        notes.append(f"{row.binding.primitive}: f = {values.get('f', 0)} FLOPs per element")
    return _explain(
        formula,
        {key: expression(value) for key, value in values.items()},
        name=name,
        kind=row.kind,
        place=place,
        notes=tuple(notes),
    )


def _explain_module(graph: Graph, name: str, inside: list[tuple[Op, str]]) -> Explanation:
    parts = {}
    for op, own in inside:
        explained = _explain_op(graph, op, own)
        values = {q.name: q.simplified for q in explained.quantities}
        parts[own] = Cost(
            macs=values["macs"],
            other_flops=values["other_flops"],
            bytes_read=values["bytes_read"],
            bytes_written=values["bytes_written"],
            parameters=values["parameters"],
        )
    total = sum(parts.values(), Cost())
    return Explanation(
        name=name,
        description=f"{graph.modules.get(name, 'module')}: {len(inside)} operators",
        kind="composition",
        source="the sum of its operators",
        symbols={},
        assumptions={},
        quantities=_quantities(total, total, {}),
        parts=parts,
        place=f"module of {graph.name}",
        notes=("parameters of a module that runs twice are counted each time",),
    )


def _explain(
    formula: Formula,
    values: Mapping[str, Any],
    name: str = "",
    kind: str = "",
    place: str = "",
    notes: tuple[str, ...] = (),
) -> Explanation:
    substitution = {symbol(key): value for key, value in values.items()}
    at_values = {key: values.get(key, symbol(key)) for key in formula.symbols}
    exact = formula.function(**at_values)
    parts = formula.parts_function(**at_values) if formula.parts_function else {}
    return Explanation(
        name=name or formula.name,
        description=formula.description,
        kind=kind or formula.kind,
        source=formula.source,
        symbols={key: MEANING[key] for key in formula.symbols},
        assumptions=dict(values),
        quantities=_quantities(formula.cost, exact, substitution),
        parts=parts,
        textbook=tuple(_textbook(formula, at_values, exact)),
        place=place,
        notes=notes,
    )


def _quantities(cost: Cost, exact: Cost, substitution: Mapping[Any, Any]) -> tuple[Quantity, ...]:
    found = []
    for name in QUANTITIES:
        if name == "intensity" and exact.bytes == 0:
            continue
        formula, simplified = tidy(getattr(cost, name)), tidy(getattr(exact, name))
        found.append(Quantity(name, formula, simplified, substitution))
    return tuple(found)


def _textbook(
    formula: Formula, at_values: Mapping[str, Any], exact: Cost
) -> Iterator[TextbookForm]:
    import sympy

    book = formula.textbook
    if book is None:
        return
    symbols = {key: symbol(key) for key in formula.symbols}
    if book.macs is not None:
        yield TextbookForm(
            "MACs",
            sympy.sympify(book.macs(**symbols)),
            sympy.sympify(book.macs(**at_values)),
            sympy.sympify(exact.macs),
            book.citation,
            book.difference,
        )
    if book.accesses is not None:
        one_byte = formula.function(**{**at_values, **{key: 1 for key in BYTES if key in symbols}})
        yield TextbookForm(
            "memory accesses (elements)",
            sympy.sympify(book.accesses(**symbols)),
            sympy.sympify(book.accesses(**at_values)),
            tidy(one_byte.bytes),
            book.citation,
            book.difference,
        )


def _resolved(formula: Formula, given: Mapping[str, Any]) -> dict[str, Any]:
    """The formula's own symbols among the assumptions, the others put into their expressions."""
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in MEANING:
            raise UsageError(
                f"{formula.name}: no symbol {name!r}; it has {', '.join(formula.symbols)}"
            )
        relatives = () if name in formula.symbols else SHORTHANDS.get(name, ())
        targets = [s for s in relatives if s in formula.symbols and s not in given]
        for target in targets or [name]:
            values[target] = expression(value)
    used = set(formula.symbols)
    for _ in values:
        used |= {str(s) for name in used & values.keys() for s in values[name].free_symbols}
    for name in values:
        if name not in used:
            raise UsageError(
                f"{formula.name} has no use for {name!r}; it has {', '.join(formula.symbols)}"
            )
    known = {symbol(name): value for name, value in values.items()}
    for _ in values:
        values = {name: value.subs(known) for name, value in values.items()}
    return {name: values[name] for name in formula.symbols if name in values}


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
