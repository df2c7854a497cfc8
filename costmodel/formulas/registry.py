"""Where formulas live and how operators find theirs.

A formula is a function from the field's symbols to a `Cost`, written once and used four ways:
called on numbers, called on NumPy arrays, called on sympy expressions, printed.

    @formula("linear", kind="matmul", source="...")
    def linear(m, c_in, c_out, bias, b_x, b_w, b_y):
        '''y = x W^T + b ...'''
        return Cost(macs=m * c_in * c_out, ...)

A binding says how an operator of the graph fills in a formula's symbols:

    @binds("aten::linear")
    def bind_linear(op, inputs, outputs):
        x, weight, *_ = inputs
        return bind("linear", m=..., c_in=..., c_out=...)

Registering a name twice raises. An operator without a binding is *uncovered*: it is charged its
bytes, listed wherever a result is shown, and never silently zero.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np

from costmodel.errors import UnknownNameError, UsageError
from costmodel.formulas.cost import Cost
from costmodel.formulas.symbols import FOLLOWS_BATCH, MEANING, symbol
from costmodel.graph import Op, TensorSpec

Kind = Literal[
    "convolution",
    "grouped convolution",
    "depthwise convolution",
    "matmul",
    "attention",
    "normalization",
    "activation",
    "elementwise",
    "pooling",
    "reduction",
    "softmax",
    "embedding",
    "movement",
    "recurrent",
    "view",
    "uncovered",
    "composition",
]
"""What sort of work an operator is; reports colour by it and efficiency laws key on it."""

COST_FIELDS = (
    "macs",
    "other_flops",
    "bytes_read",
    "bytes_written",
    "weight_bytes",
    "parameters",
)


@dataclass(frozen=True)
class Textbook:
    """A published approximation beside the exact cost: MACs and memory accesses in elements."""

    macs: Callable[..., Any] | None
    accesses: Callable[..., Any] | None
    citation: str


@dataclass(frozen=True)
class Formula:
    """The closed-form cost of one family of operators; call it with its symbols as keywords."""

    name: str
    kind: Kind
    function: Callable[..., Cost]
    source: str
    textbook: Textbook | None = None
    gemm_function: Callable[..., tuple[Any, Any, Any, Any]] | None = None

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """Names of the symbols it takes, in order."""
        return tuple(inspect.signature(self.function).parameters)

    @property
    def description(self) -> str:
        """What it computes and which symbols it uses."""
        return inspect.getdoc(self.function) or ""

    @cached_property
    def cost(self) -> Cost:
        """The exact cost as sympy expressions in its symbols."""
        return self.function(**{name: symbol(name) for name in self.symbols})

    @property
    def intensity(self) -> Any:
        """Arithmetic intensity in FLOP per byte, as a sympy expression."""
        import sympy

        return sympy.simplify(self.cost.intensity)

    def __call__(self, **values: Any) -> Cost:
        """The cost at given values: numbers, NumPy arrays or sympy expressions.

        Raises:
            UsageError: if a symbol is missing or unknown.
        """
        missing = [name for name in self.symbols if name not in values]
        unknown = [name for name in values if name not in self.symbols]
        if missing or unknown:
            problem = f"missing {', '.join(missing)}" if missing else f"no {', '.join(unknown)}"
            raise UsageError(f"formula {self.name!r} takes {', '.join(self.symbols)}: {problem}")
        if any(hasattr(value, "free_symbols") for value in values.values()):
            import sympy

            return self.function(**{name: sympy.sympify(v) for name, v in values.items()})
        return Cost(*self.evaluate(*(values[name] for name in self.symbols)))

    @cached_property
    def evaluate(self) -> Callable[..., list[Any]]:
        """Numeric evaluation: symbol values in order, numbers or arrays, to `COST_FIELDS`."""
        return self._compile([getattr(self.cost, name) for name in COST_FIELDS])

    @cached_property
    def gemm(self) -> Callable[..., list[Any]] | None:
        """(batches, rows, columns, contraction) of the matrix product it performs, or None."""
        if self.gemm_function is None:
            return None
        return self._compile(
            list(self.gemm_function(**{name: symbol(name) for name in self.symbols}))
        )

    def _compile(self, expressions: list[Any]) -> Callable[..., list[Any]]:
        import sympy

        arguments = [symbol(name) for name in self.symbols]
        function: Callable[..., list[Any]] = sympy.lambdify(
            arguments, expressions, modules="numpy", cse=True
        )
        return function


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


Binder = Callable[[Op, Sequence[TensorSpec | None], Sequence[TensorSpec]], Binding]

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
        if name in _FORMULAS:
            raise ValueError(f"formula {name!r} is registered twice")
        result = Formula(name, kind, function, source, textbook, gemm)
        unexplained = [s for s in result.symbols if s not in MEANING]
        if unexplained:
            raise ValueError(f"formula {name!r}: no meaning for symbols {unexplained}")
        _FORMULAS[name] = result
        return result

    return register


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
    **values: Any,
) -> Binding:
    """A `Binding` to the formula `name` with its symbols as keywords."""
    return Binding(name, values, kind, follows, primitive)


def get_formula(name: str) -> Formula:
    """The formula of that name.

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


def as_array(value: Any) -> np.ndarray:
    """A float64 array of a symbol's values."""
    return np.asarray(value, dtype=np.float64)
