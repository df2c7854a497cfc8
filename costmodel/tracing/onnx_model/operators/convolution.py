"""Convolution, pooling, sampling and detection."""

from __future__ import annotations

from costmodel.tracing.onnx_model.graph_builder import OpBuilder
from costmodel.tracing.onnx_model.operators.table import finish, need, optional, rule
from costmodel.tracing.onnx_model.shapes import window_attributes
from costmodel.tracing.onnx_model.step import Step
from costmodel.tracing.onnx_model.values import Value


def _convolve(
    builder: OpBuilder, step: Step, x: Value, weight: Value, bias: Value | None, transposed: bool
) -> None:
    y = step.outputs[0]
    kernel = [int(k) for k in weight.shape[2:]]
    attrs = {k: v for k, v in step.attrs.items() if not (transposed and k == "auto_pad")}
    strides, dilations, before, after = window_attributes(attrs, x.shape[2:], kernel)
    source = builder.id_of(x)
    finish(
        builder,
        step,
        "aten::convolution",
        (source, builder.id_of(weight), builder.optional(bias)),
        {
            "stride": strides,
            "padding": before if before == after else [*before, *after],
            "dilation": dilations,
            "groups": int(step.attrs.get("group", 1)),
            "transposed": transposed,
        },
        builder.image_layout(source, y.shape),
    )


@rule("Conv")
def _conv(builder: OpBuilder, step: Step) -> None:
    _convolve(builder, step, need(step, 0), need(step, 1), optional(step, 2), False)


@rule("ConvInteger")
def _conv_integer(builder: OpBuilder, step: Step) -> None:
    _convolve(builder, step, need(step, 0), need(step, 1), None, False)


@rule("QLinearConv")
def _qlinear_conv(builder: OpBuilder, step: Step) -> None:
    _convolve(builder, step, need(step, 0), need(step, 3), optional(step, 8), False)


@rule("ConvTranspose")
def _conv_transpose(builder: OpBuilder, step: Step) -> None:
    _convolve(builder, step, need(step, 0), need(step, 1), optional(step, 2), True)


@rule("DeformConv")
def _deform_conv(builder: OpBuilder, step: Step) -> None:
    x, weight, offset = (builder.id_of(need(step, i)) for i in range(3))
    bias, mask = builder.optional(optional(step, 3)), builder.optional(optional(step, 4))
    finish(
        builder, step, "torchvision::deform_conv2d", (x, weight, offset, mask, bias),
        {"groups": int(step.attrs.get("group", 1)), "use_mask": mask is not None},
    )  # fmt: skip


@rule("MaxPool", "AveragePool", "QLinearAveragePool", "com.microsoft::QLinearAveragePool")
def _pool(builder: OpBuilder, step: Step) -> None:
    x, y = need(step, 0), step.outputs[0]
    kernel = [int(k) for k in step.attrs["kernel_shape"]]
    strides, dilations, before, after = window_attributes(step.attrs, x.shape[2:], kernel)
    name = "max_pool" if step.name == "MaxPool" else "avg_pool"
    indices = "_with_indices" if len(step.outputs) > 1 else ""
    source = builder.id_of(x)
    attrs = {
        "kernel_size": kernel,
        "stride": strides,
        "padding": before if before == after else [*before, *after],
        "ceil_mode": bool(step.attrs.get("ceil_mode", 0)),
    }
    if name == "max_pool":
        attrs["dilation"] = dilations
    finish(
        builder, step, f"aten::{name}{len(kernel)}d{indices}", (source,), attrs,
        builder.image_layout(source, y.shape),
    )  # fmt: skip


@rule("GlobalAveragePool", "QLinearGlobalAveragePool", "com.microsoft::QLinearGlobalAveragePool")
def _global_average(builder: OpBuilder, step: Step) -> None:
    x = need(step, 0)
    dims = list(range(2, x.rank))
    finish(builder, step, "aten::mean", (builder.id_of(x),), {"dim": dims, "keepdim": True})


@rule("GlobalMaxPool")
def _global_max(builder: OpBuilder, step: Step) -> None:
    x = need(step, 0)
    attrs = {"dim": list(range(2, x.rank)), "keepdim": True}
    finish(builder, step, "aten::amax", (builder.id_of(x),), attrs)


@rule("GridSample")
def _grid_sample(builder: OpBuilder, step: Step) -> None:
    x, grid = need(step, 0), need(step, 1)
    modes = {"nearest": 1, "cubic": 2, "bicubic": 2}
    mode = modes.get(str(step.attrs.get("mode", "linear")), 0)
    finish(
        builder, step, f"aten::grid_sampler_{x.rank - 2}d",
        (builder.id_of(x), builder.id_of(grid)), {"interpolation_mode": mode},
    )  # fmt: skip


@rule("RoiAlign")
def _roi_align(builder: OpBuilder, step: Step) -> None:
    inputs = [builder.id_of(need(step, i)) for i in range(2)]
    ratio = int(step.attrs.get("sampling_ratio", 0)) or -1
    finish(builder, step, "torchvision::roi_align", inputs, {"sampling_ratio": ratio})


@rule("NonMaxSuppression")
def _non_max_suppression(builder: OpBuilder, step: Step) -> None:
    boxes, scores = need(step, 0), need(step, 1)
    rows = boxes.shape[0] * boxes.shape[1]
    flat = builder.reshape(builder.id_of(boxes), (rows, boxes.shape[2]))
    finish(builder, step, "torchvision::nms", (flat, builder.id_of(scores)))
