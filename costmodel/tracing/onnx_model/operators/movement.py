"""ONNX operators that move data: views where torch makes a view, copies where it copies."""

from __future__ import annotations

from typing import Any

from costmodel.graph import Dim
from costmodel.tracing.onnx_model.folding import axes_of, normal_axes, slice_arguments
from costmodel.tracing.onnx_model.graph_builder import OpBuilder
from costmodel.tracing.onnx_model.layout import contiguous
from costmodel.tracing.onnx_model.operators.table import finish, need, optional, rule, strides_of
from costmodel.tracing.onnx_model.step import Step
from costmodel.tracing.onnx_model.values import INTEGERS, is_symbolic

# -------------------------------------------------------------------------- views


@rule("Reshape", "Flatten")
def _reshape(builder: OpBuilder, step: Step) -> None:
    y = step.outputs[0]
    target = "aten::flatten" if step.name == "Flatten" else "aten::reshape"
    builder.bind(y, builder.reshape(builder.id_of(need(step, 0)), y.shape, target))


@rule("Squeeze", "Unsqueeze")
def _squeeze(builder: OpBuilder, step: Step) -> None:
    x, y = builder.id_of(need(step, 0)), step.outputs[0]
    spec, steps = builder.tensors[x], strides_of(builder, x)
    given = optional(step, 1)
    axes = axes_of(step.attrs, None if given is None else given.known)
    if step.name == "Squeeze":
        if axes is None:
            chosen = {i for i, s in enumerate(spec.shape) if not is_symbolic(s) and s == 1}
        else:
            chosen = set(normal_axes(axes, len(spec.shape)))
        strides: list[Dim] = [t for i, t in enumerate(steps) if i not in chosen]
        builder.bind(y, builder.view("aten::squeeze", x, y.shape, tuple(strides)))
        return
    chosen = set(normal_axes(axes or [], y.rank))
    rest = iter(steps)
    strides = [1 if i in chosen else next(rest) for i in range(y.rank)]
    builder.bind(y, builder.view("aten::unsqueeze", x, y.shape, tuple(strides)))


@rule("Transpose")
def _transpose(builder: OpBuilder, step: Step) -> None:
    x = need(step, 0)
    order = [int(i) for i in step.attrs.get("perm", reversed(range(x.rank)))]
    builder.bind(step.outputs[0], builder.permute(builder.id_of(x), order))


@rule("Expand")
def _expand(builder: OpBuilder, step: Step) -> None:
    y = step.outputs[0]
    builder.bind(y, builder.expand(builder.id_of(need(step, 0)), y.shape))


@rule("Slice")
def _slice(builder: OpBuilder, step: Step) -> None:
    x, y = need(step, 0), step.outputs[0]
    tensor = builder.id_of(x)
    if x.shape == y.shape and not _reverses(step):
        builder.bind(y, tensor)
        return
    if _reverses(step):
        finish(builder, step, "aten::flip", (tensor,))
        return
    *_, axes, steps = slice_arguments([None if v is None else v.known for v in step.inputs], x.rank)
    strides = list(strides_of(builder, tensor))
    for axis, stride in zip(axes or (), steps or (), strict=True):
        strides[axis] = strides[axis] * stride
    builder.bind(y, builder.view("aten::slice", tensor, y.shape, tuple(strides)))


def _reverses(step: Step) -> bool:
    known = [None if v is None else v.known for v in step.inputs]
    return any(s < 0 for s in slice_arguments(known, need(step, 0).rank)[3] or ())


@rule("Split")
def _split(builder: OpBuilder, step: Step) -> None:
    tensor = builder.id_of(need(step, 0))
    strides = strides_of(builder, tensor)
    if any(y.rank != len(strides) for y in step.outputs):
        axis = int(step.attrs["axis"])
        strides = (*strides[:axis], *strides[axis + 1 :])
    views = [(y.shape, strides) for y in step.outputs]
    for y, made in zip(step.outputs, builder.views("aten::split", tensor, views), strict=True):
        builder.bind(y, made)


