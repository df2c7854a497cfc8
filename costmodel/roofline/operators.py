"""Operator columns: everything the engine needs to know of operators, as plain arrays.

A workload at given batch sizes and precision becomes these columns; from here on nothing knows of
graphs. Several workloads can be stacked, which is how constants are fitted on hundreds of models
at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from costmodel.graph import DTYPE_BYTES
from costmodel.roofline.elements import Elements
from costmodel.roofline.precision import Precision
from costmodel.roofline.workload import Workload

Array = np.ndarray

MATRIX_KINDS = ("convolution", "grouped convolution", "matmul", "attention", "recurrent")
"""Kinds whose MACs run on the matrix engine where there is one."""


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
    strided: Array
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


def compute_dtypes(workload: Workload, precision: Precision) -> tuple[str, ...]:
    """dtypes the rows compute in: (matrix dtype, storage dtype) come first, then others met."""
    others = {d for d in workload.dtypes if d != "float32" and d in DTYPE_BYTES}
    return tuple(dict.fromkeys((precision.matrix, precision.storage, *sorted(others))))


def operator_columns(
    workload: Workload,
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
    code = {name: i for i, name in enumerate(dtypes)}
    stored = [precision.storage if d == "float32" else d for d in workload.dtypes]
    multiplied = [precision.matrix if d == "float32" else d for d in workload.dtypes]
    scale = (np.asarray(batches, dtype=np.float64) / workload.graph.batch)[:, None]
    costs = workload.cost(np.asarray(batches, dtype=np.float64), precision.storage)
    cost = costs.cost
    first, second = _distances(workload, "first", scale), _distances(workload, "second", scale)
    fixed, growing = workload.traced_traffic
    is_kind, trait = workload.is_kind, workload.trait
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
        first_share=first[0],
        first_distance=first[1],
        second_share=second[0],
        second_distance=second[1],
        whole_run=np.broadcast_to(fixed + growing * scale, cost.macs.shape),
        lines=trait("lines") * scale,
        line_length=trait("line_length"),
        planes=trait("planes") * scale,
        pixels=trait("pixels"),
        **_elements(workload, scale),
        taps=trait("taps"),
        matrix_code=np.array([code[d] for d in multiplied], dtype=np.int64),
        vector_code=np.array([code[d] for d in stored], dtype=np.int64),
        half=np.array([DTYPE_BYTES[d] == 2 for d in stored], dtype=bool),
        compiled=np.full(
            len(workload.kinds), workload.graph.conditions.get("execution") == "compiled"
        ),
        frozen=np.full(len(workload.kinds), bool(workload.graph.conditions.get("frozen"))),
        matrix=is_kind(*MATRIX_KINDS),
        product=is_kind("matmul"),
        convolution=is_kind("convolution"),
        grouped=is_kind("grouped convolution"),
        depthwise=is_kind("depthwise convolution"),
        attention=is_kind("attention"),
        normalization=is_kind("normalization"),
        pooling=is_kind("pooling"),
        reordering=is_kind("movement")
        & ~trait("in_order")
        & np.array([not t.endswith("::_to_copy") for t in workload.targets], dtype=bool),
        reduces=trait("reduces"),
        bilinear=np.array(["upsample_bilinear" in t for t in workload.targets], dtype=bool),
        channels_last=trait("channels_last"),
        strided=trait("strided"),
        unfused=trait("unfused"),
        square=trait("kernel_is_square"),
        bias=trait("bias"),
        along_contraction=trait("along_contraction"),
        **_gradients(workload),
        dtypes=dtypes,
    )


def _is_batch_norm_training(workload: Workload) -> Array:
    rows = [workload.columns.table[i] for i in workload.base]
    forward = np.array([row.binding.formula == "batch_norm_training" for row in rows])
    backward = np.array([row.target.endswith("batch_norm_backward") for row in rows])
    return np.asarray(forward | backward)


def _gradients(workload: Workload) -> dict[str, Array]:
    bindings = [workload.columns.table[i].binding for i in workload.base]
    names = [binding.formula for binding in bindings]
    return {
        "gradient": np.array([n.endswith(("_input_gradient", "_weight_gradient")) for n in names]),
        "weight_gradient": np.array(
            [
                n == "convolution_weight_gradient" or (n == "matmul" and b.follows == {"c_in"})
                for n, b in zip(names, bindings, strict=True)
            ]
        ),
        "norm_gradient": np.array([n.endswith("normalization_backward") for n in names]),
        "channel_blocks": np.where(
            _is_batch_norm_training(workload) & ~workload.trait("channels_last"),
            [float(b.values.get("c", np.inf)) for b in bindings],
            np.inf,
        ),
    }


def take(operators: OperatorColumns, rows: Array) -> OperatorColumns:
    """Some rows, by index or mask."""
    values = {
        field.name: getattr(operators, field.name)[..., rows]
        for field in fields(OperatorColumns)
        if field.name != "dtypes"
    }
    return OperatorColumns(**values, dtypes=operators.dtypes)


def _elements(workload: Workload, scale: Array) -> dict[str, Array]:
    table = np.array([traits.elements for traits in workload.traits], dtype=np.float64)
    scales = np.where(workload.trait("constant"), 1.0, scale)
    counts = table.reshape(len(workload.traits), len(Elements._fields)).T
    return {name: column * scales for name, column in zip(Elements._fields, counts, strict=True)}


def _distances(workload: Workload, which: str, scale: Array) -> tuple[Array, Array]:
    share, fixed, growing = workload.reuse(which)
    return share, fixed + growing * scale


def stack(parts: Sequence[OperatorColumns]) -> OperatorColumns:
    """Columns of several workloads side by side, each at one batch size and with equal dtypes."""
    values = {}
    for field in fields(OperatorColumns):
        if field.name != "dtypes":
            columns = [np.atleast_1d(np.squeeze(getattr(part, field.name))) for part in parts]
            values[field.name] = np.concatenate(columns)
    return OperatorColumns(**values, dtypes=parts[0].dtypes)
