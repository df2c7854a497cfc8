"""Matrix products, attention and recurrent cells."""

from __future__ import annotations

from costmodel.graph import Dim
from costmodel.tracing.onnx_model.graph_builder import OpBuilder
from costmodel.tracing.onnx_model.operators.table import finish, need, optional, rule
from costmodel.tracing.onnx_model.shapes import broadcast, floor_divide
from costmodel.tracing.onnx_model.step import Step
from costmodel.tracing.onnx_model.values import Value


@rule("MatMul", "MatMulInteger")
def _matmul(builder: OpBuilder, step: Step) -> None:
    _multiply(builder, step, need(step, 0), need(step, 1))


@rule("QLinearMatMul")
def _qlinear_matmul(builder: OpBuilder, step: Step) -> None:
    _multiply(builder, step, need(step, 0), need(step, 3))


def _multiply(builder: OpBuilder, step: Step, left: Value, right: Value) -> None:
    y = step.outputs[0]
    a, b = builder.id_of(left), builder.id_of(right)
    if right.rank == 2 and left.rank >= 2 and not builder.tensors[b].batched:
        finish(builder, step, "aten::linear", (a, _columns_first(builder, b), None))
        return
    if left.rank == 1:
        a = builder.reshape(a, (1, *left.shape))
    if right.rank == 1:
        b = builder.reshape(b, (*right.shape, 1))
    shape_a, shape_b = builder.tensors[a].shape, builder.tensors[b].shape
    if len(shape_b) == 2 and len(shape_a) > 2:
        # One matrix for all: rows of the batch are rows of one product.
        rows = y.numel if right.rank == 1 else _quotient(y, shape_b[-1])
        flat = builder.reshape(a, (rows, shape_a[-1]))
        (made,) = builder.emit("aten::mm", (flat, b), [((rows, shape_b[-1]), y.dtype)])
        builder.bind(y, builder.reshape(made, y.shape))
        return
    lead = broadcast(shape_a[:-2], shape_b[:-2])
    if list(shape_a[:-2]) != lead:
        a = builder.expand(a, (*lead, *shape_a[-2:]))
    if list(shape_b[:-2]) != lead:
        b = builder.expand(b, (*lead, *shape_b[-2:]))
    shape = (*lead, shape_a[-2], shape_b[-1])
    target = "aten::mm" if len(shape) == 2 else "aten::matmul"
    (made,) = builder.emit(target, (a, b), [(shape, y.dtype)])
    builder.bind(y, builder.reshape(made, y.shape))


def _quotient(y: Value, columns: Dim) -> Dim:
    return floor_divide(y.numel, columns)


def _columns_first(builder: OpBuilder, weight: int) -> int:
    """A (c_in, c_out) matrix as the (c_out, c_in) one a linear layer holds."""
    return builder.transpose(weight)


@rule("Linear")
def _linear(builder: OpBuilder, step: Step) -> None:
    x, weight, bias = (builder.id_of(need(step, i)) for i in range(3))
    finish(builder, step, "aten::linear", (x, _columns_first(builder, weight), bias))


@rule("Gemm")
def _gemm(builder: OpBuilder, step: Step) -> None:
    a, b = builder.id_of(need(step, 0)), builder.id_of(need(step, 1))
    bias = optional(step, 2)
    if step.attrs.get("transA"):
        a = builder.transpose(a)
    linear = not builder.tensors[b].batched and (bias is None or bias.rank <= 1)
    if linear:
        weight = b if step.attrs.get("transB") else builder.transpose(b)
        finish(builder, step, "aten::linear", (a, weight, builder.optional(bias)))
        return
    if step.attrs.get("transB"):
        b = builder.transpose(b)
    if bias is None:
        finish(builder, step, "aten::mm", (a, b))
    else:
        finish(builder, step, "aten::addmm", (builder.id_of(bias), a, b))


@rule("Einsum")
def _einsum(builder: OpBuilder, step: Step) -> None:
    inputs = [builder.id_of(need(step, i)) for i in range(len(step.inputs))]
    finish(builder, step, "aten::einsum", inputs, {"equation": str(step.attrs["equation"])})


@rule("FusedAttention")
def _fused_attention(builder: OpBuilder, step: Step) -> None:
    q, k, v = (builder.id_of(need(step, i)) for i in range(3))
    if step.attrs["keys_transposed"]:
        k = builder.transpose(k)
    mask = builder.optional(optional(step, 3))
    attrs = {"is_causal": bool(step.attrs["is_causal"]), "scale": step.attrs["scale"]}
    finish(builder, step, "aten::scaled_dot_product_attention", (q, k, v, mask), attrs)


@rule("Attention")
def _attention(builder: OpBuilder, step: Step) -> None:
    """The operator of opset 23: heads side by side in three dimensions, or apart in four."""
    values = [need(step, i) for i in range(3)]
    tensors = [builder.id_of(v) for v in values]
    heads = [step.attrs.get("q_num_heads"), *[step.attrs.get("kv_num_heads")] * 2]
    if values[0].rank == 3:
        for i, (value, stated) in enumerate(zip(values, heads, strict=True)):
            count = int(stated or 0)
            n, length, width = value.shape
            apart = builder.reshape(tensors[i], (n, length, count, floor_divide(width, count)))
            tensors[i] = builder.permute(apart, (0, 2, 1, 3))
    mask = builder.optional(optional(step, 3))
    q, v = builder.tensors[tensors[0]].shape, builder.tensors[tensors[2]].shape
    y = step.outputs[0]
    (made,) = builder.emit(
        "aten::scaled_dot_product_attention", (*tensors, mask), [((*q[:-1], v[-1]), y.dtype)],
        {"is_causal": bool(step.attrs.get("is_causal", 0)), "scale": step.attrs.get("scale")},
    )  # fmt: skip
    if values[0].rank == 3:
        made = builder.reshape(builder.permute(made, (0, 2, 1, 3)), y.shape)
    builder.bind(y, made)


@rule("LSTM", "GRU", "RNN")
def _recurrent(builder: OpBuilder, step: Step) -> None:
    x, w, r = need(step, 0), need(step, 1), need(step, 2)
    bias, hidden = optional(step, 3), optional(step, 5)
    directions = w.shape[0]
    first = bool(step.attrs.get("layout", 0))
    n = x.shape[0] if first else x.shape[1]
    state = hidden or Value((directions, n, r.shape[2]), x.dtype, "constant")
    states = [builder.id_of(state)]
    if step.name == "LSTM":
        cell = optional(step, 6) or Value(state.shape, x.dtype, "constant")
        states.append(builder.id_of(cell))
    weights = [builder.id_of(v) for v in (w, r, bias) if v is not None]
    target = {"LSTM": "lstm", "GRU": "gru", "RNN": "rnn_tanh"}[step.name]
    finish(
        builder, step, f"aten::{target}", (builder.id_of(x), *states, *weights),
        {
            "num_layers": 1, "bidirectional": directions == 2, "has_biases": bias is not None,
            "batch_first": first,
        },
    )  # fmt: skip
