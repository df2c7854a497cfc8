"""What neither the batch nor the precision changes of a workload's columns, worked out once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from costmodel.roofline.elements import Elements

if TYPE_CHECKING:
    from costmodel.roofline.workload import Workload

Array = np.ndarray

MATRIX_KINDS = ("convolution", "grouped convolution", "matmul", "attention", "recurrent")
"""Kinds whose MACs run on the matrix engine where there is one."""


@dataclass(frozen=True, eq=False)
class FixedColumns:
    """Columns of a workload; arrays end in (rows,) and must not be written to."""

    columns: dict[str, Array]
    """Those of `OperatorColumns` that stay as they are."""
    growing: dict[str, Array]
    """Those that follow the batch, at the traced one."""
    elements: Array
    """(fields of `Elements`, rows) at the traced batch."""
    constant: Array
    """Whether the elements stay, whatever the batch."""
    first: Array
    """(2, rows) distance of the largest input: what stays, and what follows the batch."""
    second: Array
    """The same of all further inputs."""
    dtypes: tuple[str, ...]
    """Those that rows compute in, as traced."""
    dtype_index: Array
    """Of each row into `dtypes`."""


def fixed_columns(workload: Workload) -> FixedColumns:
    """Read them from the rows of a workload and their traits."""
    is_kind, trait, targets = workload.is_kind, workload.trait, workload.targets
    conditions, count = workload.graph.conditions, len(targets)
    names = tuple(dict.fromkeys(workload.dtypes))
    elements = np.array([traits.elements for traits in workload.traits], dtype=np.float64)
    reuses = np.array(workload.reuses, dtype=np.float64).reshape(count, 2, 3)
    return FixedColumns(
        columns={
            "first_share": reuses[:, 0, 0],
            "second_share": reuses[:, 1, 0],
            "line_length": trait("line_length"),
            "pixels": trait("pixels"),
            "taps": trait("taps"),
            "compiled": np.full(count, conditions.get("execution") == "compiled"),
            "scalar": np.full(count, bool(conditions.get("scalar"))),
            "frozen": np.full(count, bool(conditions.get("frozen"))),
            "matrix": is_kind(*MATRIX_KINDS),
            "product": is_kind("matmul"),
            "convolution": is_kind("convolution"),
            "grouped": is_kind("grouped convolution"),
            "depthwise": is_kind("depthwise convolution"),
            "attention": is_kind("attention"),
            "normalization": is_kind("normalization"),
            "pooling": is_kind("pooling"),
            "reordering": is_kind("movement")
            & ~trait("in_order")
            & np.array([not t.endswith("::_to_copy") for t in targets], dtype=bool),
            "reduces": trait("reduces"),
            "bilinear": np.array(["upsample_bilinear" in t for t in targets], dtype=bool),
            "channels_last": trait("channels_last"),
            "crossed": trait("crossed"),
            "unfused": trait("unfused"),
            "square": trait("kernel_is_square"),
            "bias": trait("bias"),
            "along_contraction": trait("along_contraction"),
            **_gradients(workload),
        },
        growing={"lines": trait("lines"), "planes": trait("planes")},
        elements=elements.reshape(count, len(Elements._fields)).T,
        constant=trait("constant"),
        first=reuses[:, 0, 1:].T,
        second=reuses[:, 1, 1:].T,
        dtypes=names,
        dtype_index=np.array([names.index(d) for d in workload.dtypes], dtype=np.int64),
    )


def _gradients(workload: Workload) -> dict[str, Array]:
    rows = [workload.columns.table[i] for i in workload.base]
    bindings = [row.binding for row in rows]
    names = [binding.formula for binding in bindings]
    forward = np.array([name == "batch_norm_training" for name in names], dtype=bool)
    backward = np.array([row.target.endswith("batch_norm_backward") for row in rows], dtype=bool)
    return {
        "gradient": np.array(
            [n.endswith(("_input_gradient", "_weight_gradient")) for n in names], dtype=bool
        ),
        "weight_gradient": np.array(
            [
                n == "convolution_weight_gradient" or (n == "matmul" and b.follows == {"c_in"})
                for n, b in zip(names, bindings, strict=True)
            ],
            dtype=bool,
        ),
        "norm_gradient": np.array(
            [n.endswith("normalization_backward") for n in names], dtype=bool
        ),
        "channel_blocks": np.where(
            (forward | backward) & ~workload.trait("channels_last"),
            [float(b.values.get("c", np.inf)) for b in bindings],
            np.inf,
        ),
    }
