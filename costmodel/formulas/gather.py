"""Looking up and putting back by index: embedding, gather, scatter.

The rows that are touched are counted, never the whole table. Indices have a width of their own,
b_i, since they stay integers whatever precision the data has.
"""

from __future__ import annotations

from costmodel.formulas.cost import Cost, S
from costmodel.formulas.registry import Binding, Inputs, Outputs, bind, binds, formula, required
from costmodel.formulas.sizes import smallest
from costmodel.graph import DTYPE_BYTES, Op, TensorSpec

_SOURCE = "definition: the rows that are touched, not the table"


@formula("embedding", kind="embedding", source=_SOURCE)
def embedding(m: S, c: S, b_i: S, b_w: S, b_y: S) -> Cost:
    """m rows of c elements looked up in a table by m indices; equal rows are read again."""
    return Cost(bytes_read=m * b_i + m * c * b_w, bytes_written=m * c * b_y)


@formula("gather", kind="embedding", source=_SOURCE)
def gather(e_i: S, e_y: S, b_i: S, b_x: S, b_y: S) -> Cost:
    """e_y elements picked by e_i indices."""
    return Cost(bytes_read=e_i * b_i + e_y * b_x, bytes_written=e_y * b_y)


@formula("gather_constant", kind="embedding", source=_SOURCE)
def gather_constant(e_i: S, e_w: S, b_i: S, b_w: S, b_y: S) -> Cost:
    """e_w elements of a parameter or constant picked by e_i indices, whatever the batch."""
    return Cost(
        bytes_read=e_i * b_i + e_w * b_w,
        bytes_written=e_w * b_y,
        weight_bytes=e_i * b_i + e_w * b_w,
    )


@formula("scatter", kind="embedding", source=_SOURCE)
def scatter(e_i: S, e_x: S, e_y: S, f: S, b_i: S, b_x: S, b_y: S) -> Cost:
    """e_x elements put, or with f = 1 added, to places given by e_i indices.

    Adding reads the places too. e_y elements are copied before, where it is not done in place.
    """
    return Cost(
        other_flops=f * e_x,
        bytes_read=e_i * b_i + (1 + f) * e_x * b_x + e_y * b_x,
        bytes_written=(e_x + e_y) * b_y,
    )


@formula("embedding_backward", kind="embedding", source=_SOURCE)
def embedding_backward(m: S, c: S, e_w: S, b_i: S, b_x: S, b_y: S) -> Cost:
    """Dense gradient of a table of e_w elements: zeros written, m rows of c added into it."""
    return Cost(
        other_flops=m * c,
        bytes_read=m * b_i + m * c * (b_x + b_y),
        bytes_written=(e_w + m * c) * b_y,
    )


def _width(spec: TensorSpec | None) -> float:
    return 8 if spec is None else DTYPE_BYTES[spec.dtype]


@binds("aten::embedding")
def bind_embedding(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    y = outputs[0]
    c = y.shape[-1]
    return bind("embedding", m=y.numel // c, c=c, b_i=_width(inputs[1]), indices=frozenset({1}))


@binds("aten::embedding_dense_backward")
def bind_embedding_backward(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    grad, y = required(op, inputs, 0)[0], outputs[0]
    c = grad.shape[-1]
    return bind(
        "embedding_backward",
        m=grad.numel // c,
        c=c,
        e_w=y.numel,
        b_i=_width(inputs[1]),
        indices=frozenset({1}),
    )


@binds(
    "aten::index",
    "aten::gather",
    "aten::index_select",
    "aten::take_along_dim",
    "aten::take",
    "aten::masked_select",
)
def bind_gather(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    """Reads the indices and as many elements as it writes."""
    y = outputs[0]
    picks = [spec for spec in inputs[1:] if spec is not None]
    common = {
        "e_i": sum(spec.distinct for spec in picks),
        "b_i": _width(picks[0] if picks else None),
        "indices": frozenset(range(1, len(inputs))),
    }
    if not y.batched:
        return bind("gather_constant", e_w=y.numel, **common)
    # A constant looked up by data is read for each sample.
    return bind("gather", e_y=y.numel, **common)


@binds(
    "aten::index_put",
    "aten::index_add",
    "aten::index_copy",
    "aten::index_fill",
    "aten::scatter",
    "aten::scatter_add",
    "aten::scatter_reduce",
    "aten::masked_scatter",
    "aten::slice_scatter",
    "aten::select_scatter",
    "aten::_index_put_impl",
)
def bind_scatter(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    """index_put(x, indices, values) and its kin: the last input is the data, unless a scalar is."""
    x, y = required(op, inputs, 0)[0], outputs[0]
    others = [i for i in range(1, len(inputs)) if inputs[i] is not None]
    scalar = "value" in op.attrs or "values" in op.attrs
    picks = others if scalar else others[:-1]
    if op.target in ("aten::slice_scatter", "aten::select_scatter"):
        picks = []
    last = inputs[others[-1]] if others else x
    assert last is not None
    adds = op.attrs.get("accumulate", False) or op.target in _ADDS
    in_place = y.storage == x.storage
    first = inputs[picks[0]] if picks else None
    return bind(
        "scatter",
        e_i=sum(spec.distinct for i in picks if (spec := inputs[i]) is not None),
        e_x=smallest(last.numel, x.numel),
        e_y=0 if in_place else x.numel,
        f=int(bool(adds)),
        b_i=_width(first),
        indices=frozenset(picks),
    )


_ADDS = frozenset({"aten::index_add", "aten::scatter_add", "aten::scatter_reduce"})


@binds("aten::unfold_backward", "aten::col2im")
def bind_fold(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    """Overlapping windows added up: zeros written, every element of every window added."""
    (x,) = required(op, inputs, 0)
    return bind("reduction", primitive="fold", e_x=x.distinct, e_y=outputs[0].numel, f=1)