@rule("Unbind")
def _unbind(builder: OpBuilder, step: Step) -> None:
    tensor = builder.id_of(need(step, 0))
    strides = strides_of(builder, tensor)
    axis = int(step.attrs["axis"])
    kept = (*strides[:axis], *strides[axis + 1 :])
    views = [(y.shape, kept) for y in step.outputs]
    for y, made in zip(step.outputs, builder.views("aten::unbind", tensor, views), strict=True):
        builder.bind(y, made)


# ------------------------------------------------------------------------- copies


@rule("Concat", "Stack")
def _concat(builder: OpBuilder, step: Step) -> None:
    tensors = [builder.id_of(v) for v in step.inputs if v is not None and v.numel != 0]
    y = step.outputs[0]
    target = "aten::cat" if step.name == "Concat" else "aten::stack"
    strides = builder.image_layout(tensors[0], y.shape) if tensors else None
    finish(builder, step, target, tensors, {"dim": int(step.attrs.get("axis", 0))}, strides)


@rule("QLinearConcat", "com.microsoft::QLinearConcat")
def _qlinear_concat(builder: OpBuilder, step: Step) -> None:
    values = [v for v in step.inputs[2::3] if v is not None]
    attrs = {"dim": int(step.attrs.get("axis", 0))}
    finish(builder, step, "aten::cat", [builder.id_of(v) for v in values], attrs)


@rule("Roll")
def _roll(builder: OpBuilder, step: Step) -> None:
    x, y = builder.id_of(need(step, 0)), step.outputs[0]
    strides = builder.layout_of((x,), y.shape)
    finish(builder, step, "aten::roll", (x,), {"dims": step.attrs["dims"]}, strides)


@rule("Tile")
def _tile(builder: OpBuilder, step: Step) -> None:
    finish(builder, step, "aten::repeat", (builder.id_of(need(step, 0)),))


@rule("Pad")
def _pad(builder: OpBuilder, step: Step) -> None:
    x, y = need(step, 0), step.outputs[0]
    tensor = builder.id_of(x)
    if x.shape == y.shape:
        builder.bind(y, tensor)
        return
    mode = str(step.attrs.get("mode", "constant"))
    space = max(x.rank - 2, 1)
    target = {
        "constant": "constant_pad_nd",
        "reflect": f"reflection_pad{space}d",
        "edge": f"replication_pad{space}d",
    }.get(mode, "_pad_circular")
    strides = builder.image_layout(tensor, y.shape)
    finish(builder, step, f"aten::{target}", (tensor,), {}, strides)


@rule("Gather")
def _gather(builder: OpBuilder, step: Step) -> None:
    """One known row is a view; rows of a stored table are an embedding; else an index."""
    x, index, y = need(step, 0), need(step, 1), step.outputs[0]
    axis = int(step.attrs.get("axis", 0)) % max(x.rank, 1)
    tensor = builder.id_of(x)
    if index.rank == 0 and index.known is not None:
        strides = strides_of(builder, tensor)
        kept = (*strides[:axis], *strides[axis + 1 :])
        builder.bind(y, builder.view("aten::select", tensor, y.shape, kept, {"dim": axis}))
        return
    rows = builder.id_of(index)
    stored = x.kind == "parameter" and x.dtype not in INTEGERS
    looked_up = builder.tensors[rows].batched or index.rank > 1
    if stored and x.rank == 2 and axis == 0 and looked_up:
        finish(builder, step, "aten::embedding", (tensor, rows))
    else:
        finish(builder, step, "aten::index", (tensor, rows), {"dim": axis})


@rule("GatherElements")
def _gather_elements(builder: OpBuilder, step: Step) -> None:
    inputs = [builder.id_of(need(step, i)) for i in range(2)]
    finish(builder, step, "aten::gather", inputs, {"dim": int(step.attrs.get("axis", 0))})


