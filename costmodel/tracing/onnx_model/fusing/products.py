"""Products that exporters write out: linear layers with bias, attention."""

from __future__ import annotations

import numpy as np

from costmodel.tracing.onnx_model.fusing.rewriting import (
    Rewriter,
    contents,
    fused,
    near,
    other_operand,
    with_scalar,
)
from costmodel.tracing.onnx_model.step import Step
from costmodel.tracing.onnx_model.values import Value


def linear(rewriter: Rewriter, step: Step) -> bool:
    """x W + bias for a matrix W that does not depend on the model's input."""
    x, weight = step.inputs[0], step.inputs[1]
    if x is None or weight is None or weight.rank != 2 or not rewriter.is_constant(weight):
        return False
    total = rewriter.only_user(step.outputs[0], "Add")
    bias = None if total is None else other_operand(total, step.outputs[0])
    if total is None or bias is None or not rewriter.is_constant(bias):
        return False
    if bias.shape != (weight.shape[1],) or total.outputs[0].shape != step.outputs[0].shape:
        return False
    return rewriter.replace([step, total], fused("Linear", [x, weight, bias], total))


def attention(rewriter: Rewriter, step: Step) -> bool:
    """softmax(√s·q (√s·k)ᵀ + mask) v: both factors scaled alike, as torch's exporters write it."""
    if step.attrs.get("axis", -1) not in (-1, step.outputs[0].rank - 1):
        return False
    scores, mask, matched = step.inputs[0], None, [step]
    added = rewriter.producer(scores, "Add")
    if added is not None:
        matched.append(added)
        left, right = added.inputs
        product = rewriter.producer(left, "MatMul")
        mask = right if product is not None else left
        product = product or rewriter.producer(right, "MatMul")
    else:
        product = rewriter.producer(scores, "MatMul")
    if product is None:
        return False
    scaled = [rewriter.producer(v, "Mul") for v in product.inputs]
    if scaled[0] is None or scaled[1] is None:
        return False
    pairs = [with_scalar(scaled[0]), with_scalar(scaled[1])]
    if pairs[0] is None or pairs[1] is None or not near(pairs[0][1], pairs[1][1]):
        return False
    matched += [product, scaled[0], scaled[1]]
    q, keys = pairs[0][0], pairs[1][0]
    probabilities = step.outputs[0]
    guard = _nan_guard(rewriter, probabilities)
    if guard:
        matched += guard
        probabilities = guard[-1].outputs[0]
    last = rewriter.only_user(probabilities, "MatMul")
    if last is None or last.inputs[0] is not probabilities or last.inputs[1] is None:
        return False
    matched.append(last)
    transposes = _transposed_keys(rewriter, keys)
    k: Value | None = transposes[0].inputs[0] if transposes else None
    attrs = {"scale": pairs[0][1] ** 2}
    inputs: list[Value | None] = [q, k if k is not None else keys, last.inputs[1]]
    causal = mask is not None and is_causal(rewriter, mask)
    if mask is not None and not causal:
        inputs.append(mask)
    new = fused(
        "FusedAttention", inputs, last, is_causal=causal, keys_transposed=k is None, **attrs
    )
    return rewriter.replace([*transposes, *matched], new, keep=[*transposes, scaled[0], scaled[1]])


def _nan_guard(rewriter: Rewriter, value: Value) -> list[Step]:
    """where(isnan(p), 0, p): rows that see nothing become zero."""
    users = rewriter.users(value)
    test = next((u for u in users if u.name == "IsNaN"), None)
    choice = next((u for u in users if u.name == "Where"), None)
    if len(users) != 2 or test is None or choice is None:
        return []
    return [test, choice] if choice.inputs[0] is test.outputs[0] else []


def _transposed_keys(rewriter: Rewriter, keys: Value) -> list[Step]:
    """The steps that swapped the last two dimensions of the keys, first one first."""
    rank = keys.rank
    swap = rewriter.producer(keys, "Transpose")
    if swap is not None:
        order = list(swap.attrs.get("perm", ()))
        return [swap] if order == [*range(rank - 2), rank - 1, rank - 2] else []
    after = rewriter.producer(keys, "Reshape")
    swap = None if after is None else rewriter.producer(after.inputs[0], "Transpose")
    before = None if swap is None else rewriter.producer(swap.inputs[0], "Reshape")
    if after is None or swap is None or before is None or before.inputs[0] is None:
        return []
    k = before.inputs[0]
    fits = k.shape == (*keys.shape[:-2], keys.shape[-1], keys.shape[-2])
    return [before, swap, after] if fits and list(swap.attrs.get("perm", ())) == [0, 2, 1] else []


def is_causal(rewriter: Rewriter, mask: Value) -> bool:
    """Whether an additive mask hides exactly the later positions."""
    if mask.rank < 2 or mask.numel != mask.shape[-1] * mask.shape[-2]:
        return False
    array = contents(mask, 2**22)
    if array is not None:
        plane = np.asarray(array, dtype=np.float64).reshape(mask.shape[-2:])
        hidden = plane <= -1e4
        return bool((hidden == np.triu(np.ones_like(hidden), 1)).all() and not plane[~hidden].any())
    # Too large to have been worked out: Where over a triangle of ones.
    choice = rewriter.producer(mask, "Where")
    maker = None if choice is None else rewriter.producer(choice.inputs[0])
    for _ in range(4):
        if maker is None or maker.name == "Trilu":
            break
        maker = rewriter.producer(maker.inputs[0])
    return maker is not None and maker.name == "Trilu" and not maker.attrs.get("upper", 1)
