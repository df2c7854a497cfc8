"""The roofline engine: cost columns x ceilings -> time, for all devices and batches at once.

attainable = min(peak, bandwidth x intensity)      (Williams, Waterman and Patterson, 2009)

so an operator takes the longer of its compute time and its memory time, plus its launch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from costmodel.formulas.columns import Columns
from costmodel.graph import DTYPE_BYTES
from costmodel.roofline.ceilings import Ceilings
from costmodel.roofline.precision import Precision

Array = np.ndarray

BOUNDS = ("compute", "memory", "launch")
"""What limits an operator, by code."""

MATRIX_KINDS = frozenset({"convolution", "grouped convolution", "matmul", "attention"})
"""Kinds whose MACs run on the matrix engine where there is one."""


@dataclass(frozen=True)
class Times:
    """Time of every row in seconds; arrays are (devices, batches, rows)."""

    compute: Array
    memory: Array
    launch: Array

    @property
    def total(self) -> Array:
        """Time of each row, launch included."""
        total: Array = np.maximum(self.compute, self.memory) + self.launch
        return total

    @property
    def bound(self) -> Array:
        """Code into `BOUNDS` of the longest part."""
        return np.argmax(np.stack(np.broadcast_arrays(self.compute, self.memory, self.launch)), 0)


def compute_dtypes(columns: Columns, precision: Precision) -> tuple[str, ...]:
    """dtypes the rows compute in: (matrix dtype, vector dtype) come first, then others met."""
    others = {d for d in columns.dtypes if d != "float32" and d in DTYPE_BYTES}
    return tuple(dict.fromkeys((precision.matrix, precision.storage, *sorted(others))))


def operator_times(
    columns: Columns, ceilings: Ceilings, batches: Array, precision: Precision
) -> Times:
    """Time of every distinct operator of a graph.

    Args:
        columns: the graph's rows.
        ceilings: made for `compute_dtypes(columns, precision)`.
        batches: (batches,) sizes.
        precision: uniform policy applied to float32 tensors.
    """
    cost = columns.evaluate(batches, precision.storage).cost
    matrix = np.array([kind in MATRIX_KINDS for kind in columns.kinds])
    code = {name: i for i, name in enumerate(ceilings.dtypes)}
    storage = [code[precision.storage if d == "float32" else d] for d in columns.dtypes]
    product = [code[precision.matrix if d == "float32" else d] for d in columns.dtypes]
    vector_rate = ceilings.vector_peak[:, storage][:, None, :]
    macs_rate = np.where(matrix, ceilings.matrix_peak[:, product], ceilings.vector_peak[:, storage])
    compute = 2 * cost.macs / macs_rate[:, None, :] + cost.other_flops / vector_rate
    memory = cost.bytes / ceilings.bandwidth[:, None, None]
    launch = np.broadcast_to(ceilings.launch[:, None, None], compute.shape)
    return Times(compute, memory, launch)
