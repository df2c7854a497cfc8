"""Operator columns: everything the engine needs to know of operators, as plain arrays.

A workload at given batch sizes and precision becomes these columns; from here on nothing knows of
graphs. Several workloads can be stacked, which is how constants are fitted on hundreds of models
at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Protocol, cast

import numpy as np

from costmodel.formulas.columns import CostColumns
from costmodel.graph import DTYPE_BYTES
from costmodel.roofline.elements import Elements
from costmodel.roofline.fixed_columns import MATRIX_KINDS as MATRIX_KINDS
from costmodel.roofline.fixed_columns import FixedColumns
from costmodel.roofline.precision import Precision

Array = np.ndarray


class Work(Protocol):
    """What the engine asks of a graph: a `Workload`, or its `Outline`."""

    @property
    def traced_batch(self) -> int:
        """Samples that the graph was traced with."""

    @property
    def counts(self) -> Array:
        """(rows,) how many operators of the graph share a row."""

    @property
    def fixed(self) -> FixedColumns:
        """What neither the batch nor the precision changes."""

    @property
    def traced_traffic(self) -> tuple[float, float]:
        """Bytes moved by the whole graph at the traced batch: what stays, what grows."""

    def cost(self, batches: Array, dtype: str) -> CostColumns:
        """Cost of every row at every batch size: arrays are (batches, rows)."""

    def __hash__(self) -> int:
        """One is itself alone."""


@dataclass(frozen=True)
class OperatorColumns:
    """Operators as arrays: (batches, rows) where the batch matters, else (rows,)."""

    macs: Array
    other_flops: Array
    data_read: Array
    """Bytes read that are not weights."""
    weight_bytes: Array
    bytes_written: Array
    batches: Array
    """Of the matrix product behind the operator, with rows, columns and contraction; else 0."""
    rows: Array
    columns: Array
    contraction: Array
    first_share: Array
    """Of data_read: the largest input."""
    first_distance: Array
    """Bytes of traffic since that input was last touched; infinite if never."""
    second_share: Array
    second_distance: Array
    whole_run: Array
    """Bytes moved by the whole run: the distance at which weights are read again."""
    lines: Array
    """Rows of a layer norm or softmax, 0 for others."""
    line_length: Array
    planes: Array
    """Image planes of the output."""
    pixels: Array
    plain: Array
    """Elements computed one by one, at what each costs: see `roofline.elements`."""
    exponential: Array
    error_function: Array
    normalized: Array
    moved: Array
    taps: Array
    matrix_code: Array
    """Index into `dtypes` of what MACs compute in."""
    vector_code: Array
    """Index into `dtypes` of what other arithmetic computes in."""
    half: Array
    """16-bit storage."""
    compiled: Array
    scalar: Array
    """In generated code without vector instructions."""
    frozen: Array
    """Weights are constants that a runtime packed beforehand."""
    matrix: Array
    product: Array
    """Matrix products of their own, not behind a convolution or an attention."""
    convolution: Array
    grouped: Array
    depthwise: Array
    attention: Array
    normalization: Array
    pooling: Array
    reordering: Array
    """Copies into another order: all movement but casts."""
    reduces: Array
    bilinear: Array
    channels_last: Array
    crossed: Array
    """Share of the data read whose dimensions lie in another order than those of the output."""
    unfused: Array
    square: Array
    bias: Array
    along_contraction: Array
    """Products with both operands contiguous along the contraction."""
    gradient: Array
    """Gradients of convolutions, of one operand each."""
    weight_gradient: Array
    """Gradients of weights, of convolutions and products: they contract over the batch."""
    norm_gradient: Array
    channel_blocks: Array
    """Channels of a batch norm in training over planar images, each a block's; else infinite."""
    dtypes: tuple[str, ...]

    @property
    def count(self) -> int:
        """Number of rows."""
        return int(self.matrix.shape[-1])


@lru_cache(maxsize=16)
def compute_dtypes(workload: Work, precision: Precision) -> tuple[str, ...]:
    """dtypes the rows compute in: (matrix dtype, storage dtype) come first, then others met."""
    others = {d for d in workload.fixed.dtypes if d != "float32" and d in DTYPE_BYTES}
    return tuple(dict.fromkeys((precision.matrix, precision.storage, *sorted(others))))


