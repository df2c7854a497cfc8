"""Normalisations, reductions, softmax and ordering."""

from __future__ import annotations

from costmodel.tracing.onnx_model.graph_builder import OpBuilder
from costmodel.tracing.onnx_model.operators.table import finish, need, optional, rule
from costmodel.tracing.onnx_model.step import Step


@rule("BatchNormalization")
def _batch_norm(builder: OpBuilder, step: Step) -> None:
    x, weight, bias, mean, var = (builder.id_of(need(step, i)) for i in range(5))
    strides = builder.layout_of((x,), step.outputs[0].shape)
    training = bool(step.attrs.get("training_mode", 0))
    finish(
        builder, step, "aten::batch_norm", (x, weight, bias, mean, var), {"training": training},
        strides,
    )  # fmt: skip


@rule("LayerNormalization")
def _layer_norm(builder: OpBuilder, step: Step) -> None:
    _normalize_last(builder, step, "aten::layer_norm")


@rule("RMSNormalization", "SimplifiedLayerNormalization")
def _rms_norm(builder: OpBuilder, step: Step) -> None:
    _normalize_last(builder, step, "aten::rms_norm")


def _normalize_last(builder: OpBuilder, step: Step, target: str) -> None:
    x = need(step, 0)
    axis = int(step.attrs.get("axis", -1)) % x.rank
    weights = [builder.optional(optional(step, i)) for i in (1, 2)]
    inputs = (builder.id_of(x), *(weights if target == "aten::layer_norm" else weights[:1]))
    finish(builder, step, target, inputs, {"normalized_shape": list(x.shape[axis:])})


@rule("GroupNormalization")
def _group_norm(builder: OpBuilder, step: Step) -> None:
    inputs = [builder.id_of(need(step, 0)), *(builder.optional(optional(step, i)) for i in (1, 2))]
    finish(
        builder, step, "aten::group_norm", inputs, {"num_groups": step.attrs.get("num_groups", 1)}
    )


@rule("InstanceNormalization")
def _instance_norm(builder: OpBuilder, step: Step) -> None:
    inputs = [builder.id_of(need(step, i)) for i in range(3)]
    finish(builder, step, "aten::instance_norm", inputs)


_REDUCTIONS = {
    "ReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "amax", "ReduceMin": "amin",
    "ReduceProd": "prod", "ReduceL1": "linalg_vector_norm", "ReduceL2": "linalg_vector_norm",
    "ReduceSumSquare": "linalg_vector_norm", "ReduceLogSumExp": "logsumexp",
}  # fmt: skip


@rule(*_REDUCTIONS)
def _reduce(builder: OpBuilder, step: Step) -> None:
    x, y = need(step, 0), step.outputs[0]
    given = optional(step, 1)
    known = given.known if given is not None else None
    axes = step.attrs.get("axes", None if known is None else known.ravel().tolist())
    if not axes and step.attrs.get("noop_with_empty_axes"):
        builder.bind(y, builder.id_of(x))
        return
    dims = sorted(int(a) % x.rank for a in axes) if axes else list(range(x.rank))
    attrs = {"dim": dims, "keepdim": bool(step.attrs.get("keepdims", 1))}
    finish(builder, step, f"aten::{_REDUCTIONS[step.name]}", (builder.id_of(x),), attrs)


@rule("Variance", "StandardDeviation")
def _deviation(builder: OpBuilder, step: Step) -> None:
    target = "aten::var" if step.name == "Variance" else "aten::std"
    finish(builder, step, target, (builder.id_of(need(step, 0)),), {"dim": step.attrs["axes"]})


@rule("ReduceLogSum")
def _reduce_log_sum(builder: OpBuilder, step: Step) -> None:
    y = step.outputs[0]
    (total,) = builder.emit("aten::sum", (builder.id_of(need(step, 0)),), [(y.shape, y.dtype)])
    finish(builder, step, "aten::log", (total,))


@rule("ArgMax", "ArgMin")
def _argument(builder: OpBuilder, step: Step) -> None:
    attrs = {"dim": int(step.attrs.get("axis", 0))}
    finish(builder, step, f"aten::{step.name.lower()}", (builder.id_of(need(step, 0)),), attrs)


@rule("Softmax", "LogSoftmax", "QLinearSoftmax", "com.microsoft::QLinearSoftmax")
def _softmax(builder: OpBuilder, step: Step) -> None:
    x = builder.id_of(need(step, 0))
    target = "aten::_log_softmax" if step.name == "LogSoftmax" else "aten::softmax"
    finish(builder, step, target, (x,), {"dim": int(step.attrs.get("axis", -1))})


@rule("TopK")
def _topk(builder: OpBuilder, step: Step) -> None:
    x = need(step, 0)
    axis = int(step.attrs.get("axis", -1)) % x.rank
    attrs = {"k": step.outputs[0].shape[axis], "dim": axis}
    finish(builder, step, "aten::topk", (builder.id_of(x),), attrs)


@rule("CumSum")
def _cumulate(builder: OpBuilder, step: Step) -> None:
    finish(builder, step, "aten::cumsum", (builder.id_of(need(step, 0)),))
