"""How operators fill in formulas: each operator by hand-made tensors and hand-worked cost."""

from __future__ import annotations

import pytest
import sympy
import torch
from torch import Tensor, nn

from costmodel.errors import GraphError, UncoveredOperatorError, UsageError
from costmodel.formulas import get_formula
from costmodel.formulas.activation import ACTIVATION_FLOPS, GRADIENT_FLOPS
from costmodel.formulas.columns import bind_op, columns_of
from costmodel.formulas.cost import Cost
from costmodel.formulas.elementwise import POINTWISE_FLOPS
from costmodel.formulas.reduction import REDUCTION_FLOPS
from costmodel.formulas.registry import (
    Binding,
    binder_of,
    binds,
    composition,
    covered_operators,
    formula,
)
from costmodel.formulas.symbols import symbol
from costmodel.formulas.valid_taps import bind_valid_convolution
from costmodel.graph import Graph, Op, TensorSpec
from costmodel.tracing.eager import trace

_SIGMOID, _TANH = ACTIVATION_FLOPS["sigmoid"], ACTIVATION_FLOPS["tanh"]


def x(*shape, dtype="float32", strides=None, storage=7):
    """Data."""
    return TensorSpec(0, shape, dtype, "activation", strides, storage, True)


def w(*shape, dtype="float32", strides=None):
    """A parameter."""
    return TensorSpec(0, shape, dtype, "parameter", strides, 8, False)


def k(*shape, dtype="float32"):
    """A constant that does not depend on the data."""
    return TensorSpec(0, shape, dtype, "constant", None, 9, False)


def q(*shape, storage=7):
    """Data as 8-bit integers."""
    return x(*shape, dtype="quint8", storage=storage)


def i(*shape):
    """Indices that depend on the data."""
    return x(*shape, dtype="int64")


Y = 11
"""Storage of a fresh output."""


def y(*shape, dtype="float32", storage=Y):
    return x(*shape, dtype=dtype, storage=storage)


def row_of(target, inputs, outputs, **attrs):
    name = target if "::" in target else f"aten::{target}"
    op = Op(name, (), (), attrs, "block")
    return bind_op(op, list(inputs), list(outputs))


def cost_of(row, width=4):
    formula = get_formula(row.binding.formula)
    widths = {"b_x": row.data, "b_w": row.weights, "b_y": row.output}
    bytes_per = {
        name: operand.bytes_per_element(width)
        for name, operand in widths.items()
        if name in formula.symbols
    }
    return formula(**row.binding.values, **bytes_per)


