"""A graph as columns of symbol values: bind every operator once, evaluate for any batch and dtype.

Equal operators (same formula, same symbol values, same dtypes) share a row, so a network of a
hundred blocks has a few dozen rows. Views have none. A new batch size or precision re-evaluates
the formulas on the columns and never re-traces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from typing import Any, NamedTuple

import numpy as np

from costmodel.errors import GraphError, UncoveredOperatorError, UsageError
from costmodel.formulas.alike import Likeness, likeness
from costmodel.formulas.cost import Cost
from costmodel.formulas.elementwise import operand_elements
from costmodel.formulas.registry import (
    COST_FIELDS,
    Binder,
    Binding,
    Formula,
    Kind,
    bind,
    binder_of,
    get_formula,
)
from costmodel.formulas.symbols import BYTES
from costmodel.formulas.valid_taps import bind_valid_convolution
from costmodel.graph import DTYPE_BYTES, Graph, Op, TensorSpec

Array = np.ndarray

GEMM_FIELDS = ("batches", "rows", "columns", "contraction")
FIELDS = (*COST_FIELDS, *GEMM_FIELDS)
BYTES_MOVED = [FIELDS.index("bytes_read"), FIELDS.index("bytes_written")]

SCALES = np.array([[1.0], [2.0], [64.0]])
"""Over the traced batch: two tell a line, the third whether it is one."""


class _Operand(NamedTuple):
    """Elements and bytes of one operand role (data, weights or output) of one row."""

    elements: float
    float32: float
    """How many of the elements are float32, the ones a precision setting converts."""
    other_bytes: float
    """Bytes of the elements that stay as they are."""

    def bytes_per_element(self, float32_bytes: float) -> float:
        if not self.elements or self.elements == self.float32:
            return float32_bytes
        return (self.float32 * float32_bytes + self.other_bytes) / self.elements


class Row(NamedTuple):
    """One distinct operator: what the columns are built from."""

    binding: Binding
    kind: Kind
    dtype: str
    """Of the first data operand: the arithmetic it runs in."""
    data: _Operand
    weights: _Operand
    output: _Operand
    batched: bool
    target: str


@dataclass(frozen=True)
class CostColumns:
    """Costs of every row; arrays are (rows,) or (batches, rows)."""

    cost: Cost
    batches: Array
    """Independent matrix products (groups, heads); 0 where there is no matrix product."""
    rows: Array
    columns: Array
    contraction: Array

    @classmethod
    def of(cls, values: Array) -> CostColumns:
        """From an array (`FIELDS`, ..., rows)."""
        *cost, batches, rows, columns, contraction = values
        return cls(Cost(*cost), batches, rows, columns, contraction)


class Line(NamedTuple):
    """Values of every row through two batches, (`FIELDS`, rows) at the traced one."""

    fixed: Array
    """What stays."""
    growing: Array
    """What follows the batch."""
    straight: bool
    """Whether all batches are on the line: a contrastive loss grows with their square."""

    def at(self, scale: Array) -> Array:
        """(`FIELDS`, ..., rows) at batches (...) over the traced one."""
        fixed, growing, scale = self.fixed, self.growing, scale[..., None]
        if scale.ndim > 1:
            fixed, growing = fixed[:, None], growing[:, None]
        return np.asarray(fixed + growing * scale)

    def take(self, rows: Array) -> Line:
        """Some rows, by index."""
        return Line(self.fixed.take(rows, -1), self.growing.take(rows, -1), self.straight)


@dataclass(frozen=True)
class Columns:
    """The distinct operators of a graph and where each operator of the graph has its row."""

    graph: Graph
    table: tuple[Row, ...]
    row_of_op: Array
    """(operators,) index into the table; -1 for views."""
    alike: Likeness
    """Of the graph's operators and tensors."""
    _lines: dict[str, Line] = field(default_factory=dict, repr=False)

    @cached_property
    def counts(self) -> Array:
        """(rows,) how many operators of the graph share each row."""
        return np.bincount(self.row_of_op[self.row_of_op >= 0], minlength=len(self.table))

    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """(rows,) kind of each row."""
        return tuple(row.kind for row in self.table)

    @cached_property
    def dtypes(self) -> tuple[str, ...]:
        """(rows,) dtype each row computes in, as traced."""
        return tuple(row.dtype for row in self.table)

    @cached_property
    def uncovered(self) -> Array:
        """(rows,) whether the row has no formula of its own."""
        return np.array([kind == "uncovered" for kind in self.kinds], dtype=bool)

    def require_coverage(self) -> None:
        """Raise if an operator has no formula.

        Raises:
            UncoveredOperatorError: naming each with its count.
        """
        missing: dict[str, int] = {}
        for row, count in zip(self.table, self.counts, strict=True):
            if row.kind == "uncovered":
                missing[row.target] = missing.get(row.target, 0) + int(count)
        if missing:
            listed = ", ".join(f"{name} (x{count})" for name, count in sorted(missing.items()))
            raise UncoveredOperatorError(
                f"{self.graph.name}: no formula for {listed}; add one (see CONTRIBUTING.md) "
                "or drop --strict to charge only their bytes"
            )

    @cached_property
    def _groups(self) -> list[_Group]:
        members: dict[str, list[int]] = {}
        for index, row in enumerate(self.table):
            members.setdefault(row.binding.formula, []).append(index)
        return [
            _Group.of(get_formula(name), indices, [self.table[i] for i in indices])
            for name, indices in members.items()
        ]

    def evaluate(self, batch: float | Array | None = None, dtype: str = "float32") -> CostColumns:
        """Cost of every row.

        Args:
            batch: samples; a (batches,) array gives (batches, rows) results; None as traced.
            dtype: what float32 tensors are converted to ("float32" leaves them).
        """
        return CostColumns.of(self.values(self.graph.batch if batch is None else batch, dtype))

    def values(self, batch: float | Array, dtype: str) -> Array:
        """(`FIELDS`, rows) or (`FIELDS`, batches, rows) of what `evaluate` gives."""
        scale = np.asarray(batch, dtype=np.float64) / self.graph.batch
        line = self.line(dtype)
        return line.at(scale) if line.straight else self._evaluate(scale[..., None], dtype)

    @property
    def traffic(self) -> tuple[Array, Array]:
        """(rows,) bytes of each row at the traced batch: what stays, what grows with the batch."""
        line = self.line("float32")
        return line.fixed[BYTES_MOVED].sum(axis=0), line.growing[BYTES_MOVED].sum(axis=0)

    def line(self, dtype: str) -> Line:
        """Costs over the batch, float32 tensors converted to a dtype."""
        if dtype not in self._lines:
            once, twice, often = self._evaluate(SCALES, dtype).swapaxes(0, 1)
            fixed, growing = 2 * once - twice, twice - once
            straight = np.allclose(fixed + growing * SCALES[-1], often, rtol=1e-12, atol=0)
            self._lines[dtype] = Line(fixed, growing, straight)
        return self._lines[dtype]

    def _evaluate(self, scale: Array, dtype: str) -> Array:
        """(`FIELDS`, ..., rows) from the formulas; `scale` (..., 1) over the traced batch."""
        found = np.zeros((len(FIELDS), *scale.shape[:-1], len(self.table)))
        try:
            with np.errstate(divide="raise", invalid="raise", over="raise"):
                for group in self._groups:
                    group.place(group.arguments(scale, DTYPE_BYTES[dtype]), found)
        except FloatingPointError as error:
            names = ", ".join(sorted({self.table[i].target for i in group.indices}))
            raise GraphError(
                f"{self.graph.name}: {names}: sizes that give no finite cost ({error})"
            ) from error
        return found


