"""The workload: operators as the laws see them, costs joined with how each one runs.

The cost columns say how much an operator computes and moves. The laws also ask where its inputs
are likely to be (how many bytes went by since they were last touched), whether they are
channels-last, whether an attention stays on the fused path. Those are its traits. Operators that
are equal in cost and traits share a row, so repeated blocks are evaluated once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import NamedTuple

import numpy as np

from costmodel.formulas.columns import Columns, CostColumns
from costmodel.graph import Graph, Op, TensorSpec
from costmodel.roofline.elements import Elements, elements_of
from costmodel.roofline.fixed_columns import FixedColumns, fixed_columns

Array = np.ndarray


class Reuse(NamedTuple):
    """How long ago one data input was last touched, in bytes of traffic since then.

    The distance is `fixed + growing` at the traced batch; `growing` follows the batch. An input
    that nothing touched before has an infinite distance.
    """

    share: float
    """Of the operator's data read."""
    fixed: float
    growing: float


class Traits(NamedTuple):
    """How an operator runs, beyond what it costs and when its inputs were touched."""

    channels_last: bool
    """Whether the data input is a channels-last image."""
    crossed: float
    """Share of the data read whose dimensions lie in another order than those of the output."""
    constant: bool
    """Whether it works on weights alone, the same for every batch size."""
    unfused: bool
    """Attention that leaves the fused path: inputs that are not 4-D."""
    taps: int
    """Kernel taps of a convolution, 0 for others."""
    kernel_is_square: bool
    bias: bool
    """Convolution or product with a bias."""
    in_order: bool
    """A copy that keeps the order of its elements, or writes without reading."""
    along_contraction: bool
    """Product with both operands contiguous along the contraction, as a linear layer has."""
    reduces: bool
    """A fused operator that reduces data which it also passes on: it reads it twice."""
    lines: float
    """Rows that a layer norm or softmax works through at the traced batch, 0 for others."""
    line_length: float
    """Elements of each of those rows."""
    planes: float
    """Image planes of the output (samples x channels) at the traced batch, 0 if not 4-D."""
    pixels: float
    """Pixels of each of those planes."""
    elements: Elements
    """What it computes one by one, at the traced batch."""


@dataclass(frozen=True, eq=False)
class Workload:
    """Distinct operators with their traits; row arrays are (rows,)."""

    columns: Columns
    base: Array
    """(rows,) index of each row into the cost columns' table."""
    counts: Array
    """(rows,) how many operators of the graph share the row."""
    row_of_op: Array
    """(operators,) row of each operator, -1 for views."""
    traits: tuple[Traits, ...]
    reuses: tuple[tuple[Reuse, Reuse], ...]
    """(rows,) of the largest data input; and of all further ones, at the nearest of them."""
    traced_traffic: tuple[float, float]
    """Bytes moved by the whole graph at the traced batch: (fixed, growing with the batch)."""

    @property
    def graph(self) -> Graph:
        """The graph it came from."""
        return self.columns.graph

    @property
    def traced_batch(self) -> int:
        """Samples that the graph was traced with."""
        return self.graph.batch

    @cached_property
    def fixed(self) -> FixedColumns:
        """What neither the batch nor the precision changes."""
        return fixed_columns(self)

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """(rows,) kind of each row."""
        return tuple(self.columns.kinds[i] for i in self.base)

    @cached_property
    def dtypes(self) -> tuple[str, ...]:
        """(rows,) dtype each row computes in, as traced."""
        return tuple(self.columns.dtypes[i] for i in self.base)

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """(rows,) operator name of each row."""
        return tuple(self.columns.table[i].target for i in self.base)

    def is_kind(self, *kinds: str) -> Array:
        """(rows,) whether the row is of one of these kinds."""
        return np.array([kind in kinds for kind in self.kinds], dtype=bool)

    def trait(self, name: str) -> Array:
        """(rows,) one trait as a column."""
        return np.array([getattr(traits, name) for traits in self.traits])

    def cost(self, batches: Array, dtype: str) -> CostColumns:
        """Cost of every row at every batch size: arrays are (batches, rows)."""
        return CostColumns.of(self.columns.values(batches, dtype).take(self.base, -1))


