"""Explaining a cost: the formula, what is assumed, the numbers put in step by step, the source.

For an operator ("pconv"), a block ("inverted_residual"), or an operator or module of a traced
graph ("layer1.0.conv2"); the exact count with the textbook's beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from costmodel.errors import UnknownNameError, UsageError
from costmodel.formulas.columns import bind_op
from costmodel.formulas.cost import Cost
from costmodel.formulas.explanation import QUANTITIES, Explanation, Quantity, TextbookForm
from costmodel.formulas.notation import tidy
from costmodel.formulas.registry import Formula, get_formula
from costmodel.formulas.symbols import BYTES, MEANING, expression, symbol
from costmodel.graph import Graph, Op

SHORTHANDS = {
    "k": ("k_h", "k_w", "k_d"),
    "h": ("h_in", "h_out"),
    "w": ("w_in", "w_out"),
    "c": ("c_in", "c_out"),
}
"""What one symbol sets in a formula that does not have it: k = 3 is k_h = k_w = 3."""


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