def operator_columns(
    workload: Work,
    batches: Array,
    precision: Precision,
    dtypes: tuple[str, ...] | None = None,
) -> OperatorColumns:
    """The columns of a workload.

    Args:
        workload: the graph's rows.
        batches: (batches,) sizes.
        precision: uniform policy applied to float32 tensors.
        dtypes: to index into, by default `compute_dtypes`.
    """
    dtypes = dtypes or compute_dtypes(workload, precision)
    sizes = np.asarray(batches, dtype=np.float64)
    scale = (sizes / workload.traced_batch)[:, None]
    costs = workload.cost(sizes, precision.storage)
    cost, table = costs.cost, workload.fixed
    still, growing = workload.traced_traffic
    return OperatorColumns(
        macs=cost.macs,
        other_flops=cost.other_flops,
        data_read=cost.bytes_read - cost.weight_bytes,
        weight_bytes=cost.weight_bytes,
        bytes_written=cost.bytes_written,
        batches=np.maximum(costs.batches, 1),
        rows=np.maximum(costs.rows, 1),
        columns=np.maximum(costs.columns, 1),
        contraction=np.maximum(costs.contraction, 1),
        first_distance=table.first[0] + table.first[1] * scale,
        second_distance=table.second[0] + table.second[1] * scale,
        whole_run=np.broadcast_to(still + growing * scale, cost.macs.shape),
        **_dtype_codes(table, precision, dtypes),
        **{name: column * scale for name, column in table.growing.items()},
        **_elements(table, scale),
        **table.columns,
        dtypes=dtypes,
    )


@lru_cache(maxsize=64)
def _dtype_codes(
    table: FixedColumns, precision: Precision, dtypes: tuple[str, ...]
) -> dict[str, Array]:
    stored = [precision.storage if d == "float32" else d for d in table.dtypes]
    multiplied = [precision.matrix if d == "float32" else d for d in table.dtypes]
    by_dtype = {
        "matrix_code": np.array([dtypes.index(d) for d in multiplied], dtype=np.int64),
        "vector_code": np.array([dtypes.index(d) for d in stored], dtype=np.int64),
        "half": np.array([DTYPE_BYTES[d] == 2 for d in stored], dtype=bool),
    }
    return {name: values[table.dtype_index] for name, values in by_dtype.items()}


def _elements(table: FixedColumns, scale: Array) -> dict[str, Array]:
    counts = table.elements[:, None, :] * np.where(table.constant, 1.0, scale)
    return dict(zip(Elements._fields, counts, strict=True))


def take(operators: OperatorColumns, rows: Array) -> OperatorColumns:
    """Some rows, by index or mask."""
    values = {
        field.name: getattr(operators, field.name)[..., rows]
        for field in fields(OperatorColumns)
        if field.name != "dtypes"
    }
    return OperatorColumns(**values, dtypes=operators.dtypes)


class _Selected:
    """Some rows of operators; a column is picked when it is first asked for."""

    def __init__(self, operators: OperatorColumns, rows: Array) -> None:
        self._operators, self._rows = operators, rows

    def __getattr__(self, name: str) -> Array:
        column: Array = getattr(self._operators, name).take(self._rows, -1)
        setattr(self, name, column)
        return column


def select(operators: OperatorColumns, rows: Array) -> OperatorColumns:
    """Some rows, by index, for laws that look at a few columns only; see `take`."""
    return cast(OperatorColumns, _Selected(operators, rows))


def stack(parts: Sequence[OperatorColumns]) -> OperatorColumns:
    """Columns of several workloads side by side, each at one batch size and with equal dtypes."""
    values = {}
    for field in fields(OperatorColumns):
        if field.name != "dtypes":
            columns = [np.atleast_1d(np.squeeze(getattr(part, field.name))) for part in parts]
            values[field.name] = np.concatenate(columns)
    return OperatorColumns(**values, dtypes=parts[0].dtypes)