def workload_of(columns: Columns) -> Workload:
    """Find the traits of every operator of a graph and merge equal ones."""
    graph = columns.graph
    fixed, growing = (part.tolist() for part in columns.traffic)
    sizes = {i: float(graph.tensors[i].bytes) for i in set(columns.alike.tensors)}
    alike = columns.alike.tensors
    operands = [
        _Operand(x.storage, sizes[like], x.batched, x.is_weight, _is_whole(graph, x, sizes, alike))
        for x, like in zip(graph.tensors, alike, strict=True)
    ]
    touched: dict[int, tuple[float, float]] = {}
    so_far = (0.0, 0.0)
    sorts: dict[tuple[int, Traits], int] = {}
    sort_of: dict[int, int] = {}
    rows: dict[tuple[int, tuple[Reuse, Reuse]], int] = {}
    row_of_op = [-1] * len(graph.ops)
    bases = columns.row_of_op.tolist()
    for index, (op, like) in enumerate(zip(graph.ops, columns.alike.ops, strict=True)):
        if like < 0:
            continue
        base = bases[index]
        sort = sort_of.get(like)
        if sort is None:
            traits = _traits(graph, op, columns.table[base].binding.values)
            sort = sort_of[like] = sorts.setdefault((base, traits), len(sorts))
        used = [operands[i] for i in op.inputs if i is not None]
        row_of_op[index] = rows.setdefault((sort, _reuses(used, touched, so_far)), len(rows))
        so_far = (so_far[0] + fixed[base], so_far[1] + growing[base])
        for operand in (*used, *(operands[i] for i in op.outputs)):
            if operand.is_whole or operand.storage in touched:
                touched[operand.storage] = so_far
    distinct, placed = list(sorts), np.array(row_of_op, dtype=np.int64)
    return Workload(
        columns=columns,
        base=np.array([distinct[sort][0] for sort, _ in rows], dtype=np.int64),
        counts=np.bincount(placed[placed >= 0], minlength=len(rows)),
        row_of_op=placed,
        traits=tuple(distinct[sort][1] for sort, _ in rows),
        reuses=tuple(reuses for _, reuses in rows),
        traced_traffic=so_far,
    )


class _Operand(NamedTuple):
    storage: int
    bytes: float
    batched: bool
    is_weight: bool
    is_whole: bool
    """Whether touching it brings all of its memory near: not so a slice of a model input, such as
    the place of one token in a cache."""


def _is_whole(
    graph: Graph, spec: TensorSpec, sizes: Mapping[int, float], alike: Sequence[int]
) -> bool:
    owner = graph.tensors[spec.storage]
    return owner.kind != "input" or sizes[alike[spec.id]] >= sizes[alike[owner.id]]


def _traits(graph: Graph, op: Op, values: Mapping[str, float]) -> Traits:
    inputs = [graph.tensors[i] for i in op.inputs if i is not None]
    data = [spec for spec in inputs if not spec.is_weight]
    output = graph.tensors[op.outputs[0]] if op.outputs else inputs[0]
    image = len(output.shape) == 4
    main = data[0] if data else inputs[0] if inputs else output
    square = values.get("k_h", 1) == values.get("k_w", 1)
    return Traits(
        channels_last=is_channels_last(main) or op.attrs.get("layout") == "nhwc",
        crossed=_crossed_share(data, output),
        constant=not output.batched,
        unfused=op.target.endswith("scaled_dot_product_attention") and len(main.shape) != 4,
        taps=int(values.get("k_h", 1) * values["k_w"] * values.get("k_d", 1))
        if "k_w" in values
        else 0,
        kernel_is_square=bool(square),
        bias=bool(values.get("bias", 0)) and not op.attrs.get("bias_fused", False),
        in_order=_is_in_order(op, inputs, output),
        along_contraction=_is_along_contraction(op, inputs),
        reduces=not _REDUCING.isdisjoint(op.attrs.get("operators", ())),
        lines=float(values["m"]) if op.target in _ROW_BY_ROW else 0.0,
        line_length=float(values["c"]) if op.target in _ROW_BY_ROW else 0.0,
        planes=float(output.shape[0] * output.shape[1]) if image else 0.0,
        pixels=float(output.shape[2] * output.shape[3]) if image else 0.0,
        elements=elements_of(graph, op),
    )


