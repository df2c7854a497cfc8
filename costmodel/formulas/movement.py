"""Operators that only move data: copies, concatenation, padding, casts, creation."""

from __future__ import annotations

from costmodel.formulas.cost import Cost, S
from costmodel.formulas.elementwise import operand_elements
from costmodel.formulas.registry import Binding, Inputs, Outputs, bind, binds, formula, required
from costmodel.graph import Op


@formula("movement", kind="movement", source="definition: what is read and written")
def movement(e_x: S, e_w: S, e_y: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """Reads e_x data and e_w constant elements, writes e_y; no arithmetic."""
    return Cost(
        bytes_read=e_x * b_x + e_w * b_w,
        bytes_written=e_y * b_y,
        weight_bytes=e_w * b_w,
    )


@formula("cast", kind="movement", source="definition: every element in one width, out the other")
def cast(e_x: S, b_x: S, b_y: S) -> Cost:
    """e_x elements of b_x bytes converted to b_y bytes; a conversion counts no FLOP."""
    return Cost(bytes_read=e_x * b_x, bytes_written=e_x * b_y)


@binds(
    "aten::clone",
    "aten::contiguous",
    "aten::_to_copy",
    "aten::cat",
    "aten::stack",
    "aten::constant_pad_nd",
    "aten::reflection_pad1d",
    "aten::reflection_pad2d",
    "aten::reflection_pad3d",
    "aten::replication_pad1d",
    "aten::replication_pad2d",
    "aten::replication_pad3d",
    "aten::roll",
    "aten::flip",
    "aten::rot90",
    "aten::repeat",
    "aten::repeat_interleave",
    "aten::channel_shuffle",
    "aten::native_channel_shuffle",
    "aten::pixel_shuffle",
    "aten::pixel_unshuffle",
    "aten::im2col",
    "aten::tril",
    "aten::triu",
    "aten::diag_embed",
    "aten::_reshape_copy",
    "aten::view_copy",
    "aten::permute_copy",
    "aten::nonzero",
    "aten::complex",
    "aten::polar",
    "aten::meshgrid",
    "aten::block_diag",
    "aten::unique_dim",
)
def bind_copy(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    data, constant = operand_elements(inputs, outputs[0].batched)
    return bind("movement", e_x=data, e_w=constant, e_y=sum(y.numel for y in outputs))


@binds("aten::copy", "aten::_foreach_copy")
def bind_copy_into(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    """copy_(destination, source) reads the source only."""
    sources = inputs[len(inputs) // 2 :]
    batched = any(y.batched for y in outputs)
    data, constant = operand_elements(sources, batched)
    written = sum(x.numel for x in inputs[: len(inputs) // 2] if x is not None)
    return bind("movement", e_x=data, e_w=constant, e_y=written)


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
    "aten::logspace",
    "aten::eye",
    "aten::fill",
    "aten::zero",
    "aten::scalar_tensor",
    "aten::rand",
    "aten::rand_like",
    "aten::randn",
    "aten::randn_like",
    "aten::randint",
    "aten::randperm",
    "aten::uniform",
    "aten::normal",
    "aten::bernoulli",
    "aten::tril_indices",
    "aten::triu_indices",
)
def bind_fill(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    return bind("movement", e_x=0, e_w=0, e_y=outputs[0].numel)


@binds("aten::slice_backward", "aten::select_backward", "aten::diagonal_backward")
def bind_embed_gradient(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    """A gradient put back into zeros of the whole: all are written, its part twice."""
    (grad,) = required(op, inputs, 0)
    return bind("movement", e_x=grad.distinct, e_w=0, e_y=outputs[0].numel + grad.numel)


@binds("aten::_foreach_zero")
def bind_zero_many(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    written = sum(x.numel for x in inputs if x is not None)
    return bind("movement", e_x=0, e_w=0, e_y=written)
