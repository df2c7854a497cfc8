"""Movement that exporters write out: rolls."""

from __future__ import annotations

from costmodel.tracing.onnx_model.folding import slice_arguments
from costmodel.tracing.onnx_model.fusing.rewriting import (
    Rewriter,
    fused,
)
from costmodel.tracing.onnx_model.step import Step
from costmodel.tracing.onnx_model.values import is_symbolic


def roll(rewriter: Rewriter, step: Step) -> bool:
    """concat(x[s:], x[:s]): one roll, and one for several axes rolled in turn."""
    if len(step.inputs) != 2:
        return False
    first, second = (rewriter.producer(v, "Slice") for v in step.inputs)
    if first is None or second is None or first.inputs[0] is not second.inputs[0]:
        return False
    x = first.inputs[0]
    if x is None or x.shape != step.outputs[0].shape:
        return False
    axis = int(step.attrs["axis"]) % x.rank
    bounds = [_one_slice(s, axis) for s in (first, second)]
    if bounds[0] is None or bounds[1] is None or bounds[1][0] != 0:
        return False
    if bounds[0][0] != bounds[1][1] or bounds[0][1] != x.shape[axis]:
        return False
    before = rewriter.producer(x, "Roll")
    if before is not None and {*rewriter.users(x)} == {first, second} and not rewriter.is_result(x):
        new = fused("Roll", [before.inputs[0]], step, dims=[*before.attrs["dims"], axis])
        return rewriter.replace([before, first, second, step], new)
    return rewriter.replace([first, second, step], fused("Roll", [x], step, dims=[axis]))


def _one_slice(step: Step, axis: int) -> tuple[int, int] | None:
    """(start, end) of a slice along one axis with step 1."""
    x = step.inputs[0]
    assert x is not None
    known = [None if v is None else v.known for v in step.inputs]
    starts, ends, axes, steps = slice_arguments(known, x.rank)
    if axes != [axis] or steps != [1] or is_symbolic(x.shape[axis]):
        return None
    if any(is_symbolic(v) for v in (starts[0], ends[0])):
        return None
    start, end, _ = slice(int(starts[0]), int(ends[0])).indices(int(x.shape[axis]))
    return start, end
