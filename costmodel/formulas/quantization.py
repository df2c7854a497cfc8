"""Quantise and dequantise: between real numbers and small integers with scale and zero point."""

from __future__ import annotations

from costmodel.formulas.cost import Cost, S
from costmodel.formulas.elementwise import operand_elements
from costmodel.formulas.primitives import flops
from costmodel.formulas.registry import Binding, Inputs, Outputs, bind, binds, formula, required
from costmodel.graph import Op

_SOURCE = (
    "Jacob et al., Quantization and training of neural networks for efficient "
    "integer-arithmetic-only inference (2018), equation 1"
)

QUANTIZE_FLOPS = flops(mul=1, add=1, compare=3)
"""Times 1/scale, round (counted as a comparison), add the zero point, clamp on both sides."""

DEQUANTIZE_FLOPS = flops(add=1, mul=1)
"""Subtract the zero point, times scale."""


@formula("quantize", kind="elementwise", source=_SOURCE)
def quantize(e_x: S, e_w: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """q = clamp(round(x / scale) + zero point) of e_x elements; e_w scales and zero points."""
    return Cost(
        other_flops=QUANTIZE_FLOPS * e_x,
        bytes_read=e_x * b_x + e_w * b_w,
        bytes_written=e_x * b_y,
        weight_bytes=e_w * b_w,
    )


@formula("dequantize", kind="elementwise", source=_SOURCE)
def dequantize(e_x: S, e_w: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """x = (q - zero point) · scale of e_x elements; e_w scales and zero points."""
    return Cost(
        other_flops=DEQUANTIZE_FLOPS * e_x,
        bytes_read=e_x * b_x + e_w * b_w,
        bytes_written=e_x * b_y,
        weight_bytes=e_w * b_w,
    )


@formula("fake_quantize", kind="elementwise", source=_SOURCE)
def fake_quantize(e_x: S, e_w: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """Quantised and dequantised at once, as in quantisation-aware training."""
    return Cost(
        other_flops=(QUANTIZE_FLOPS + DEQUANTIZE_FLOPS) * e_x,
        bytes_read=e_x * b_x + e_w * b_w,
        bytes_written=e_x * b_y,
        weight_bytes=e_w * b_w,
    )


def _bind(name: str, op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    (x,) = required(op, inputs, 0)
    data, constant = operand_elements(inputs[1:], outputs[0].batched)
    if x.is_weight or (outputs[0].batched and not x.batched):
        return bind("elementwise", primitive=name, e_x=data, e_w=constant + x.distinct,
                    e_y=outputs[0].numel, f=_FLOPS[name])  # fmt: skip
    return bind(name, e_x=x.distinct, e_w=data + constant)


_FLOPS = {
    "quantize": QUANTIZE_FLOPS,
    "dequantize": DEQUANTIZE_FLOPS,
    "fake_quantize": QUANTIZE_FLOPS + DEQUANTIZE_FLOPS,
}


@binds(
    "aten::quantize_per_tensor",
    "aten::quantize_per_channel",
    "aten::quantize_per_tensor_dynamic",
    "quantized_decomposed::quantize_per_tensor",
    "quantized_decomposed::quantize_per_channel",
)
def bind_quantize(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    return _bind("quantize", op, inputs, outputs)


@binds(
    "aten::dequantize",
    "quantized_decomposed::dequantize_per_tensor",
    "quantized_decomposed::dequantize_per_channel",
)
def bind_dequantize(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    return _bind("dequantize", op, inputs, outputs)


@binds(
    "aten::fake_quantize_per_tensor_affine",
    "aten::fake_quantize_per_channel_affine",
    "aten::fake_quantize_per_tensor_affine_cachemask",
    "aten::fake_quantize_per_channel_affine_cachemask",
)
def bind_fake_quantize(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    return _bind("fake_quantize", op, inputs, outputs)
