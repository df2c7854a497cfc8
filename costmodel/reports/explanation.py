"""An explanation as a report: formula, numbers put in, published form, LaTeX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from costmodel.formulas import Formula, formula_names, get_formula
from costmodel.formulas.explain import explain_formula
from costmodel.formulas.explanation import Explanation
from costmodel.formulas.notation import number, text
from costmodel.reports.report import Report
from costmodel.reports.table import Column, Table

DEFAULTS: Mapping[str, int] = {"b_x": 4, "b_w": 4, "b_y": 4, "g": 1, "bias": 0}
"""Values of symbols that a reader who gives sizes need not give: float32, dense, no bias."""


def formula_report(formula: Formula, given: Mapping[str, str]) -> Report:
    """A formula in symbols and, where sizes are given, in numbers.

    Args:
        formula: what to explain.
        given: numbers or expressions by symbol: {"c_in": "256", "c_p": "c_in/4"}; with any of
            them, `DEFAULTS` hold for the others.

    Raises:
        UsageError: for a symbol that the formula has no use for, or what is no expression.
    """
    assumed = {
        s: v for s, v in DEFAULTS.items() if given and s in formula.symbols and s not in given
    }
    report = explanation_report(explain_formula(formula, {**assumed, **given}))
    if not assumed:
        return report
    listed = ", ".join(f"{name} = {value}" for name, value in assumed.items())
    return Report(report.document, report.tables, (*report.notes, f"not given, assumed: {listed}"))


def explanation_report(explanation: Explanation) -> Report:
    """Everything an explanation holds, as tables and as a document."""
    tables = [_quantities(explanation)]
    if explanation.symbols:
        tables.append(_symbols(explanation))
    if explanation.parts:
        tables.append(_parts(explanation))
    if explanation.textbook:
        tables.append(_textbook(explanation))
    tables.append(_latex(explanation))
    described = [" ".join(part.split()) for part in explanation.description.split("\n\n")]
    notes = [*filter(None, described), f"source: {explanation.source}", *explanation.notes]
    return Report(explanation.to_dict(), tuple(tables), tuple(notes))


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


def _quantities(explanation: Explanation) -> Table:
    columns = (
        Column("quantity", "", right=False),
        Column("formula", "formula", right=False),
        Column("value", "value" if explanation.assumptions else "", _value),
        Column("unit", "", right=False),
        Column("latex", "LaTeX", right=False, csv_only=True),
    )
    rows = tuple(
        (
            q.label,
            q.steps[0],
            (text(q.simplified) if q.value is None else q.value) if q.assumptions else "",
            q.unit,
            q.latex,
        )
        for q in explanation.quantities
    )
    place = f": {explanation.place}" if explanation.place else ""
    return Table(f"{explanation.name} ({explanation.kind}){place}", columns, rows)


def _symbols(explanation: Explanation) -> Table:
    columns = (
        Column("symbol", "symbol", right=False),
        Column("meaning", "meaning", right=False),
        Column("value", "value" if explanation.assumptions else ""),
    )
    given = explanation.assumptions
    rows = tuple(
        (name, meaning, text(given[name]) if name in given else "")
        for name, meaning in explanation.symbols.items()
    )
    return Table("Symbols", columns, rows)


def _parts(explanation: Explanation) -> Table:
    columns = (
        Column("part", "part", right=False),
        Column("macs", "MACs", _value),
        Column("bytes", "bytes", _value),
        Column("parameters", "parameters", _value),
    )
    rows = tuple(
        (name, _plain(cost.macs), _plain(cost.bytes), _plain(cost.parameters))
        for name, cost in explanation.parts.items()
    )
    return Table("Parts", columns, rows)


def _textbook(explanation: Explanation) -> Table:
    columns = (
        Column("quantity", "as published", right=False),
        Column("formula", "formula", right=False),
        Column("value", "value", _value),
        Column("exact", "exact", _value),
        Column("citation", "citation", right=False),
        Column("difference", "holds for", right=False),
    )
    rows = tuple(
        (
            form.quantity,
            text(form.formula),
            _plain(form.simplified),
            _plain(form.exact),
            form.citation,
            form.difference,
        )
        for form in explanation.textbook
    )
    return Table("Published approximation beside the exact count", columns, rows)


def _latex(explanation: Explanation) -> Table:
    columns = (Column("quantity", "", right=False), Column("latex", "", right=False))
    return Table("LaTeX", columns, tuple((q.label, q.latex) for q in explanation.quantities))


def _plain(value: Any) -> Any:
    """A number if an expression is one, else its text."""
    if getattr(value, "free_symbols", None):
        return text(value)
    plain = float(value)
    return int(plain) if plain.is_integer() else plain


def _value(value: Any) -> str:
    return value if isinstance(value, str) else number(value)
