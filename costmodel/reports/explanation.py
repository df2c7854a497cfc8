"""A formula explained: its symbols, its exact and published forms, and the numbers put in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from costmodel.errors import UnknownNameError, UsageError
from costmodel.formulas import Formula, formula_names, get_formula
from costmodel.formulas.columns import columns_of
from costmodel.formulas.symbols import BYTES, MEANING
from costmodel.graph import Graph
from costmodel.reports.report import Report
from costmodel.reports.table import Column, Table
from costmodel.reports.text import (
    exact,
    show_bytes,
    show_flops,
    show_intensity,
    show_macs,
    show_params,
    show_shape,
)

QUANTITIES = (
    ("macs", "MACs", show_macs),
    ("other_flops", "other FLOPs", show_flops),
    ("flops", "FLOPs (2 x MACs + other)", show_flops),
    ("bytes_read", "bytes read", show_bytes),
    ("bytes_written", "bytes written", show_bytes),
    ("parameters", "parameters", show_params),
    ("intensity", "intensity", show_intensity),
)
"""What is explained of a cost: attribute of `Cost`, name, and text of a number."""

DEFAULTS: Mapping[str, float] = {**dict.fromkeys(BYTES, 4), "g": 1, "bias": 0}
"""Values of symbols that a reader need not give: float32, dense, no bias."""


def explain_formula(formula: Formula, given: Mapping[str, float] | None = None) -> Report:
    """The formula in symbols and, where values are given for all of them, in numbers.

    Args:
        formula: what to explain.
        given: values by symbol; those in `DEFAULTS` may be left out.

    Raises:
        UsageError: if some but not all symbols have a value, or one is not the formula's.
    """
    values = _complete(formula, given) if given else {}
    return _report(formula.name, formula, values, ())


def explain_operator(graph: Graph, name: str) -> Report:
    """The formula of one operator of a model, with its shapes put in.

    Args:
        graph: a traced model.
        name: of the operator, as reports print it, or the path of the module that runs it.

    Raises:
        UnknownNameError: with the nearest names.
        UsageError: if several operators of different cost match.
    """
    columns = columns_of(graph)
    names = graph.op_names
    found = [
        index
        for index, op in enumerate(graph.ops)
        if columns.row_of_op[index] >= 0 and name in (names[index], op.module)
    ]
    exact_match = [index for index in found if names[index] == name]
    if not found:
        known = {n for n, row in zip(names, columns.row_of_op, strict=True) if row >= 0}
        raise UnknownNameError(
            "operator", name, known, f"(`costmodel predict --top {len(known)}` lists them)"
        )
    if len(found) > 1 and not exact_match:
        listed = ", ".join(names[index] for index in found[:8])
        raise UsageError(f"{name} runs {len(found)} operators: choose one of {listed}")
    index = (exact_match or found)[0]
    op, row = graph.ops[index], columns.table[int(columns.row_of_op[index])]
    formula = get_formula(row.binding.formula)
    widths = {"b_x": row.data, "b_w": row.weights, "b_y": row.output}
    values = {
        symbol: widths[symbol].bytes_per_element(4.0)
        if symbol in widths
        else row.binding.values[symbol]
        for symbol in formula.symbols
    }
    inputs = ", ".join(show_shape(t.shape) for t in graph.inputs_of(op) if t is not None)
    outputs = ", ".join(show_shape(t.shape) for t in graph.outputs_of(op))
    notes = [f"{op.target} in module {op.module or graph.name!r}: {inputs} → {outputs}"]
    if row.kind == "uncovered":
        notes.append(f"no formula for {op.target}: only its bytes are charged")
    if row.binding.primitive:
        notes.append(f"shared formula, here for {row.binding.primitive}")
    return _report(f"{graph.name}: {names[index]}", formula, values, tuple(notes))


def formulas_report() -> Report:
    """All formulas with what they compute."""
    formulas = [get_formula(name) for name in formula_names()]
    columns = (
        Column("name", "formula", right=False),
        Column("kind", "kind", right=False),
        Column("description", "computes", right=False),
        Column("source", "source", right=False, csv_only=True),
    )
    rows = tuple((f.name, f.kind, f.description.partition("\n")[0], f.source) for f in formulas)
    document = [{"name": f.name, "kind": f.kind, "source": f.source} for f in formulas]
    return Report({"formulas": document}, (Table("Formulas", columns, rows),))


def _complete(formula: Formula, given: Mapping[str, float]) -> dict[str, float]:
    unknown = [name for name in given if name not in formula.symbols]
    if unknown:
        raise UsageError(
            f"formula {formula.name!r} has no symbol {', '.join(unknown)}; "
            f"it takes {', '.join(formula.symbols)}"
        )
    values = {**{s: DEFAULTS[s] for s in formula.symbols if s in DEFAULTS}, **given}
    missing = [name for name in formula.symbols if name not in values]
    if missing:
        raise UsageError(f"formula {formula.name!r} also needs {', '.join(missing)}")
    return values


def _report(
    title: str, formula: Formula, values: Mapping[str, Any], notes: tuple[str, ...]
) -> Report:
    import sympy

    numbers = formula(**values) if values else None
    rows, document = [], {}
    for attribute, name, show in QUANTITIES:
        expression = sympy.simplify(getattr(formula.cost, attribute))
        number = None if numbers is None else float(getattr(numbers, attribute))
        shown = "" if number is None else _shown(number, show)
        rows.append((name, str(expression), sympy.latex(expression), number, shown))
        document[attribute] = {
            "expression": str(expression),
            "latex": sympy.latex(expression),
            "value": None if number is None else exact(number),
        }
    columns = (
        Column("quantity", "", right=False),
        Column("expression", "formula", right=False),
        Column("latex", "LaTeX", right=False, csv_only=True),
        Column("value", "value", csv_only=True),
        Column("", "value" if values else ""),
    )
    tables = [Table(f"{title} ({formula.name})", columns, tuple(rows))]
    tables.append(_symbols(formula, values))
    textbook = _textbook(formula, values)
    if textbook is not None:
        tables.append(textbook)
    tables.append(
        Table(
            "LaTeX",
            (Column("quantity", "", right=False), Column("latex", "", right=False)),
            tuple((row[0], row[2]) for row in rows),
        )
    )
    text = [" ".join(paragraph.split()) for paragraph in formula.description.split("\n\n")]
    return Report(
        {
            "formula": formula.name,
            "kind": formula.kind,
            "description": formula.description,
            "source": formula.source,
            "values": {name: exact(value) for name, value in values.items()},
            "cost": document,
        },
        tuple(tables),
        (*notes, *text, f"source: {formula.source}"),
    )


def _shown(number: float, show: Any) -> str:
    text = show(number)
    return f"{text} ({number:,.0f})" if number >= 1000 and number.is_integer() else text


def _symbols(formula: Formula, values: Mapping[str, Any]) -> Table:
    columns = (
        Column("symbol", "symbol", right=False),
        Column("meaning", "meaning", right=False),
        Column("value", "value" if values else "", lambda value: f"{value:g}" if values else ""),
    )
    rows = tuple((name, MEANING[name], values.get(name, 0)) for name in formula.symbols)
    return Table("Symbols", columns, rows)


def _textbook(formula: Formula, values: Mapping[str, Any]) -> Table | None:
    """The published approximation beside the exact form, with the ratio of the numbers."""
    book = formula.textbook
    if book is None:
        return None
    from costmodel.formulas.symbols import symbol

    symbols = {name: symbol(name) for name in formula.symbols}
    rows = []
    for name, function in (("MACs", book.macs), ("memory accesses, elements", book.accesses)):
        if function is not None:
            number = float(function(**values)) if values else None
            rows.append(
                (name, str(function(**symbols)), "" if number is None else f"{number:,.10g}")
            )
    columns = (
        Column("quantity", "", right=False),
        Column("expression", "formula", right=False),
        Column("value", "value" if values else ""),
    )
    return Table(f"As published: {book.citation}", columns, tuple(rows))
