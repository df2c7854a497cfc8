"""`Formula`: the closed-form cost of one family of operators, in the field's symbols.

Written once as a function from symbols to a `Cost` and used four ways: called on numbers, called
on NumPy arrays (both through compiled code), called on sympy expressions, and printed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from costmodel.errors import UsageError
from costmodel.formulas.cost import Cost
from costmodel.formulas.sizes import is_symbolic
from costmodel.formulas.symbols import symbol

if TYPE_CHECKING:
    from costmodel.formulas.algebra import Crossover, Ratio

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
    "communication",
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
    difference: str = ""
    """Why it differs from the exact count, in one sentence."""


@dataclass(frozen=True)
class Formula:
    """The closed-form cost of one family of operators; call it with its symbols as keywords."""

    name: str
    kind: Kind
    function: Callable[..., Cost]
    source: str
    textbook: Textbook | None = None
    gemm_function: Callable[..., tuple[Any, Any, Any, Any]] | None = None
    parts_function: Callable[..., Mapping[str, Cost]] | None = None

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
        from costmodel.formulas.notation import tidy

        return tidy(self.cost.intensity)

    # ------------------------------------------------------------ evaluation

    def __call__(self, **values: Any) -> Cost:
        """The cost at given values: numbers, NumPy arrays or sympy expressions.

        Raises:
            UsageError: if a symbol is missing or unknown.
        """
        self._check(values)
        if is_symbolic(*values.values()):
            return self.function(**_symbolic(values))
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

    def _check(self, values: Mapping[str, Any]) -> None:
        missing = [name for name in self.symbols if name not in values]
        unknown = [name for name in values if name not in self.symbols]
        if missing or unknown:
            problem = f"missing {', '.join(missing)}" if missing else f"no {', '.join(unknown)}"
            raise UsageError(f"formula {self.name!r} takes {', '.join(self.symbols)}: {problem}")

    # ------------------------------------------------------------ composition

    def parts(self, **values: Any) -> Mapping[str, Cost]:
        """What a composition is made of, by name; a single operator is its own only part.

        Raises:
            UsageError: if a symbol is missing or unknown.
        """
        if self.parts_function is None:
            return {self.name: self(**values)}
        self._check(values)
        if is_symbolic(*values.values()):
            return self.parts_function(**_symbolic(values))
        names, evaluate = self._parts
        columns = evaluate(*(values[name] for name in self.symbols))
        width = len(COST_FIELDS)
        return {name: Cost(*columns[i * width : (i + 1) * width]) for i, name in enumerate(names)}

    @cached_property
    def _parts(self) -> tuple[tuple[str, ...], Callable[..., list[Any]]]:
        """Names of the parts, and the fields of their costs one after the other."""
        assert self.parts_function is not None
        parts = self.parts_function(**{name: symbol(name) for name in self.symbols})
        fields = [getattr(cost, name) for cost in parts.values() for name in COST_FIELDS]
        return tuple(parts), self._compile(fields)

    # ------------------------------------------------------------- comparison

    def ratio_to(self, other: str | Formula, **shared: Any) -> Ratio:
        """How many times the cost of another operator this one has, as sympy expressions.

        Args:
            other: a formula or its name.
            shared: values of symbols of either, as numbers, expressions or text ("c/4"); bytes
                per element are taken as equal throughout unless given.

        Raises:
            UnknownNameError: if there is no such formula.
            UsageError: for a value that belongs to neither.
        """
        from costmodel.formulas.algebra import ratio

        return ratio(self, other, shared)

    def crossover(
        self, other: str | Formula, *, symbol: str, peak: float, bandwidth: float, **values: Any
    ) -> tuple[Crossover, ...]:
        """Sizes at which this operator and another take equally long on a roofline.

        Args:
            other: a formula or its name.
            symbol: the size to solve for.
            peak: FLOP/s of the device.
            bandwidth: B/s of the device.
            values: all other symbols of both, as numbers, or expressions of the one solved for.

        Raises:
            UnknownNameError: if there is no such formula.
            UsageError: if a value is missing, or belongs to neither.
        """
        from costmodel.formulas.algebra import crossovers

        return crossovers(self, other, symbol, peak, bandwidth, values)

    # ---------------------------------------------------------------- display

    def latex(self, quantity: str = "macs") -> str:
        """One quantity of the cost as LaTeX: "macs", "flops", "bytes", "intensity" …

        Raises:
            UsageError: if a cost has no such quantity.
        """
        import sympy

        from costmodel.formulas.notation import tidy

        if not hasattr(self.cost, quantity):
            known = ", ".join((*COST_FIELDS, "flops", "bytes", "intensity"))
            raise UsageError(f"formula {self.name!r} has no {quantity!r}; it has {known}")
        result: str = sympy.latex(tidy(getattr(self.cost, quantity)))
        return result

    def _repr_latex_(self) -> str:
        rows = (
            rf"\text{{{label}}} &= {self.latex(quantity)}"
            for label, quantity in (
                ("MACs", "macs"),
                ("other FLOPs", "other_flops"),
                ("bytes read", "bytes_read"),
                ("bytes written", "bytes_written"),
                ("parameters", "parameters"),
            )
        )
        return r"$$\begin{aligned}" + r" \\ ".join(rows) + r"\end{aligned}$$"


def _symbolic(values: Mapping[str, Any]) -> dict[str, Any]:
    import sympy

    return {name: sympy.sympify(value) for name, value in values.items()}