@dataclass(frozen=True)
class _Group:
    """The rows of one formula: columns of its symbols, by name."""

    formula: Formula
    indices: Array
    values: Mapping[str, Array]
    """At the traced batch."""
    follows: Mapping[str, Array]
    """Which entries follow the batch, of those symbols that have such."""
    operands: Mapping[str, tuple[_Operand, ...]]
    """Those of the rows, by the symbol for their bytes per element."""
    _widths: dict[float, dict[str, Array]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, formula: Formula, indices: list[int], rows: list[Row]) -> _Group:
        values: dict[str, Array] = {}
        follows: dict[str, Array] = {}
        operands: dict[str, tuple[_Operand, ...]] = {}
        for symbol in formula.symbols:
            if symbol in BYTES:
                operands[symbol] = tuple(getattr(row, _ROLES[symbol]) for row in rows)
                continue
            values[symbol] = np.array([row.binding.values[symbol] for row in rows], np.float64)
            grows = np.array([row.batched and symbol in row.binding.follows for row in rows])
            if grows.any():
                follows[symbol] = grows
        return cls(formula, np.array(indices), values, follows, operands)

    def arguments(self, scale: Array, float32_bytes: float) -> list[Array]:
        """Values of the formula's symbols, in order."""
        if float32_bytes not in self._widths:
            self._widths[float32_bytes] = {
                symbol: np.array([x.bytes_per_element(float32_bytes) for x in operands])
                for symbol, operands in self.operands.items()
            }
        found = {**self.values, **self._widths[float32_bytes]}
        for symbol, grows in self.follows.items():
            found[symbol] = found[symbol] * np.where(grows, scale, 1.0)
        return [found[symbol] for symbol in self.formula.symbols]

    def place(self, arguments: list[Array], columns: Array) -> None:
        """Write what the formula gives to the group's rows of columns (`FIELDS`, ..., rows)."""
        results = self.formula.evaluate(*arguments)
        if self.formula.gemm is not None:
            results = [*results, *self.formula.gemm(*arguments)]
        for result, column in zip(results, columns, strict=False):
            if not isinstance(result, int) or result:  # most operators lack most of them
                column[..., self.indices] = result


