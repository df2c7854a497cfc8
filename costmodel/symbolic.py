"""Graphs with symbolic sizes: totals in closed form, substitution, and compiled evaluation.

`Graph.cost`, `Graph.substitute` and `Graph.evaluate` are these functions. A total has no formula
of its own: it is the sum of the operators' formulas, called on the sizes the tracer left symbolic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache, reduce
from typing import Any

import numpy as np
import sympy

from costmodel.errors import GraphError, UsageError
from costmodel.formulas.columns import Row, bind_op
from costmodel.formulas.cost import Cost
from costmodel.formulas.registry import COST_FIELDS, get_formula
from costmodel.graph import DTYPE_BYTES, Graph, TensorSpec

Array = np.ndarray

# --------------------------------------------------------------------- symbols


@lru_cache(maxsize=64)
def symbols_of(graph: Graph) -> Mapping[str, sympy.Symbol]:
    """The free sizes of a graph by name, in the order in which its tensors show them."""
    found: dict[str, sympy.Symbol] = {}
    for spec in graph.tensors:
        for size in spec.shape:
            if isinstance(size, sympy.Basic):
                for symbol in sorted(size.free_symbols, key=str):
                    found.setdefault(str(symbol), symbol)
    return found


@lru_cache(maxsize=64)
def _known(graph: Graph) -> Mapping[str, sympy.Symbol]:
    """The free sizes and those that only the guards speak of (pinned and tied ones)."""
    known = dict(symbols_of(graph))
    for guard in graph.guards:
        for symbol in sorted(guard.free_symbols, key=str):
            known.setdefault(str(symbol), symbol)
    return known


def _require_names(graph: Graph, sizes: Mapping[str, Any]) -> None:
    known = _known(graph)
    for name in sizes:
        if name not in known:
            has = ", ".join(known) or "none"
            raise UsageError(f"{graph.name}: no symbolic size {name!r}; it has {has}")


# ----------------------------------------------------------------------- costs


def operator_costs(graph: Graph) -> dict[int, Cost]:
    """Cost of every operator by its index, views left out; numbers or expressions.

    Raises:
        GraphError: if a binding cannot work with symbolic sizes, naming the operator.
    """
    seen: dict[Any, Cost] = {}
    result: dict[int, Cost] = {}
    for index, op in enumerate(graph.ops):
        if op.is_view:
            continue
        try:
            row = bind_op(op, graph.inputs_of(op), graph.outputs_of(op))
        except TypeError as error:
            shapes = ", ".join(str(t.shape) for t in graph.inputs_of(op) if t is not None)
            raise GraphError(
                f"{graph.name}: {op.target} ({graph.op_names[index]}) on {shapes}: its binding "
                f"does not take symbolic sizes ({error}); substitute numbers first"
            ) from error
        key = (row.binding.formula, tuple(row.binding.values.values()), row.data, row.weights,
               row.output)  # fmt: skip
        if key not in seen:
            seen[key] = _cost_of(row)
        result[index] = seen[key]
    return result


def _cost_of(row: Row) -> Cost:
    formula = get_formula(row.binding.formula)
    operands = {"b_x": row.data, "b_w": row.weights, "b_y": row.output}
    values = dict(row.binding.values)
    for name in operands.keys() & set(formula.symbols):
        width: Any = operands[name].bytes_per_element(DTYPE_BYTES["float32"])
        values[name] = sympy.cancel(width) if isinstance(width, sympy.Basic) else width
    return formula(**values)


@lru_cache(maxsize=64)
def cost(graph: Graph) -> Cost:
    """Cost of the whole run; `parameters` is that of the graph, shared ones once."""
    counts: dict[Cost, int] = {}
    for operator in operator_costs(graph).values():
        counts[operator] = counts.get(operator, 0) + 1
    total = {
        name: _total([getattr(operator, name) * n for operator, n in counts.items()])
        for name in COST_FIELDS
    }
    return Cost(**{**total, "parameters": graph.parameters})


def _total(terms: list[Any]) -> Any:
    if not any(isinstance(term, sympy.Basic) for term in terms):
        return float(sum(terms))
    return sympy.nsimplify(sympy.Add(*terms), rational=True)


# ---------------------------------------------------------------- substitution


def substitute(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    """The graph at given sizes: those named become numbers, the others stay symbolic.

    Raises:
        UsageError: for a name the graph does not have, or a size below 1.
        GraphError: if a size breaks a guard, naming both.
    """
    _require_names(graph, sizes)
    for name, size in sizes.items():
        if isinstance(size, bool) or int(size) != size or size < 1:
            raise UsageError(f"{name}={size!r}: expected a whole number of at least 1")
    known = _known(graph)
    values = {known[name]: sympy.Integer(int(size)) for name, size in sizes.items()}
    guards = []
    for guard in graph.guards:
        left = guard.subs(values)
        if left == sympy.false:
            raise GraphError(_broken(graph, sizes, guard))
        if left != sympy.true:
            guards.append(left)
    memo: dict[Any, Any] = {}

    def put(value: Any) -> Any:
        if isinstance(value, (tuple, list)):
            return type(value)(put(v) for v in value)
        if not isinstance(value, sympy.Basic):
            return value
        if value not in memo:
            memo[value] = _whole(value.xreplace(values), value, graph)
        return memo[value]

    free = [n for n in symbols_of(graph) if n not in sizes]
    return replace(
        graph,
        tensors=tuple(_at(spec, put) for spec in graph.tensors),
        ops=tuple(
            op._replace(attrs={key: put(v) for key, v in op.attrs.items()}) for op in graph.ops
        ),
        batch=put(graph.batch),
        guards=tuple(guards),
        conditions={
            **graph.conditions,
            "symbolic": free,
            "guards": [str(g) for g in guards],
            "sizes": {**graph.conditions.get("sizes", {}), **{k: int(v) for k, v in sizes.items()}},
        },
    )


def _at(spec: TensorSpec, put: Callable[[Any], Any]) -> TensorSpec:
    return spec._replace(
        shape=put(spec.shape), strides=None if spec.strides is None else put(spec.strides)
    )


def _whole(value: Any, expression: Any, graph: Graph) -> Any:
    """A size after substitution: an int if it is a number."""
    if not value.is_number:
        return value
    if not value.is_Integer:
        if value.is_Rational or value.is_Float:
            raise GraphError(f"{graph.name}: {expression} is {value} there, not a whole number")
        return value
    return int(value)


def _broken(graph: Graph, sizes: Mapping[str, Any], guard: Any) -> str:
    names = [str(s) for s in sorted(guard.free_symbols, key=str)]
    given = ", ".join(f"{name}={sizes[name]}" for name in names if name in sizes)
    return (
        f"{graph.name}: {given} breaks {guard}, which these formulas were traced under; "
        "trace the model at that size instead"
    )


# ------------------------------------------------------------------ evaluation


def evaluate(graph: Graph, sizes: Mapping[str, Any]) -> Cost:
    """Cost of the whole run at arrays of sizes, by one compiled function; never re-traces.

    Args:
        graph: with or without symbolic sizes.
        sizes: a number or array for each name; arrays broadcast together.

    Returns:
        A Cost of float64 arrays of the broadcast shape.

    Raises:
        UsageError: for a missing or unknown name, or a size below 1.
        GraphError: if a size breaks a guard, naming the first that does.
    """
    _require_names(graph, sizes)
    missing = [name for name in symbols_of(graph) if name not in sizes]
    if missing:
        raise UsageError(f"{graph.name}: evaluate needs a size for {', '.join(missing)}")
    arrays = {name: np.asarray(size, dtype=np.float64) for name, size in sizes.items()}
    for name, array in arrays.items():
        if array.size and (array.min() < 1 or (array != np.floor(array)).any()):
            raise UsageError(f"{name}: expected whole numbers of at least 1")
    spread = dict(zip(arrays, np.broadcast_arrays(*arrays.values()), strict=True))
    shape = next(iter(spread.values())).shape if spread else ()
    guards, holds = _compiled_guards(graph, tuple(spread))
    for guard, kept in zip(guards, holds(*spread.values()), strict=True):
        everywhere = np.broadcast_to(kept, shape)
        if not everywhere.all():
            where = np.unravel_index(int(np.argmin(everywhere)), shape)
            given = {name: int(values[where]) for name, values in spread.items()}
            raise GraphError(_broken(graph, given, guard))
    names, function = _compiled_cost(graph)
    totals = function(*(spread[name] for name in names))
    return Cost(*(np.broadcast_to(np.asarray(t, dtype=np.float64), shape) for t in totals))


@lru_cache(maxsize=64)
def _compiled_cost(graph: Graph) -> tuple[tuple[str, ...], Callable[..., Any]]:
    total = cost(graph)
    return tuple(symbols_of(graph)), _compile(
        list(symbols_of(graph).values()), [getattr(total, name) for name in COST_FIELDS]
    )


@lru_cache(maxsize=64)
def _compiled_guards(
    graph: Graph, names: tuple[str, ...]
) -> tuple[tuple[Any, ...], Callable[..., Any]]:
    """The guards that speak of the given sizes only, and a function that checks them all."""
    symbols = [_known(graph)[name] for name in names]
    guards = tuple(g for g in graph.guards if g.free_symbols <= set(symbols))
    return guards, _compile(symbols, list(guards))


_floor_divide = sympy.Function("floor_divide")
_smallest = sympy.Function("smallest")
_largest = sympy.Function("largest")
_NUMERIC = {
    "floor_divide": np.floor_divide,
    "smallest": lambda *values: reduce(np.minimum, values),
    "largest": lambda *values: reduce(np.maximum, values),
}


def _compile(symbols: list[Any], expressions: list[Any]) -> Callable[..., Any]:
    """A NumPy function of the symbols; quotients are divided as whole numbers, so exactly."""

    def exact(expression: Any) -> Any:
        if not isinstance(expression, sympy.Basic):
            return expression
        expression = expression.replace(sympy.ceiling, lambda a: -sympy.floor(-a))
        expression = expression.replace(
            sympy.floor, lambda a: _floor_divide(*sympy.fraction(sympy.together(a)))
        )
        return expression.replace(sympy.Min, _smallest).replace(sympy.Max, _largest)

    function: Callable[..., Any] = sympy.lambdify(
        symbols, [exact(e) for e in expressions], modules=[_NUMERIC, "numpy"], cse=True
    )
    return function