def _crossed_share(data: list[TensorSpec], output: TensorSpec) -> float:
    inner = _innermost(output)
    crossed = sum(
        x.bytes for x in data if x.shape == output.shape and _innermost(x) not in (None, inner)
    )
    return float(crossed / (sum(x.bytes for x in data) or 1))


def _innermost(spec: TensorSpec) -> int | None:
    """The dimension whose neighbours lie nearest in memory, None if all elements are one."""
    steps = spec.strides or (1,) * len(spec.shape)
    dims = [i for i, size in enumerate(spec.shape) if size > 1 and steps[i]]
    return min(dims, key=lambda i: (steps[i], -i), default=None)


def _is_in_order(op: Op, inputs: list[TensorSpec], output: TensorSpec) -> bool:
    if op.target in ("aten::clone", "aten::copy"):
        return inputs[-1].shape == output.shape and inputs[-1].strides == output.strides
    return not inputs


def _is_along_contraction(op: Op, inputs: list[TensorSpec]) -> bool:
    name = op.target.partition("::")[2]
    if name not in ("mm", "bmm", "matmul", "addmm", "baddbmm"):
        return name == "linear"
    *_, left, right = inputs
    if len(right.shape) < 2 or left.strides is None or right.strides is None:
        return False
    return bool(left.strides[-1] == 1 and right.strides[-2] == 1 and right.shape[-1] > 1)


_REDUCING = frozenset(
    f"aten::{name}"
    for name in (
        "mean", "sum", "var_mean", "_adaptive_avg_pool2d", "native_group_norm", "group_norm",
    )
)  # fmt: skip
"""Operators that reduce whole planes, whose elements are then needed again."""

_ROW_BY_ROW = frozenset(
    f"aten::{name}"
    for name in (
        "layer_norm", "native_layer_norm", "softmax", "_softmax", "_safe_softmax", "log_softmax",
        "_log_softmax",
    )
)  # fmt: skip
"""Operators whose kernels give a block of threads to each row."""

_NEVER = Reuse(0.0, 0.0, 0.0)


def _reuses(
    inputs: list[_Operand],
    touched: dict[int, tuple[float, float]],
    so_far: tuple[float, float],
) -> tuple[Reuse, Reuse]:
    """Reuse of the largest data input and of all others together."""
    found: dict[int, tuple[float, float, float]] = {}
    for storage, size, batched, is_weight, _ in inputs:
        if is_weight:
            continue
        fixed, growing = inf, 0.0
        if (since := touched.get(storage)) is not None:
            fixed, growing = so_far[0] - since[0], so_far[1] - since[1]
        if batched:
            growing += size
        else:
            fixed += size
        found[storage] = (size, fixed, growing)
    if not found:
        return _NEVER, _NEVER
    if len(found) == 1:
        ((size, fixed, growing),) = found.values()
        return Reuse(1.0 if size else 0.0, fixed, growing), _NEVER
    ranked = sorted(found.values(), reverse=True)
    share = ranked[0][0] / (sum(size for size, _, _ in ranked) or 1.0)
    nearest = min(ranked[1:], key=lambda r: r[1] + r[2])
    return Reuse(share, *ranked[0][1:]), Reuse(1 - share, *nearest[1:])


def is_channels_last(spec: TensorSpec) -> bool:
    """Whether an image's channels are innermost in memory."""
    return len(spec.shape) == 4 and spec.strides is not None and spec.strides[1] == 1