@rule("GatherND")
def _gather_nd(builder: OpBuilder, step: Step) -> None:
    finish(builder, step, "aten::index", [builder.id_of(need(step, i)) for i in range(2)])


@rule("ScatterND")
def _scatter_nd(builder: OpBuilder, step: Step) -> None:
    inputs = [builder.id_of(need(step, i)) for i in range(3)]
    finish(builder, step, "aten::index_put", inputs)


@rule("ScatterElements", "Scatter")
def _scatter_elements(builder: OpBuilder, step: Step) -> None:
    inputs = [builder.id_of(need(step, i)) for i in range(3)]
    finish(builder, step, "aten::scatter", inputs, {"dim": int(step.attrs.get("axis", 0))})


@rule("Trilu")
def _triangle(builder: OpBuilder, step: Step) -> None:
    target = "aten::triu" if step.attrs.get("upper", 1) else "aten::tril"
    finish(builder, step, target, (builder.id_of(need(step, 0)),))


@rule("DepthToSpace")
def _depth_to_space(builder: OpBuilder, step: Step) -> None:
    attrs = {"upscale_factor": int(step.attrs["blocksize"])}
    finish(builder, step, "aten::pixel_shuffle", (builder.id_of(need(step, 0)),), attrs)


@rule("SpaceToDepth")
def _space_to_depth(builder: OpBuilder, step: Step) -> None:
    attrs = {"downscale_factor": int(step.attrs["blocksize"])}
    finish(builder, step, "aten::pixel_unshuffle", (builder.id_of(need(step, 0)),), attrs)


@rule("Resize", "Upsample")
def _resize(builder: OpBuilder, step: Step) -> None:
    x, y = need(step, 0), step.outputs[0]
    tensor = builder.id_of(x)
    if x.shape == y.shape:
        builder.bind(y, tensor)
        return
    mode = str(step.attrs.get("mode", "nearest"))
    space = x.rank - 2
    name = {
        "nearest": f"upsample_nearest{space}d",
        "linear": {1: "upsample_linear1d", 2: "upsample_bilinear2d", 3: "upsample_trilinear3d"}.get(
            space, "upsample"
        ),
        "cubic": f"upsample_bicubic{space}d",
    }.get(mode, "upsample")
    if step.attrs.get("antialias") and mode != "nearest":
        name = f"_{name}_aa"
    attrs: dict[str, Any] = {"output_size": list(y.shape[2:])}
    finish(builder, step, f"aten::{name}", (tensor,), attrs, builder.image_layout(tensor, y.shape))


# ----------------------------------------------------------------------- creation

_CREATION = {
    "ConstantOfShape": "full", "Range": "arange", "EyeLike": "eye", "RandomNormal": "randn",
    "RandomUniform": "rand", "RandomNormalLike": "randn", "RandomUniformLike": "rand",
}  # fmt: skip


@rule(*_CREATION)
def _create(builder: OpBuilder, step: Step) -> None:
    finish(builder, step, f"aten::{_CREATION[step.name]}", ())


@rule("OneHot")
def _one_hot(builder: OpBuilder, step: Step) -> None:
    """Every class compared with the index, then cast."""
    index, y = need(step, 0), step.outputs[0]
    tensor = builder.id_of(index)
    if y.rank == index.rank + 1:
        shape = (*index.shape, 1)
        tensor = builder.view("aten::unsqueeze", tensor, shape, contiguous(shape))
    (equal,) = builder.emit("aten::eq", (tensor,), [(y.shape, "bool")])
    finish(builder, step, "aten::_to_copy", (equal,), {"dtype": y.dtype})


@rule("NonZero")
def _non_zero(builder: OpBuilder, step: Step) -> None:
    finish(builder, step, "aten::nonzero", (builder.id_of(need(step, 0)),))


@rule("Compress")
def _compress(builder: OpBuilder, step: Step) -> None:
    inputs = [builder.id_of(need(step, i)) for i in range(2)]
    finish(builder, step, "aten::masked_select", inputs)
