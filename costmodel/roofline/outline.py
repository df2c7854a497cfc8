"""A workload without its graph: all that times and energies need, as numbers that a file can hold.

A graph of thousands of operators has a few dozen different ones; its outline is read back in a
fraction of the time that the graph and its costs take.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from costmodel.errors import GraphError
from costmodel.formulas.columns import FIELDS, CostColumns, Line
from costmodel.graph import DTYPE_BYTES
from costmodel.roofline.elements import Elements
from costmodel.roofline.fixed_columns import FixedColumns
from costmodel.roofline.precision import PRECISIONS
from costmodel.roofline.workload import Workload

Array = np.ndarray

FORMAT = "costmodel-outline-1"
STORED = {float(DTYPE_BYTES[p.storage]): p.storage for p in PRECISIONS.values()}
"""A dtype for each width in bytes that a precision can store float32 tensors in."""


@dataclass(frozen=True, eq=False)
class Outline:
    """Distinct operators as numbers; arrays end in (rows,). Takes the place of a `Workload`."""

    traced_batch: int
    counts: Array
    """(rows,) how many operators of the graph share the row."""
    fixed: FixedColumns
    traced_traffic: tuple[float, float]
    """Bytes moved by the whole graph at the traced batch: (fixed, growing with the batch)."""
    lines: Mapping[float, Line]
    """Costs over the batch, by the width of what float32 tensors are stored as."""

    def cost(self, batches: Array, dtype: str) -> CostColumns:
        """Cost of every row at every batch size: arrays are (batches, rows)."""
        line = self.lines[float(DTYPE_BYTES[dtype])]
        return CostColumns.of(line.at(batches / self.traced_batch))


def outline_of(workload: Workload) -> Outline | None:
    """The outline of a workload; None if a cost grows with more than the batch itself."""
    lines = {
        width: workload.columns.line(dtype).take(workload.base) for width, dtype in STORED.items()
    }
    if not all(line.straight for line in lines.values()):
        return None
    return Outline(
        traced_batch=workload.traced_batch,
        counts=workload.counts,
        fixed=workload.fixed,
        traced_traffic=workload.traced_traffic,
        lines=lines,
    )


def written(outline: Outline) -> bytes:
    """A line of JSON, which says what is where, and the numbers: one row of float64 for each."""
    fixed = outline.fixed
    columns: list[tuple[str, Array]] = [
        ("counts", outline.counts),
        *fixed.columns.items(),
        *fixed.growing.items(),
    ]
    blocks = [
        *(column[None] for _, column in columns),
        fixed.elements,
        fixed.first,
        fixed.second,
        fixed.constant[None],
        fixed.dtype_index[None],
        *(part for line in outline.lines.values() for part in (line.fixed, line.growing)),
    ]
    head = {
        "format": FORMAT,
        "batch": outline.traced_batch,
        "traffic": outline.traced_traffic,
        "dtypes": fixed.dtypes,
        "rows": len(outline.counts),
        "columns": [(name, column.dtype.kind) for name, column in columns],
        "growing": list(fixed.growing),
        "widths": list(outline.lines),
    }
    numbers = np.concatenate([np.asarray(block, dtype=np.float64) for block in blocks])
    return json.dumps(head).encode() + b"\n" + numbers.astype("<f8").tobytes()


def read(content: bytes) -> Outline:
    """What `written` wrote.

    Raises:
        GraphError: if the content is something else.
    """
    try:
        start, _, rest = content.partition(b"\n")
        head = json.loads(start)
        if head["format"] != FORMAT:
            raise GraphError("not an outline of this version")
        numbers = np.frombuffer(rest, dtype="<f8").reshape(-1, head["rows"])
        return _outline(head, numbers)
    except (LookupError, TypeError, ValueError) as error:
        raise GraphError(f"not an outline: {error}") from error


def _outline(head: Mapping[str, Any], numbers: Array) -> Outline:
    place = 0

    def block(size: int) -> Array:
        nonlocal place
        place += size
        return numbers[place - size : place]

    kinds = {"b": np.bool_, "i": np.int64, "f": np.float64}
    columns = {name: block(1)[0].astype(kinds[kind]) for name, kind in head["columns"]}
    counts = columns.pop("counts")
    growing = {name: columns.pop(name) for name in head["growing"]}
    elements, first, second = block(len(Elements._fields)), block(2), block(2)
    constant, dtype_index = block(1)[0].astype(np.bool_), block(1)[0].astype(np.int64)
    lines = {
        width: Line(block(len(FIELDS)), block(len(FIELDS)), straight=True)
        for width in head["widths"]
    }
    if place != len(numbers):
        raise ValueError(f"{len(numbers)} columns, expected {place}")
    still, grows = head["traffic"]
    return Outline(
        traced_batch=head["batch"],
        counts=counts,
        fixed=FixedColumns(
            columns=columns,
            growing=growing,
            elements=elements,
            constant=constant,
            first=first,
            second=second,
            dtypes=tuple(head["dtypes"]),
            dtype_index=dtype_index,
        ),
        traced_traffic=(still, grows),
        lines=lines,
    )