CASES = [
    # target, inputs, outputs, attributes, (MACs, other FLOPs, bytes read, bytes written)
    ("linear", [x(2, 5, 3), w(4, 3), w(4)], [y(2, 5, 4)], {}, (120, 40, 4 * (30 + 16), 160)),
    ("linear", [x(2, 3), w(3)], [y(2)], {}, (6, 0, 4 * 9, 8)),
    ("mm", [x(2, 3), w(3, 4)], [y(2, 4)], {}, (24, 0, 4 * 18, 32)),
    ("mm", [w(2, 3), x(3, 4)], [y(2, 4)], {}, (24, 0, 4 * 18, 32)),
    ("mm", [x(2, 3), x(3, 4)], [y(2, 4)], {}, (24, 0, 4 * 18, 32)),
    ("bmm", [x(5, 2, 3), x(5, 3, 4)], [y(5, 2, 4)], {}, (120, 0, 4 * 5 * 18, 160)),
    ("matmul", [x(5, 2, 3), w(5, 3, 4, strides=(0, 4, 1))], [y(5, 2, 4)], {},
     (120, 0, 4 * (30 + 12), 160)),
    ("bmm", [x(5, 2, 3), w(5, 3, 4, strides=(12, 1, 3))], [y(5, 2, 4)], {}, (120, 0, 360, 160)),
    ("addmm", [w(4), x(2, 3), w(3, 4)], [y(2, 4)], {}, (24, 8, 4 * (6 + 12 + 4), 32)),
    ("baddbmm", [x(5, 2, 4), x(5, 2, 3), x(5, 3, 4)], [y(5, 2, 4)], {}, (120, 0, 360, 160)),
    ("mv", [x(2, 3), w(3)], [y(2)], {}, (6, 0, 4 * 9, 8)),
    ("dot", [x(3), x(3)], [y()], {}, (3, 0, 24, 4)),
    ("_grouped_mm", [x(6, 3), w(4, 3, 5), i(4)], [y(6, 5)], {}, (90, 0, 4 * (18 + 60), 120)),
    ("_grouped_mm", [x(2, 3), w(4, 3, 5), i(4)], [y(2, 5)], {}, (30, 0, 4 * (6 + 30), 40)),
    ("histc", [x(12)], [y(4)], {}, (0, 12, 48, 16)),
    ("costmodel::fused", [x(6), w(6)], [y(6), y(6)], {"flops": 30}, (0, 30, 48, 48)),
    ("einsum", [x(2, 3), w(3, 4)], [y(2, 4)], {"equation": "ij,jk->ik"}, (24, 0, 72, 32)),
    ("scaled_dot_product_attention", [x(2, 3, 4, 5), x(2, 1, 6, 5), x(2, 1, 6, 7), w(4, 6)],
     [y(2, 3, 4, 7)], {}, (6 * 24 * 12, 6 * 24 * 16, 4 * (120 + 60 + 84 + 24), 4 * 168)),
    ("scaled_dot_product_attention", [x(4, 5), x(4, 5), x(4, 5)], [y(4, 5)], {"is_causal": True},
     (100, 160, 240, 80)),
    ("_scaled_dot_product_flash_attention_backward",
     [x(1, 2, 3, 4), x(1, 2, 3, 4), x(1, 2, 3, 4), x(1, 2, 3, 4), x(1, 2, 3, 4), x(1, 2, 3)],
     [y(1, 2, 3, 4)] * 3, {}, (2 * 9 * 20, 2 * 9 * 18 + 48, 4 * (24 * 5 + 6), 4 * 72)),
    # Four queries, two keys: pairs 1 + 2 + 2 + 2.
    ("scaled_dot_product_attention", [x(4, 5), x(2, 5), x(2, 5)], [y(4, 5)], {"is_causal": True},
     (70, 112, 4 * (20 + 20), 80)),
    ("scaled_dot_product_attention", [x(2, 4, 5), x(2, 4, 5), x(2, 4, 5)], [y(2, 4, 5)], {},
     (320, 512, 480, 160)),
    ("softmax", [x(2, 3, 4)], [y(2, 3, 4)], {"dim": 1}, (0, 360, 96, 96)),
    ("softmax", [x()], [y()], {"dim": 0}, (0, 15, 4, 4)),
    ("softmax", [x(3, 0)], [y(3, 0)], {"dim": 1}, (0, 0, 0, 0)),
    ("sort", [x()], [y(), y(dtype="int64")], {}, (0, 0, 4, 12)),
    ("topk", [x()], [y(), y(dtype="int64")], {"k": 1}, (0, 1, 4, 12)),
    ("sort", [x(3, 0)], [y(3, 0), y(3, 0, dtype="int64")], {"dim": 1}, (0, 0, 0, 0)),
    ("topk", [x(3, 4)], [y(3, 0), y(3, 0, dtype="int64")], {"k": 0, "dim": 1}, (0, 12, 48, 24)),
    ("torchvision::nms", [x(0, 4), x(0)], [y(0, dtype="int64")], {}, (0, 3, 20, 4)),
    ("_softmax", [x(6)], [y(6)], {}, (0, 90, 24, 24)),
    ("_log_softmax", [x(2, 5)], [y(2, 5)], {"dim": -1}, (0, 120 + 16, 40, 40)),
    ("_softmax_backward_data", [x(2, 5), x(2, 5)], [y(2, 5)], {"dim": -1}, (0, 40, 80, 40)),
    ("_log_softmax_backward_data", [x(2, 5), x(2, 5)], [y(2, 5)], {"dim": -1}, (0, 110, 80, 40)),
    ("batch_norm", [x(2, 3, 4, 4), w(3), w(3), w(3), w(3)], [y(2, 3, 4, 4)], {},
     (0, 192 + 36, 4 * (96 + 12), 384)),
    ("native_batch_norm", [x(2, 3, 4), None, None, w(3), w(3)], [y(2, 3, 4), y(3), y(3)],
     {"training": True}, (0, 24 * 6 + 45, 4 * (48 + 6), 4 * (24 + 6 + 6))),
    ("native_batch_norm_backward", [x(2, 3, 4), x(2, 3, 4), w(3), w(3), w(3), y(3), y(3)],
     [y(2, 3, 4), y(3), y(3)], {}, (0, 24 * 14, 4 * (48 + 6 + 3), 4 * 30)),
    ("cudnn_batch_norm_backward", [x(2, 3, 4), x(2, 3, 4), w(3), w(3), w(3), y(3), y(3)],
     [y(2, 3, 4), y(3), y(3)], {}, (0, 24 * 14, 4 * (48 + 6 + 3), 4 * 30)),
    ("layer_norm", [x(2, 3, 4), w(3, 4), w(3, 4)], [y(2, 3, 4)], {"normalized_shape": [3, 4]},
     (0, 192 + 18, 4 * (24 + 24), 96)),
    ("native_layer_norm_backward", [x(2, 6), x(2, 6), x(2, 1), x(2, 1), w(6), w(6)],
     [y(2, 6), y(6), y(6)], {"normalized_shape": [6]}, (0, 168, 4 * (24 + 4 + 6), 4 * 24)),
    ("native_layer_norm_backward", [x(2, 6), x(2, 6), x(2, 1), x(2, 1)], [y(2, 6)],
     {"normalized_shape": [6]}, (0, 120, 4 * (24 + 4), 48)),
    ("group_norm", [x(2, 4, 3), None, None], [y(2, 4, 3)], {"num_groups": 2},
     (0, 144 + 36, 96, 96)),
    ("native_group_norm", [x(2, 4, 3), w(4), w(4)], [y(2, 4, 3)], {"group": 4},
     (0, 192 + 72, 4 * 32, 96)),
    ("instance_norm", [x(2, 4, 3), None, None], [y(2, 4, 3)], {}, (0, 144 + 72, 96, 96)),
    ("native_group_norm_backward", [x(2, 4, 3), x(2, 4, 3), x(2, 2), x(2, 2), w(4)],
     [y(2, 4, 3), y(4), y(4)], {"N": 2, "group": 2}, (0, 24 * 14, 4 * (48 + 8 + 4), 4 * 32)),
    ("_fused_rms_norm_backward", [x(2, 6), x(2, 6), x(2, 1), w(6)], [y(2, 6), y(6)],
     {"normalized_shape": [6]}, (0, 108, 4 * (24 + 2 + 6), 4 * 18)),
    ("_fused_rms_norm_backward", [x(2, 6), x(2, 6), x(2, 1), None], [y(2, 6)],
     {"normalized_shape": [6]}, (0, 72, 4 * 26, 48)),
    ("rms_norm", [x(2, 6), w(6)], [y(2, 6)], {"normalized_shape": [6]}, (0, 48 + 18, 72, 48)),
    ("rms_norm", [x(2, 6)], [y(2, 6)], {"normalized_shape": [6]}, (0, 36 + 18, 48, 48)),
    ("max", [x(2, 6)], [y(2), y(2, dtype="int64")], {"dim": 1}, (0, 12, 48, 24)),
    ("max", [x(2, 6), x(2, 6)], [y(2, 6)], {}, (0, 12, 96, 48)),
    ("mean", [x(2, 6)], [y(2)], {"dim": 1}, (0, 12, 48, 8)),
    ("sort", [x(3, 8)], [y(3, 8), y(3, 8, dtype="int64")], {"dim": -1}, (0, 72, 96, 288)),
    ("topk", [x(8, 3)], [y(4, 3), y(4, 3, dtype="int64")], {"k": 4, "dim": 0}, (0, 72, 96, 144)),
    ("clone", [x(2, 6, strides=(0, 1))], [y(2, 6)], {}, (0, 0, 24, 48)),
    ("cat", [x(2, 3), w(2, 4)], [y(2, 7)], {}, (0, 0, 56, 56)),
    ("_to_copy", [x(6)], [y(6, dtype="float16")], {}, (0, 0, 24, 12)),
    ("copy", [x(2, 6), x(1, 6)], [y(2, 6)], {}, (0, 0, 24, 48)),
    ("_foreach_copy", [x(6), x(4), x(6), x(4)], [], {}, (0, 0, 40, 40)),
    ("zeros", [], [y(6)], {}, (0, 0, 0, 24)),
    ("full_like", [x(6)], [y(6)], {}, (0, 0, 0, 24)),
    ("_foreach_zero", [x(6), x(4)], [], {}, (0, 0, 0, 40)),
    ("select_backward", [x(3)], [y(2, 3)], {}, (0, 0, 12, 36)),
    ("embedding", [w(100, 3), i(4)], [y(4, 3)], {}, (0, 0, 4 * 8 + 48, 48)),
    ("embedding", [w(100, 3), x(4, dtype="int32")], [y(4, 3)], {}, (0, 0, 4 * 4 + 48, 48)),
    ("embedding_dense_backward", [x(4, 3), i(4)], [y(100, 3)], {}, (0, 12, 32 + 96, 4 * 312)),
    ("index", [x(100, 3), i(4)], [y(4, 3)], {}, (0, 0, 32 + 48, 48)),
    ("index", [w(100, 3), k(4, dtype="int64")], [k(4, 3)], {}, (0, 0, 32 + 48, 48)),
    ("gather", [x(100), i(4)], [y(4)], {"dim": 0}, (0, 0, 48, 16)),
    ("index_put", [x(100, 3), i(4), x(4, 3)], [y(100, 3, storage=7)], {}, (0, 0, 80, 48)),
    ("index_put", [x(100, 3), i(4), x(4, 3)], [y(100, 3)], {"accumulate": True},
     (0, 12, 32 + 96 + 1200, 48 + 1200)),
    ("scatter_add", [x(9), i(4), x(4)], [y(9, storage=7)], {}, (0, 4, 32 + 32, 16)),
    ("scatter", [x(9), i(4)], [y(9, storage=7)], {"value": 1}, (0, 0, 32 + 16, 16)),
    ("select_scatter", [x(2, 3), x(3)], [y(2, 3)], {}, (0, 0, 36, 36)),
    ("col2im", [x(1, 36, 4)], [y(1, 4, 4, 4)], {}, (0, 144, 576, 256)),
    ("reflection_pad2d_backward", [x(1, 2, 6, 6), x(1, 2, 4, 4)], [y(1, 2, 4, 4)], {},
     (0, 72, 288, 128)),
    ("max_pool2d", [x(1, 2, 6, 6)], [y(1, 2, 3, 3)], {"kernel_size": [2, 2]}, (0, 72, 288, 72)),
    ("avg_pool2d", [x(1, 2, 6, 6)], [y(1, 2, 2, 2)], {"kernel_size": [2]}, (0, 32, 128, 32)),
    ("avg_pool3d", [x(1, 2, 2, 2, 2)], [y(1, 2, 1, 1, 1)], {"kernel_size": 2}, (0, 16, 64, 8)),
    ("avg_pool1d", [x(1, 2, 6)], [y(1, 2, 3)], {"kernel_size": [2]}, (0, 12, 48, 24)),
    ("max_pool2d_with_indices", [x(1, 2, 6, 6)], [y(1, 2, 3, 3), y(1, 2, 3, 3, dtype="int64")],
     {"kernel_size": [2, 2]}, (0, 72, 288, 216)),
    ("max_pool2d_with_indices_backward", [x(1, 2, 3, 3), x(1, 2, 6, 6), i(1, 2, 3, 3)],
     [y(1, 2, 6, 6)], {"kernel_size": [2, 2]}, (0, 18, 18 * 12, 288)),
    ("avg_pool2d_backward", [x(1, 2, 3, 3), x(1, 2, 6, 6)], [y(1, 2, 6, 6)],
     {"kernel_size": [2, 2]}, (0, 18 * 5, 72, 288)),
    ("_adaptive_avg_pool2d", [x(1, 2, 5, 4)], [y(1, 2, 3, 2)], {}, (0, 2 * 7 * 4, 160, 48)),
    ("adaptive_max_pool2d", [x(2, 5, 4)], [y(2, 3, 2)], {}, (0, 2 * 7 * 4, 160, 48)),
    ("_adaptive_avg_pool2d_backward", [x(1, 2, 2, 2), x(1, 2, 4, 4)], [y(1, 2, 4, 4)], {},
     (0, 8 * 5, 32, 128)),
    ("upsample_nearest2d", [x(1, 2, 4, 4)], [y(1, 2, 2, 2)], {}, (0, 0, 32, 32)),
    ("upsample_bilinear2d", [x(1, 2, 2, 2)], [y(1, 2, 4, 4)], {}, (0, 224, 32, 128)),
    ("upsample_linear1d", [x(1, 2, 2)], [y(1, 2, 4)], {}, (0, 24, 16, 32)),
    ("upsample_trilinear3d", [x(1, 1, 2, 2, 2)], [y(1, 1, 1, 1, 1)], {}, (0, 15, 32, 4)),
    ("upsample_bicubic2d", [x(1, 1, 9, 9)], [y(1, 1, 2, 2)], {}, (0, 124, 256, 16)),
    ("_upsample_bilinear2d_aa", [x(1, 1, 8, 8)], [y(1, 1, 4, 2)], {}, (0, 8 * 63, 256, 32)),
    ("_upsample_bicubic2d_aa", [x(1, 1, 4, 4)], [y(1, 1, 8, 4)], {}, (0, 32 * 31, 64, 128)),
    ("upsample_bilinear2d_backward", [x(1, 2, 4, 4)], [y(1, 2, 2, 2)], {}, (0, 256, 128, 32)),
    ("_upsample_bilinear2d_aa_backward", [x(1, 1, 4, 2)], [y(1, 1, 8, 8)], {},
     (0, 8 * 64, 32, 256)),
    ("_upsample_bicubic2d_aa_backward", [x(1, 1, 8, 4)], [y(1, 1, 4, 4)], {},
     (0, 32 * 32, 128, 64)),
    ("grid_sampler_2d", [x(1, 3, 5, 5), x(1, 2, 2, 2)], [y(1, 3, 2, 2)], {},
     (0, 4 * 12 + 84, 4 * (3 * 16 + 8), 48)),
    ("grid_sampler_3d", [x(1, 1, 2, 2, 2), x(1, 1, 1, 1, 3)], [y(1, 1, 1, 1, 1)],
     {"interpolation_mode": 1}, (0, 12 + 2 + 1, 4 * 4, 4)),
    ("grid_sampler_2d", [x(1, 1, 9, 9), x(1, 1, 1, 2)], [y(1, 1, 1, 1)],
     {"interpolation_mode": 2}, (0, 8 + 16 + 31, 4 * 18, 4)),
    # 4 places: 2 coordinates of 4 and their scale, 4 weights; 12 samples with 4 neighbours each: a
    # product and a sum into the image, two products and a sum into each coordinate.
    ("grid_sampler_2d_backward", [x(1, 3, 2, 2), x(1, 3, 5, 5), x(1, 2, 2, 2)],
     [y(1, 3, 5, 5), y(1, 2, 2, 2)], {},
     (0, 4 * (2 * 4 + 4 + 2) + 12 * 4 * (2 + 2 * 3), 4 * (12 + 48 + 8), 4 * (48 + 8))),
    ("grid_sampler_3d_backward", [x(1, 1, 1, 1, 1), x(1, 1, 2, 2, 2), x(1, 1, 1, 1, 3)],
     [y(1, 1, 1, 1, 3)], {"interpolation_mode": 1, "output_mask": [False, True]},
     (0, 12 + 2 + 3 + 9, 4 * (1 + 1 + 3), 4 * 3)),
    # Two samples of 5: four sums, three gates and two tanh, c' and h'; biases twice.
    ("_thnn_fused_lstm_cell", [x(2, 20), x(2, 20), x(2, 5), w(20), w(20)],
     [y(2, 5), y(2, 5), y(2, 20)], {},
     (0, 10 * (4 + 3 * _SIGMOID + 2 * _TANH + 4 + 8), 4 * (90 + 40), 4 * 60)),
    ("_thnn_fused_lstm_cell_backward_impl", [x(2, 5), None, x(2, 5), x(2, 5), x(2, 20)],
     [y(2, 20), y(2, 5)], {"has_bias": False}, (0, 10 * (_TANH + 22), 4 * 70, 4 * 50)),
    ("_thnn_fused_gru_cell", [x(2, 15), x(2, 15), x(2, 5), None, None], [y(2, 5), y(2, 25)], {},
     (0, 10 * (2 * (1 + _SIGMOID) + 2 + _TANH + 3), 4 * 70, 4 * 60)),
    ("_thnn_fused_gru_cell_backward", [x(2, 5), x(2, 25)],
     [y(2, 15), y(2, 15), y(2, 5), w(15), w(15)], {"has_bias": True},
     (0, 10 * (15 + 6), 4 * 60, 4 * (70 + 30))),
    ("quantize_per_tensor", [x(6), w(), w(dtype="int64")], [y(6, dtype="qint8")], {},
     (0, 30, 24 + 12, 6)),
    ("dequantize", [x(6, dtype="qint8")], [y(6)], {}, (0, 12, 6, 24)),
    ("dequantize", [w(6, dtype="qint8")], [k(6)], {}, (0, 12, 6, 24)),
    ("fake_quantize_per_channel_affine", [x(2, 3), w(3), w(3)], [y(2, 3), y(2, 3, dtype="bool")],
     {}, (0, 42, 48, 15)),
    ("lstm", [x(3, 2, 4), x(1, 2, 5), x(1, 2, 5), w(20, 4), w(20, 5), w(20), w(20)],
     [y(3, 2, 5), y(1, 2, 5), y(1, 2, 5)],
     {"has_biases": True, "num_layers": 1, "bidirectional": False, "batch_first": False},
     (6 * 180, 30 * (75 + 8), 4 * (24 + 20 + 220), 4 * 50)),
    ("gru", [x(2, 3, 4), x(4, 2, 5), *[w(15, 4), w(15, 5)] * 4], [y(2, 3, 10), y(4, 2, 5)],
     {"has_biases": False, "num_layers": 2, "bidirectional": True, "batch_first": True},
     (6 * 2 * 15 * (9 + 15), 6 * 4 * 5 * 47, 4 * (24 + 60 + 40 + 720), 4 * (120 + 40))),
    ("rnn_relu", [x(3, 2, 4), x(1, 2, 5), w(5, 4), w(5, 5), w(5), w(5)], [y(3, 2, 5), y(1, 2, 5)],
     {}, (6 * 45, 30 * 17, 4 * (24 + 10 + 55), 4 * 40)),
    ("rnn_tanh", [x(3, 2, 4), x(1, 2, 5), w(5, 4), w(5, 5)], [y(3, 2, 5), y(1, 2, 5)],
     {"has_biases": False}, (6 * 45, 30 * 15, 4 * (24 + 10 + 45), 4 * 40)),
    ("torchvision::roi_align", [x(1, 2, 8, 8), x(3, 5)], [y(3, 2, 2, 2)], {"sampling_ratio": 2},
     (3 * 4 * 4 * 8, 48 * 12 + 96, 4 * (128 + 15), 96)),
    ("torchvision::roi_align", [x(1, 2, 8, 8), x(1, 5)], [y(1, 2, 1, 1)], {"sampling_ratio": 1},
     (8, 12 + 2, 4 * (8 + 5), 8)),
    ("torchvision::roi_align", [x(1, 2, 8, 8), x(3, 5)], [y(3, 2, 2, 2)], {"sampling_ratio": -1},
     (3 * 4 * 4 * 8, 48 * 12 + 96, 4 * (128 + 15), 96)),
    ("torchvision::roi_align", [x(1, 2, 8, 8), x(3, 5)], [y(3, 2, 2, 2)], {},
     (3 * 4 * 4 * 8, 48 * 12 + 96, 4 * (128 + 15), 96)),
    # 3 vectors of 4: squares, sums, products; roots (4) and divisions (4).
    ("_weight_norm_interface", [w(3, 4), w(3, 1)], [y(3, 4), y(3, 1)], {"dim": 0},
     (0, 12 * 3 + 3 * 8, 4 * 15, 4 * 15)),
    # 3 vectors of 4: 5 per element, three divisions of 4 each per vector.
    ("_weight_norm_interface_backward", [y(3, 4), w(3, 4), w(3, 1), x(3, 1)],
     [y(3, 4), y(3, 1)], {"dim": 0}, (0, 12 * 5 + 3 * 12, 4 * 30, 4 * 15)),
    # 6 steps of 4 channels with 3 states: per state Δ A (1), exp (8), (Δ x) B (1) and 2 MACs; per
    # channel Δ x (1) and a MAC for D x; then softplus of a sum, and SiLU times.
    ("costmodel::selective_scan", [x(2, 4, 3), x(2, 4, 3), w(4, 3), x(2, 3, 3), x(2, 3, 3), w(4),
                                   x(2, 4, 3), w(4), None],
     [y(2, 4, 3), y(2, 4, 3)], {},
     (24 * 7, 24 * (3 * 10 + 1) + 24 * (1 + ACTIVATION_FLOPS["softplus"])
      + 24 * (ACTIVATION_FLOPS["silu"] + 1),
      4 * (24 + 24 + 18 + 18 + 24 + 12 + 4 + 4), 4 * 24)),
    ("costmodel::selective_scan", [x(2, 4, 3), x(2, 4, 3), w(4, 3), x(2, 3, 3), x(2, 3, 3), w(4)],
     [y(2, 4, 3), y(2, 4, 3)], {},
     (24 * 7, 24 * 31, 4 * (24 + 24 + 18 + 18 + 12 + 4), 4 * 24)),
    # Its gradient, per state: those again, the rest of 7 MACs, 3 products; per channel 3 MACs and 2
    # products; y again for the gate's.
    ("costmodel::selective_scan_backward",
     [x(2, 4, 3), x(2, 4, 3), x(2, 4, 3), w(4, 3), x(2, 3, 3), x(2, 3, 3), w(4), x(2, 4, 3), w(4)],
     [], {},
     (24 * (7 * 3 + 3) + 24 * 4,
      24 * (3 * 13 + 2) + 24 * (2 + ACTIVATION_FLOPS["softplus"]
                                + GRADIENT_FLOPS["softplus_backward"])
      + 24 * (2 + ACTIVATION_FLOPS["silu"] + GRADIENT_FLOPS["silu_backward"]),
      4 * (3 * 24 + 36 + 16 + 24 + 4), 4 * (2 * 24 + 36 + 16 + 24 + 4))),
    ("costmodel::wkv", [w(4), w(4), x(2, 3, 4), x(2, 3, 4)], [y(2, 3, 4)], {},
     (0, 24 * (2 * (1 + 1 + 2 + 2 * 8 + 2 + 1 + 1 + 1) + 4), 4 * (48 + 8), 96)),
    # Integers: an output is requantised by a product, a sum and three comparisons, a real one is
    # had by a difference and a product. Biases are float32.
    ("quantized::conv2d", [q(1, 2, 3, 3), w(4, 2, 3, 3, dtype="qint8"), w(4)], [q(1, 4, 3, 3)], {},
     (36 * 18, 36 + 36 * 5, 18 + 72 + 16, 36)),
    ("quantized::conv2d_relu", [q(1, 4, 3, 3), w(4, 1, 3, 3, dtype="qint8"), None],
     [q(1, 4, 3, 3)], {}, (36 * 9, 36 * 5, 36 + 36, 36)),
    ("quantized::linear", [q(2, 3), w(4, 3, dtype="qint8"), w(4)], [q(2, 4)], {},
     (24, 8 + 8 * 5, 6 + 12 + 16, 8)),
    ("quantized::add", [q(6), q(6)], [q(6, storage=Y)], {}, (0, 6 * (2 + 2 + 1 + 5), 12, 6)),
    ("quantized::mul", [q(6), q(6)], [q(6, storage=Y)], {}, (0, 6 * (2 + 2 + 1 + 5), 12, 6)),
    ("quantized::add_scalar", [q(6)], [q(6, storage=Y)], {}, (0, 0, 6, 6)),
    ("quantized::hardswish", [q(6)], [q(6, storage=Y)], {}, (0, 6 * (2 + 5 + 5), 6, 6)),
    ("quantized::sigmoid", [q(6)], [q(6, storage=Y)], {}, (0, 6 * (2 + 13 + 5), 6, 6)),
    ("quantized::leaky_relu", [q(6)], [q(6, storage=Y)], {}, (0, 6 * (2 + 2 + 5), 6, 6)),
    ("quantized::relu6", [q(6)], [q(6, storage=Y)], {}, (0, 12, 6, 6)),
    ("quantized::cat", [q(6), q(4)], [q(10, storage=Y)], {}, (0, 0, 10, 10)),
    ("quantized_max_pool2d", [q(1, 2, 6, 6)], [q(1, 2, 3, 3)], {"kernel_size": [2, 2]},
     (0, 72, 72, 18)),
    ("torchvision::deform_conv2d", [x(1, 4, 5, 5), w(6, 2, 3, 1), x(1, 6, 5, 5), None, None],
     [y(1, 6, 5, 5)], {}, (25 * 3 * 12 + 4 * 4 * 25 * 3, 0, 4 * (100 + 36 + 150), 600)),
    ("torchvision::nms", [x(8, 4), x(8)], [y(8, dtype="int64")], {},
     (0, 28 * 16 + 48, 160, 64)),
    ("torchvision::deform_conv2d", [x(1, 4, 5, 5), w(6, 2, 3, 3), x(1, 18, 5, 5),
                                    x(1, 9, 5, 5), w(6)],
     [y(1, 6, 5, 5)], {}, (25 * 9 * 12 + 4 * 4 * 25 * 9, 150, 4 * (100 + 114 + 675), 600)),
    ("_fft_r2c", [x(2, 3, 8)], [y(2, 3, 5, dtype="complex64")], {"dim": [2]},
     (0, 6 * 60, 192, 240)),
    ("_fft_c2c", [x(2, 4, 8, dtype="complex64")], [y(2, 4, 8, dtype="complex64")],
     {"dim": [1, 2]}, (0, 2 * 5 * 32 * 5, 512, 512)),
    ("_fft_c2r", [x(2, 3, 5, dtype="complex64")], [y(2, 3, 8)], {"dim": [2]}, (0, 360, 240, 192)),
    ("nll_loss_forward", [x(4, 10), i(4)], [y(), y()], {}, (0, 4, 48, 8)),
    ("nll_loss_backward", [x(), x(4, 10), i(4), None, x()], [y(4, 10)], {}, (0, 0, 32, 176)),
    ("_fused_adamw", [*[w(6), w(4)] * 4, w(), w()], [], {}, (0, 210, 160, 120)),
    ("_fused_adam", [*[w(6)] * 5, w()], [], {"amsgrad": True}, (0, 126, 96, 72)),
    ("_fused_sgd", [*[w(6), w(4)] * 2], [], {"momentum": 0}, (0, 40, 80, 40)),
    ("_fused_sgd", [*[w(6), w(4)] * 3], [], {"momentum": 0.9}, (0, 60, 120, 80)),
    ("_foreach_add", [x(6), x(4), x(6), x(4)], [], {}, (0, 10, 80, 40)),
    ("_foreach_mul", [x(6), x(4)], [], {"scalar": 0.9}, (0, 10, 40, 40)),
    ("_foreach_addcdiv", [x(6), x(6), x(6)], [], {"value": 0.1}, (0, 36, 72, 24)),
    ("_foreach_sqrt", [x(6), x(4)], [y(6), y(4)], {}, (0, 40, 40, 40)),
    ("_foreach_norm", [x(6), x(4)], [y(), y()], {}, (0, 20, 40, 8)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("target", "inputs", "outputs", "attrs", "expected"),
    CASES,
    ids=[f"{number}-{case[0]}" for number, case in enumerate(CASES)],
)
def test_operator(target, inputs, outputs, attrs, expected):
    cost = cost_of(row_of(target, inputs, outputs, **attrs))
    found = (cost.macs, cost.other_flops, cost.bytes_read, cost.bytes_written)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("name", sorted({**ACTIVATION_FLOPS, **GRADIENT_FLOPS}))
def test_activation(name):
    row = row_of(name, [x(2, 6), w(6)], [y(2, 6)])
    per_element = {**ACTIVATION_FLOPS, **GRADIENT_FLOPS}[name]
    assert (row.kind, row.binding.primitive) == ("activation", name)
    cost = cost_of(row)
    assert (cost.macs, cost.other_flops) == (0, 12 * per_element)
    assert (cost.bytes_read, cost.weight_bytes, cost.bytes_written) == (72, 24, 48)


@pytest.mark.parametrize("name", sorted(POINTWISE_FLOPS))
def test_pointwise(name):
    row = row_of(name, [x(2, 6), None, k(6), x(2, 1)], [y(2, 6)])
    assert (row.kind, row.binding.primitive) == ("elementwise", name)
    cost = cost_of(row)
    assert (cost.macs, cost.other_flops) == (0, 12 * POINTWISE_FLOPS[name])
    assert (cost.bytes_read, cost.weight_bytes, cost.bytes_written) == (4 * 20, 24, 48)


@pytest.mark.parametrize("name", sorted(REDUCTION_FLOPS))
def test_reduction(name):
    row = row_of(name, [x(2, 6)], [y(2)])
    assert (row.kind, row.binding.primitive) == ("reduction", name)
    cost = cost_of(row)
    assert cost.other_flops == 12 * REDUCTION_FLOPS[name]
    assert (cost.bytes_read, cost.bytes_written) == (48, 8)


SAME_AS = {
    "movement": [
        "clone",
        "contiguous",
        "cat",
        "stack",
        "constant_pad_nd",
        "reflection_pad1d",
        "reflection_pad2d",
        "reflection_pad3d",
        "replication_pad1d",
        "replication_pad2d",
        "replication_pad3d",
        "roll",
        "flip",
        "rot90",
        "repeat",
        "repeat_interleave",
        "channel_shuffle",
        "native_channel_shuffle",
        "pixel_shuffle",
        "pixel_unshuffle",
        "im2col",
        "tril",
        "triu",
        "diag_embed",
        "_reshape_copy",
        "view_copy",
        "permute_copy",
        "nonzero",
        "complex",
        "polar",
        "meshgrid",
        "block_diag",
        "unique_dim",
        "_to_copy",
    ],
    "fill": [
        "zeros",
        "ones",
        "full",
        "zeros_like",
        "ones_like",
        "full_like",
        "new_zeros",
        "new_ones",
        "new_full",
        "arange",
        "linspace",
        "logspace",
        "eye",
        "fill",
        "zero",
        "scalar_tensor",
        "rand",
        "rand_like",
        "randn",
        "randn_like",
        "randint",
        "randperm",
        "uniform",
        "normal",
        "bernoulli",
        "tril_indices",
        "triu_indices",
    ],
    "nearest": [
        "upsample_nearest1d",
        "upsample_nearest2d",
        "upsample_nearest3d",
        "_upsample_nearest_exact1d",
        "_upsample_nearest_exact2d",
        "_upsample_nearest_exact3d",
    ],
}


def test_operators_that_only_copy():
    for name in SAME_AS["movement"]:
        cost = cost_of(row_of(name, [x(2, 6), w(6)], [y(2, 9)]))
        assert cost == Cost(0, 0, 72, 72, 24, 0), name


def test_operators_that_only_write():
    for name in SAME_AS["fill"]:
        assert cost_of(row_of(name, [x(2, 6)], [y(2, 9)])) == Cost(0, 0, 0, 72, 0, 0), name


def test_nearest_neighbours_are_copied():
    for name in SAME_AS["nearest"]:
        cost = cost_of(row_of(name, [x(1, 1, 4)], [y(1, 1, 2)]))
        assert cost == Cost(0, 0, 8, 8, 0, 0), name
        back = cost_of(row_of(f"{name}_backward", [x(1, 1, 4)], [y(1, 1, 2)]))
        assert (back.other_flops, back.bytes_read, back.bytes_written) == (8, 16, 8), name


SYNONYMS = [
    ("_convolution", "convolution"),
    ("_scaled_dot_product_flash_attention", "scaled_dot_product_attention"),
    ("_scaled_dot_product_flash_attention_for_cpu", "scaled_dot_product_attention"),
    ("_scaled_dot_product_efficient_attention", "scaled_dot_product_attention"),
    ("_scaled_dot_product_cudnn_attention", "scaled_dot_product_attention"),
    ("_scaled_dot_product_flash_attention_for_cpu_backward",
     "_scaled_dot_product_flash_attention_backward"),
    ("_scaled_dot_product_efficient_attention_backward",
     "_scaled_dot_product_flash_attention_backward"),
    ("_scaled_dot_product_cudnn_attention_backward",
     "_scaled_dot_product_flash_attention_backward"),
    ("_safe_softmax", "softmax"), ("_softmax", "softmax"), ("log_softmax", "_log_softmax"),
    ("_native_batch_norm_legit", "batch_norm"), ("native_batch_norm", "batch_norm"),
    ("_native_batch_norm_legit_no_training", "batch_norm"),
    ("_native_batch_norm_legit_functional", "batch_norm"), ("cudnn_batch_norm", "batch_norm"),
    ("_batch_norm_no_update", "batch_norm"), ("_batch_norm_with_update", "batch_norm"),
    ("batch_norm_backward", "native_batch_norm_backward"),
    ("native_layer_norm", "layer_norm"), ("_fused_rms_norm", "rms_norm"),
    ("native_group_norm", "group_norm"), ("instance_norm", "group_norm"),
    ("argsort", "sort"), ("msort", "sort"), ("_unique2", "sort"), ("kthvalue", "topk"),
    ("vdot", "mv"), ("dot", "mv"), ("matmul", "mm"), ("bmm", "mm"), ("baddbmm", "addmm"),
    ("index_select", "index"), ("take_along_dim", "index"), ("take", "index"),
    ("gather", "index"), ("masked_select", "index"),
    ("index_add", "index_put"), ("index_copy", "index_put"), ("index_fill", "index_put"),
    ("scatter", "index_put"), ("scatter_add", "index_put"), ("scatter_reduce", "index_put"),
    ("masked_scatter", "index_put"), ("slice_scatter", "index_put"),
    ("select_scatter", "index_put"), ("_index_put_impl", "index_put"),
    ("unfold_backward", "col2im"), ("slice_backward", "select_backward"),
    ("reflection_pad1d_backward", "reflection_pad2d_backward"),
    ("reflection_pad3d_backward", "reflection_pad2d_backward"),
    ("replication_pad1d_backward", "reflection_pad2d_backward"),
    ("replication_pad2d_backward", "reflection_pad2d_backward"),
    ("replication_pad3d_backward", "reflection_pad2d_backward"),
    ("adaptive_max_pool2d_backward", "max_pool2d_with_indices_backward"),
    ("adaptive_max_pool3d_backward", "max_pool2d_with_indices_backward"),
    ("miopen_batch_norm_backward", "cudnn_batch_norm_backward"),
    ("diagonal_backward", "select_backward"), ("_foreach_copy", "copy"),
    ("max_pool1d", "avg_pool1d"), ("max_pool2d", "avg_pool1d"), ("max_pool3d", "avg_pool1d"),
    ("avg_pool2d", "avg_pool1d"), ("avg_pool3d", "avg_pool1d"),
    ("max_pool3d_with_indices", "max_pool2d_with_indices"),
    ("max_pool3d_with_indices_backward", "max_pool2d_with_indices_backward"),
    ("avg_pool3d_backward", "avg_pool2d_backward"),
    ("_adaptive_avg_pool3d_backward", "_adaptive_avg_pool2d_backward"),
    ("grid_sampler", "grid_sampler_2d"), ("grid_sampler_3d", "grid_sampler_2d"),
    ("gru", "lstm"), ("rnn_tanh", "lstm"), ("rnn_relu", "lstm"),
    ("_fft_c2c", "_fft_r2c"), ("_fft_c2r", "_fft_r2c"),
    ("nll_loss2d_forward", "nll_loss_forward"), ("nll_loss2d_backward", "nll_loss_backward"),
    ("_fused_adam", "_fused_adamw"), ("quantize_per_channel", "quantize_per_tensor"),
    ("quantize_per_tensor_dynamic", "quantize_per_tensor"),
    ("quantized_decomposed::quantize_per_tensor", "quantize_per_tensor"),
    ("quantized_decomposed::quantize_per_channel", "quantize_per_tensor"),
    ("quantized_decomposed::dequantize_per_tensor", "dequantize"),
    ("quantized_decomposed::dequantize_per_channel", "dequantize"),
    ("fake_quantize_per_tensor_affine", "fake_quantize_per_channel_affine"),
    ("quantized::linear_relu", "quantized::linear"), ("int_repr", "quantized::cat"),
    ("fake_quantize_per_tensor_affine_cachemask", "fake_quantize_per_channel_affine"),
    ("fake_quantize_per_channel_affine_cachemask", "fake_quantize_per_channel_affine"),
] + [
    (f"{kind}{rank}d", "_adaptive_avg_pool2d")
    for kind, ranks in (("adaptive_avg_pool", "123"), ("adaptive_max_pool", "123"),
                        ("_adaptive_avg_pool", "3"))
    for rank in ranks
]  # fmt: skip


def full(name):
    return name if "::" in name else f"aten::{name}"


@pytest.mark.parametrize(("name", "other"), SYNONYMS)
def test_operators_that_are_filled_in_alike(name, other):
    same = binder_of(full(name)) is binder_of(full(other))
    assert same or name in ("_softmax", "bmm", "matmul", "baddbmm", "dot")
    assert binder_of(full(name)) is not None


def test_every_covered_operator_is_tested_here():
    tested = {full(case[0]) for case in CASES}
    tested |= {full(name) for pair in SYNONYMS for name in pair}
    tested |= {full(name) for names in SAME_AS.values() for name in names}
    tested |= {f"aten::{name}_backward" for name in SAME_AS["nearest"]}
    for table in (ACTIVATION_FLOPS, GRADIENT_FLOPS, POINTWISE_FLOPS, REDUCTION_FLOPS):
        tested |= {full(name) for name in table}
    tested |= {full(f"{name}_backward") for name in RESIZES}
    tested |= {full(f"_foreach_{name}") for names in FOREACH.values() for name in names}
    tested |= {f"quantized::{name}" for name in ("add_relu", "mul_relu", "mul_scalar")}
    tested.add("aten::convolution_backward")  # test_formulas_convolution
    assert covered_operators() - tested == set()


RESIZES = {"upsample_linear1d": 2, "upsample_bilinear2d": 4, "upsample_trilinear3d": 8,
           "upsample_bicubic2d": 16}  # fmt: skip


def test_gradient_of_resizing():
    for name, neighbours in RESIZES.items():
        back = cost_of(row_of(f"{name}_backward", [x(1, 1, 4)], [y(1, 1, 2)]))
        assert (back.other_flops, back.bytes_read, back.bytes_written) == (8 * neighbours, 16, 8)


def test_an_antialiased_gradient_reaches_every_place_that_was_weighed():
    """From 32 to 4 along each axis: the inner outputs weigh 16 inputs a side, as the framework's
    own gradient of one of them shows."""
    image = torch.zeros(1, 1, 32, 32, requires_grad=True)
    small = torch.nn.functional.interpolate(image, (4, 4), mode="bilinear", antialias=True)
    small[0, 0, 1, 2].backward()
    reached = int((image.grad != 0).sum())
    row = row_of("_upsample_bilinear2d_aa_backward", [x(1, 1, 4, 4)], [y(1, 1, 32, 32)])
    assert row.binding.values["k"] == reached == 256


FOREACH = {
    2: ["add", "sub", "mul", "div", "maximum", "minimum", "clamp_min", "clamp_max", "pow", "lerp"],
    3: ["addcmul", "addcdiv"],
    1: ["sqrt", "rsqrt", "reciprocal", "neg", "abs", "exp", "sign"],
}
FOREACH_SCALARS = {"add": "scalar", "mul": "scalars", "div": "other", "pow": "exponent"}


def test_pointwise_operators_on_lists():
    for lists, names in FOREACH.items():
        for name in names:
            many = [x(6), x(4)] * lists
            cost = cost_of(row_of(f"_foreach_{name}", many, []))
            assert cost.other_flops == 10 * POINTWISE_FLOPS[name], name
            assert (cost.bytes_read, cost.bytes_written) == (40 * lists, 40), name
    for name, scalar in FOREACH_SCALARS.items():
        cost = cost_of(row_of(f"_foreach_{name}", [x(6), x(4)], [], **{scalar: 2}))
        assert (cost.other_flops, cost.bytes_read) == (10 * POINTWISE_FLOPS[name], 40)
        assert cost.bytes_written == 40


# ---------------------------------------------------------------------- follow


def scaled(target, inputs, outputs, batch, **attrs):
    """Cost of one operator at `batch` times the traced batch, through the columns."""
    tensors = [t for t in (*inputs, *outputs) if t is not None]
    specs = tuple(t._replace(id=n, storage=n) for n, t in enumerate(tensors))
    ids = iter(range(len(tensors)))
    ins = tuple(None if t is None else next(ids) for t in inputs)
    outs = tuple(next(ids) for _ in outputs)
    graph = Graph("one", specs, (Op(full(target), ins, outs, attrs, ""),), (), (), 1)
    cost = columns_of(graph).evaluate(batch).cost
    return Cost(*(float(getattr(cost, name)[0]) for name in Cost.__slots__))


FOLLOWING = [
    # What three times the batch does to (MACs, bytes read, bytes written): by hand.
    ("linear", [x(1, 4), w(5, 4)], [y(1, 5)], {}, (60, 4 * 32, 60)),
    ("mm", [w(5, 4), x(4, 1)], [y(5, 1)], {}, (60, 4 * 32, 60)),
    ("mm", [x(5, 1), x(1, 4)], [y(5, 4)], {}, (60, 4 * 27, 80)),
    ("bmm", [x(1, 5, 2), x(1, 2, 4)], [y(1, 5, 4)], {}, (120, 12 * 18, 240)),
    ("relu", [x(1, 4)], [y(1, 4)], {}, (0, 48, 48)),
    ("scaled_dot_product_attention", [x(1, 4, 5)] * 3, [y(1, 4, 5)], {}, (480, 720, 240)),
    ("add", [x(1, 4), w(4)], [y(1, 4)], {}, (0, 48 + 16, 48)),
    ("add", [w(4), w(4)], [k(4)], {}, (0, 32, 16)),
    ("embedding", [w(9, 4), i(1)], [y(1, 4)], {}, (0, 24 + 48, 48)),
    ("index", [w(9, 4), k(1, dtype="int64")], [k(1, 4)], {}, (0, 24, 16)),
    ("native_batch_norm_backward", [x(1, 2, 4), x(1, 2, 4), None], [y(1, 2, 4)], {},
     (0, 4 * (48 + 4), 96)),
    ("softmax", [x(1, 4)], [y(1, 4)], {"dim": 1}, (0, 48, 48)),
    ("einsum", [x(1, 4), w(4, 5)], [y(1, 5)], {"equation": "ij,jk->ik"}, (60, 128, 60)),
    ("index_put", [x(1, 4), i(2), x(2)], [y(1, 4)], {}, (0, 48 + 24 + 48, 24 + 48)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("target", "inputs", "outputs", "attrs", "expected"),
    FOLLOWING,
    ids=[f"{number}-{case[0]}" for number, case in enumerate(FOLLOWING)],
)
def test_what_follows_the_batch(target, inputs, outputs, attrs, expected):
    cost = scaled(target, inputs, outputs, 3, **attrs)
    assert (cost.macs, cost.bytes_read, cost.bytes_written) == expected


def test_indices_keep_their_width_when_the_data_is_converted():
    specs = (w(9, 4)._replace(id=0, storage=0), i(2)._replace(id=1, storage=1),
             y(2, 4)._replace(id=2, storage=2))  # fmt: skip
    graph = Graph("one", specs, (Op("aten::embedding", (0, 1), (2,), {}, ""),), (), (), 1)
    half = columns_of(graph).evaluate(dtype="float16").cost
    assert half.bytes_read[0] == 2 * 8 + 8 * 2
    assert half.bytes_written[0] == 8 * 2


def test_what_grows_with_the_square_of_the_batch_is_costed_at_every_batch():
    class Contrast(nn.Module):
        def forward(self, a: Tensor) -> Tensor:
            return a.relu() @ a.T

    columns = columns_of(trace(Contrast(), (2, 16)))
    macs = columns.evaluate([1, 2, 7, 100]).cost.macs.sum(axis=-1)
    assert macs.tolist() == [16, 4 * 16, 49 * 16, 10_000 * 16]
    relus = columns.evaluate([1, 7]).cost.bytes_written[:, columns.kinds.index("activation")]
    assert relus.tolist() == [64, 7 * 64]


# -------------------------------------------------------------------- registry


def test_rows_are_shared_by_equal_operators_and_views_have_none():
    specs = [x(2, 4)._replace(id=n, storage=n) for n in range(4)]
    ops = (
        Op("aten::relu", (0,), (1,), {}, "a"),
        Op("aten::view", (1,), (2,), {}, "", is_view=True),
        Op("aten::relu", (2,), (3,), {}, "b"),
        Op("custom::unheard", (2,), (3,), {}, "b"),
    )
    columns = columns_of(Graph("g", tuple(specs), ops, (0,), (3,), 2))
    assert list(columns.row_of_op) == [0, -1, 0, 1]
    assert list(columns.counts) == [2, 1]
    assert columns.kinds == ("activation", "uncovered")
    assert columns.dtypes == ("float32", "float32")
    assert list(columns.uncovered) == [False, True]
    cost = columns.evaluate().cost
    assert list(cost.bytes_read) == [32, 32]
    assert list(cost.bytes_written) == [32, 32]
    many = columns.evaluate([1, 2, 4]).cost
    assert many.bytes_read.tolist() == [[16, 16], [32, 32], [64, 64]]
    with pytest.raises(UncoveredOperatorError, match=r"g: no formula for custom::unheard \(x1\)"):
        columns.require_coverage()


def test_matrix_products_in_columns():
    specs = [x(2, 4), w(5, 4), y(2, 5), y(2, 5)]
    specs = tuple(t._replace(id=n, storage=n) for n, t in enumerate(specs))
    ops = (Op("aten::linear", (0, 1), (2,), {}, ""), Op("aten::relu", (2,), (3,), {}, ""))
    found = columns_of(Graph("g", specs, ops, (0,), (3,), 2)).evaluate(6)
    assert [list(part) for part in (found.batches, found.rows, found.columns, found.contraction)] \
        == [[1, 0], [6, 0], [5, 0], [4, 0]]  # fmt: skip


def test_valid_taps_are_an_option():
    specs = [x(2, 3, 5, 5), w(4, 3, 3, 3), y(2, 4, 5, 5)]
    specs = tuple(t._replace(id=n, storage=n) for n, t in enumerate(specs))
    attrs = {"stride": [1, 1], "padding": [1, 1], "dilation": [1, 1], "groups": 1}
    graph = Graph(
        "g", specs, (Op("aten::convolution", (0, 1, None), (2,), attrs, ""),), (0,), (2,), 2
    )
    padded, valid = (columns_of(graph, valid_taps=flag).evaluate().cost for flag in (False, True))
    assert padded.macs[0] == 2 * 25 * 9 * 12
    assert valid.macs[0] == 2 * 13 * 13 * 12
    assert padded.bytes_read[0] == valid.bytes_read[0]


def test_an_incomplete_graph_is_an_error():
    with pytest.raises(GraphError, match="aten::linear in block: input 1 is absent"):
        row_of("linear", [x(2, 3), None], [y(2, 4)])
    with pytest.raises(GraphError, match="input 0 is absent"):
        row_of("softmax", [], [y(2, 4)])


def test_einsum_that_cannot_be_read():
    for equation in ("ij,jk", "i...,j->ij", "ijk,jk->ik", "ij->i"):
        with pytest.raises(UsageError, match="einsum"):
            row_of("einsum", [x(2, 3), x(3, 4)], [y(2, 4)], equation=equation)


def test_registering_twice_raises():
    with pytest.raises(ValueError, match="registered twice"):
        formula("linear", kind="matmul", source="")(lambda m: Cost())
    with pytest.raises(ValueError, match="registered twice"):
        composition("linear", source="")(lambda m: {"a": Cost()})
    with pytest.raises(ValueError, match="bound twice"):
        binds("aten::linear")(lambda op, inputs, outputs: Binding("linear", {}))
    with pytest.raises(ValueError, match="no meaning"):
        formula("nonsense", kind="matmul", source="")(lambda banana: Cost())


def test_a_formula_takes_its_own_symbols():
    linear = get_formula("linear")
    with pytest.raises(UsageError, match="missing c_out, bias"):
        linear(m=1, c_in=1, b_x=1, b_w=1, b_y=1)
    with pytest.raises(UsageError, match="no banana"):
        linear(m=1, c_in=1, c_out=1, bias=0, b_x=1, b_w=1, b_y=1, banana=1)
    with pytest.raises(UsageError, match="missing"):
        get_formula("separable").parts(n=1)
    assert linear.symbols == ("m", "c_in", "c_out", "bias", "b_x", "b_w", "b_y")
    assert linear.description.startswith("y = x Wᵀ + bias")


def test_symbolic_sizes_are_carried_through():
    n, h = symbol("n"), symbol("h")
    row = row_of("linear", [x(n, h, 3), w(4, 3)], [y(n, h, 4)])
    values = {**row.binding.values, "b_x": 4, "b_w": 4, "b_y": 4}
    assert get_formula("linear")(**values).macs == n * h * 12
    pooled = row_of("max_pool2d", [x(n, 2, h, h)], [y(n, 2, h / 2, h / 2)], kernel_size=[2, 2])
    assert pooled.binding.values["e_x"] == 2 * n * h**2
    adaptive = row_of("_adaptive_avg_pool2d", [x(n, 2, h, h)], [y(n, 2, 2, 2)]).binding.values
    assert adaptive["v"].subs(h, 6) == 36
    soft = row_of("softmax", [x(n, h)], [y(n, h)], dim=1).binding.values
    assert soft["m"].subs({n: 3, h: 5}) == 3
    shrunk = row_of("_upsample_bilinear2d_aa", [x(n, 2, h, h)], [y(n, 2, 4, 4)]).binding.values
    assert shrunk["k"].subs(h, 8) == 16
    separable = get_formula("separable")
    kinds = {"n": n, "c_in": 2, "c_out": 3, "h": h, "w": h, "k": 3, "b_x": 1, "b_w": 1, "b_y": 1}
    assert separable(**kinds).macs == n * h**2 * (18 + 6)
    assert separable.parts(**kinds)["pointwise"].macs == n * h**2 * 6
    op = Op("aten::convolution", (), (), {}, "")
    with pytest.raises(UsageError, match="symbolic"):
        bind_valid_convolution(op, [x(n, 3, h, h), w(4, 3, 3, 3)], [y(n, 4, h, h)])
    assert isinstance(symbol("h"), sympy.Symbol)
