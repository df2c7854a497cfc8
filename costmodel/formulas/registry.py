"""Where formulas live and how operators find theirs.

A formula is a function from the field's symbols to a `Cost`:

    @formula("linear", kind="matmul", source="...")
    def linear(m, c_in, c_out, bias, b_x, b_w, b_y):
        '''y = x W^T + b ...'''
        return Cost(macs=m * c_in * c_out, ...)

A composition is a formula made of named parts, each the cost of another formula:

    @composition("separable", source="...")
    def separable(n, c_in, c_out, ...):
        return {"depthwise": dwconv.function(...), "pointwise": conv2d.function(...)}

A binding says how an operator of the graph fills in a formula's symbols:

    @binds("aten::linear")
    def bind_linear(op, inputs, outputs):
        x, weight, *_ = inputs
        return bind("linear", m=..., c_in=..., c_out=...)

Registering a name twice raises. An operator without a binding is *uncovered*: it is charged its
bytes, listed wherever a result is shown, and never silently zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, NamedTuple

from costmodel.errors import GraphError, UnknownNameError
from costmodel.formulas.cost import Cost
from costmodel.formulas.formula import COST_FIELDS as COST_FIELDS
from costmodel.formulas.formula import Formula as Formula
from costmodel.formulas.formula import Kind as Kind
from costmodel.formulas.formula import Textbook as Textbook
from costmodel.formulas.symbols import FOLLOWS_BATCH, MEANING
from costmodel.graph import Op, TensorSpec

Inputs = Sequence[TensorSpec | None]
"""An operator's input tensors in argument order, None where an optional one is absent."""
Outputs = Sequence[TensorSpec]
"""An operator's output tensors."""


class Binding(NamedTuple):
    """How one operator fills in a formula."""

    formula: str
    values: Mapping[str, Any]
    """Value of every symbol except bytes per element."""
    kind: Kind | None = None
    """Overrides the formula's kind (a depthwise convolution uses the grouped formula)."""
    follows: frozenset[str] = FOLLOWS_BATCH
    """Symbols that grow with the batch if the operator's data does."""
    primitive: str = ""
    """Which primitive a shared formula stands for: "gelu" for the elementwise one."""
    indices: frozenset[int] = frozenset()
    """Positions of inputs that hold indices: their width is the symbol b_i, not b_x or b_w."""


Binder = Callable[[Op, Inputs, Outputs], Binding]

_FORMULAS: dict[str, Formula] = {}
_BINDERS: dict[str, Binder] = {}


def formula(
    name: str,
    *,
    kind: Kind,
    source: str,
    textbook: Textbook | None = None,
    gemm: Callable[..., tuple[Any, Any, Any, Any]] | None = None,
) -> Callable[[Callable[..., Cost]], Formula]:
    """Register a formula under the field's name for it.

    Args:
        name: as `explain` shows it ("conv2d", "pconv").
        kind: the sort of work it is.
        source: where the formula is stated or derived.
        textbook: a published approximation, shown beside the exact cost.
        gemm: (batches, rows, columns, contraction) of the matrix product behind it.

    Raises:
        ValueError: if the name is taken, or a parameter is not one of the field's symbols.
    """

    def register(function: Callable[..., Cost]) -> Formula:
        return _add(Formula(name, kind, function, source, textbook, gemm))

    return register


def composition(
    name: str, *, source: str, textbook: Textbook | None = None
) -> Callable[[Callable[..., Mapping[str, Cost]]], Formula]:
    """Register a formula that adds up named parts, each the cost of another formula.

    Raises:
        ValueError: if the name is taken, or a parameter is not one of the field's symbols.
    """

    def register(function: Callable[..., Mapping[str, Cost]]) -> Formula:
        @wraps(function)
        def total(**values: Any) -> Cost:
            return sum(function(**values).values(), Cost())

        whole = Formula(name, "composition", total, source, textbook)
        return _add(replace(whole, parts_function=function))

    return register


def _add(new: Formula) -> Formula:
    if new.name in _FORMULAS:
        raise ValueError(f"formula {new.name!r} is registered twice")
    unexplained = [s for s in new.symbols if s not in MEANING]
    if unexplained:
        raise ValueError(f"formula {new.name!r}: no meaning for symbols {unexplained}")
    _FORMULAS[new.name] = new
    return new


def binds(*targets: str) -> Callable[[Binder], Binder]:
    """Register how operators fill in a formula's symbols.

    Raises:
        ValueError: if an operator already has a binding.
    """

    def register(binder: Binder) -> Binder:
        for target in targets:
            if target in _BINDERS:
                raise ValueError(f"operator {target!r} is bound twice")
            _BINDERS[target] = binder
        return binder

    return register


def bind(
    name: str,
    *,
    kind: Kind | None = None,
    follows: frozenset[str] = FOLLOWS_BATCH,
    primitive: str = "",
    indices: frozenset[int] = frozenset(),
    **values: Any,
) -> Binding:
    """A `Binding` to the formula `name` with its symbols as keywords."""
    return Binding(name, values, kind, follows, primitive, indices)


def required(op: Op, inputs: Inputs, *positions: int) -> list[TensorSpec]:
    """The inputs at those positions, which the operator cannot do without.

    Raises:
        GraphError: if one is absent, naming the operator and which.
    """
    found = [inputs[i] if i < len(inputs) else None for i in positions]
    present = [spec for spec in found if spec is not None]
    if len(present) < len(positions):
        raise GraphError(
            f"{op.target} in {op.module or 'the model'}: input {positions[found.index(None)]} is "
            "absent; the graph is incomplete"
        )
    return present


def get_formula(name: str) -> Formula:
    """The formula of that name; dashes may stand for underscores.

    Raises:
        UnknownNameError: with the nearest names.
    """
    found = _FORMULAS.get(name) or _FORMULAS.get(name.replace("-", "_"))
    if found is None:
        raise UnknownNameError("formula", name, _FORMULAS)
    return found


def formula_names() -> tuple[str, ...]:
    """Names of all formulas, sorted."""
    return tuple(sorted(_FORMULAS))


def binder_of(target: str) -> Binder | None:
    """The binding of an operator, or None if it is uncovered."""
    return _BINDERS.get(target)


def covered_operators() -> frozenset[str]:
    """Names of all operators that have a binding."""
    return frozenset(_BINDERS)