_ROLES = {"b_x": "data", "b_w": "weights", "b_y": "output"}
"""The operands of a row that each width is of."""


def columns_of(graph: Graph, valid_taps: bool = False) -> Columns:
    """Bind every operator of a graph to its formula.

    Args:
        graph: a traced model.
        valid_taps: leave out what convolutions multiply with padding (`formulas.valid_taps`).

    Raises:
        UsageError: if the graph has symbolic sizes.
    """
    if graph.symbols:
        raise UsageError(
            f"{graph.name} has symbolic sizes {', '.join(graph.symbols)}: substitute numbers "
            "first, as in graph.substitute(batch=1)"
        )
    variants = _VALID_TAPS if valid_taps else {}
    keys: dict[Any, int] = {}
    rows: list[Row] = []
    alike = likeness(graph)
    row_of: dict[int, int] = {-1: -1}
    for index in dict.fromkeys(alike.ops):
        if index < 0:
            continue
        op = graph.ops[index]
        binder = variants.get(op.target) or binder_of(op.target)
        row = bind_op(op, graph.inputs_of(op), graph.outputs_of(op), binder)
        binding = row.binding
        key = (binding.formula, tuple(binding.values.values()), binding.follows, *row[1:])
        try:
            found = keys.get(key)
            if found is None:
                _require_numbers(binding)
                found = keys[key] = len(rows)
                rows.append(row)
        except _UNFIT as error:
            raise _unfit(op, graph.inputs_of(op)) from error
        row_of[index] = found
    row_of_op = np.array([row_of[index] for index in alike.ops], dtype=np.int64)
    return Columns(graph, tuple(rows), row_of_op, alike)


_VALID_TAPS: Mapping[str, Binder] = {
    "aten::convolution": bind_valid_convolution,
    "aten::_convolution": bind_valid_convolution,
}


_UNFIT = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What a binding runs into when an operator has other tensors or attributes than it should."""


def _unfit(op: Op, inputs: list[TensorSpec | None]) -> GraphError:
    shapes = ", ".join("none" if x is None else str(x.shape) for x in inputs)
    return GraphError(
        f"{op.target} in {op.module or 'the model'}: inputs {shapes or 'none'} and attributes "
        f"{op.attrs!s:.200} are not those of such an operator"
    )


def _require_numbers(binding: Binding) -> None:
    for symbol, value in binding.values.items():
        if isinstance(value, str) or not 0 <= float(value) < inf:
            raise ValueError(f"{symbol} is {value}")


def bind_op(
    op: Op,
    inputs: list[TensorSpec | None],
    outputs: list[TensorSpec],
    binder: Binder | None = None,
) -> Row:
    """The row of one operator: its formula's symbol values and the dtypes of its operands.

    An operator without a formula is charged its bytes, under the kind "uncovered".

    Args:
        op: the operator.
        inputs: its input tensors, None where an optional one is absent.
        outputs: its output tensors.
        binder: how it fills in a formula; by default the one registered for its name.

    Raises:
        GraphError: if the tensors or attributes are none that such an operator can have.
    """
    batched = any(y.batched for y in outputs) or any(x is not None and x.batched for x in inputs)
    binder = binder or binder_of(op.target)
    if binder is None:
        data_elements, constant = operand_elements(inputs, batched)
        written = sum(y.numel for y in outputs)
        binding = bind(
            "movement", kind="uncovered", primitive=op.target,
            e_x=data_elements, e_w=constant, e_y=written,
        )  # fmt: skip
    else:
        try:
            binding = binder(op, inputs, outputs)
        except _UNFIT as error:
            raise _unfit(op, inputs) from error
    if batched and not any(y.batched for y in outputs):
        binding = binding._replace(follows=binding.follows - {"e_y"})  # summed over the batch
    kind = binding.kind or get_formula(binding.formula).kind
    data: list[TensorSpec] = []
    weights: list[TensorSpec] = []
    for position, spec in enumerate(inputs):
        if spec is not None and position not in binding.indices:
            role = weights if spec.is_weight or (batched and not spec.batched) else data
            role.append(spec)
    first = data[0] if data else (weights[0] if weights else outputs[0] if outputs else None)
    return Row(
        binding=binding,
        kind=kind,
        dtype=first.dtype if first is not None else "float32",
        data=_operand(data),
        weights=_operand(weights),
        output=_operand(outputs),
        batched=batched,
        target=op.target,
    )


def _operand(specs: list[TensorSpec]) -> _Operand:
    elements = float32 = other = 0  # whole numbers, so that symbolic sizes stay exact
    for spec in specs:
        count = spec.distinct
        elements += count
        if spec.dtype == "float32":
            float32 += count
        else:
            other += count * DTYPE_BYTES[spec.dtype]
    return _Operand(elements, float32, other)
