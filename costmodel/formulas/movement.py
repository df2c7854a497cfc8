"""Operators that only move data: copies, concatenation, padding, gathers, casts, creation."""

from __future__ import annotations

from collections.abc import Sequence

from costmodel.formulas.cost import Cost, S
from costmodel.formulas.elementwise import flops, operand_elements
from costmodel.formulas.registry import Binding, bind, binds, formula
from costmodel.graph import Op, TensorSpec


@formula("movement", kind="movement", source="definition: what is read and written")
def movement(e_x: S, e_w: S, e_y: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """Reads e_x data and e_w constant elements, writes e_y; no arithmetic."""
    return Cost(
        bytes_read=e_x * b_x + e_w * b_w,
        bytes_written=e_y * b_y,
        weight_bytes=e_w * b_w,
    )


@formula(
    "embedding",
    kind="embedding",
    source="definition: rows that are looked up, not the table",
)
def embedding(m: S, c: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """m rows of c elements looked up in a table by m indices of b_x bytes."""
    return Cost(
        bytes_read=m * b_x + m * c * b_w,
        bytes_written=m * c * b_y,
    )


@formula(
    "resize",
    kind="elementwise",
    source="definition: every output is a weighted sum of its k nearest inputs",
)
def resize(e_x: S, e_y: S, k: S, b_x: S, b_y: S) -> Cost:
    """Interpolation: e_y outputs from k neighbours each (1 nearest, 4 bilinear, 16 bicubic)."""
    return Cost(
        other_flops=(k - 1) * flops(mul=1, add=1) * e_y,
        bytes_read=e_x * b_x,
        bytes_written=e_y * b_y,
    )


@binds(
    "aten::clone",
    "aten::contiguous",
    "aten::_to_copy",
    "aten::cat",
    "aten::stack",
    "aten::constant_pad_nd",
    "aten::reflection_pad1d",
    "aten::reflection_pad2d",
    "aten::replication_pad2d",
    "aten::replication_pad3d",
    "aten::roll",
    "aten::flip",
    "aten::repeat",
    "aten::channel_shuffle",
    "aten::native_channel_shuffle",
    "aten::pixel_shuffle",
    "aten::pixel_unshuffle",
    "aten::im2col",
    "aten::tril",
    "aten::triu",
    "aten::_reshape_copy",
)
def bind_copy(
    op: Op, inputs: Sequence[TensorSpec | None], outputs: Sequence[TensorSpec]
) -> Binding:
    data, constant = operand_elements(inputs, outputs[0].batched)
    return bind("movement", e_x=data, e_w=constant, e_y=outputs[0].numel)


@binds("aten::copy")
def bind_copy_into(
    op: Op, inputs: Sequence[TensorSpec | None], outputs: Sequence[TensorSpec]
) -> Binding:
    """copy_(destination, source) reads the source only."""
    data, constant = operand_elements(inputs[1:], outputs[0].batched)
    return bind("movement", e_x=data, e_w=constant, e_y=outputs[0].numel)


@binds(
    "aten::zeros",
    "aten::ones",
    "aten::full",
    "aten::zeros_like",
    "aten::ones_like",
    "aten::full_like",
    "aten::new_zeros",
    "aten::new_ones",
    "aten::new_full",
    "aten::arange",
    "aten::linspace",
    "aten::eye",
    "aten::fill",
    "aten::zero",
    "aten::scalar_tensor",
    "aten::rand",
    "aten::randn",
    "aten::bernoulli",
)
def bind_fill(
    op: Op, inputs: Sequence[TensorSpec | None], outputs: Sequence[TensorSpec]
) -> Binding:
    return bind("movement", e_x=0, e_w=0, e_y=outputs[0].numel)


@binds("aten::index", "aten::gather", "aten::index_select", "aten::take_along_dim")
def bind_gather(
    op: Op, inputs: Sequence[TensorSpec | None], outputs: Sequence[TensorSpec]
) -> Binding:
    """Reads the indices and as many elements as it writes."""
    x = inputs[0]
    assert x is not None
    y = outputs[0]
    indices = sum(i.distinct for i in inputs[1:] if i is not None)
    constant = x.is_weight or (y.batched and not x.batched)
    if constant and not y.batched:
        return bind("movement", e_x=indices, e_w=y.numel, e_y=y.numel)
    return bind("movement", e_x=indices + y.numel, e_w=0, e_y=y.numel)


@binds("aten::embedding")
def bind_embedding(
    op: Op, inputs: Sequence[TensorSpec | None], outputs: Sequence[TensorSpec]
) -> Binding:
    y = outputs[0]
    c = y.shape[-1]
    return bind("embedding", m=y.numel // c, c=c)


def _resize(neighbours: int):  # type: ignore[no-untyped-def]
    def binder(
        op: Op, inputs: Sequence[TensorSpec | None], outputs: Sequence[TensorSpec]
    ) -> Binding:
        x, y = inputs[0], outputs[0]
        assert x is not None
        return bind("resize", e_x=x.distinct, e_y=y.numel, k=neighbours)

    return binder


for _dimensions, _mode, _neighbours in (
    ("1d", "nearest", 1), ("2d", "nearest", 1), ("3d", "nearest", 1), ("2d", "_nearest_exact", 1),
    ("1d", "linear", 2), ("2d", "bilinear", 4), ("3d", "trilinear", 8), ("2d", "bicubic", 16),
):  # fmt: skip
    _mode_name = _mode.strip("_")
    binds(f"aten::{'_' * (_mode != _mode_name)}upsample_{_mode_name}{_dimensions}")(
        _resize(_neighbours)
    )
