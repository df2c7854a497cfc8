"""Exporters write some operators as several; here those well-known groups become one again.

An exporter has no single operator for GELU before opset 20, for layer norm before 17, for
attention before 23, for group norm before 21, and none for SiLU, Mish or a linear layer with bias
on more than two dimensions. What is recognised is the exporter's own spelling and nothing looser:
attention that a model writes out itself is left as the matrix products it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from costmodel.tracing.onnx_model.folding import slice_arguments
from costmodel.tracing.onnx_model.quantization import fuse_quantized
from costmodel.tracing.onnx_model.rewriting import Rewriter, near, other_operand, with_scalar
from costmodel.tracing.onnx_model.values import Value, inline_array, is_symbolic
from costmodel.tracing.onnx_model.walking import Step

Pattern = Callable[[Rewriter, Step], bool]


def fuse(steps: Sequence[Step], outputs: Iterable[Value]) -> list[Step]:
    """Steps with the known groups replaced and unused steps removed."""
    rewriter = Rewriter(steps, outputs)
    rewriter.drop_unused()
    fuse_quantized(rewriter)
    for step in rewriter.steps:
        for pattern in PATTERNS.get(step.name, ()):
            if pattern(rewriter, step):
                break
    rewriter.drop_unused()
    return rewriter.steps


def _fused(name: str, inputs: list[Value | None], last: Step, **attrs: object) -> Step:
    return Step(name, inputs, [last.outputs[0]], dict(attrs), last.module, last.label)


# ------------------------------------------------------------------- activations


def _gated(
    rewriter: Rewriter, x: Value, gate: Step, matched: list[Step], name: str
) -> bool:
    """x times the gate's output."""
    product = rewriter.only_user(gate.outputs[0], "Mul")
    if product is None or other_operand(product, gate.outputs[0]) is not x:
        return False
    return rewriter.replace([*matched, gate, product], _fused(name, [x], product))


def _silu(rewriter: Rewriter, step: Step) -> bool:
    """x · sigmoid(x)."""
    x = step.inputs[0]
    return x is not None and _gated(rewriter, x, step, [], "Swish")


def _hardswish(rewriter: Rewriter, step: Step) -> bool:
    """x · hardsigmoid(x) with slope 1/6."""
    x = step.inputs[0]
    if x is None or not near(step.attrs.get("alpha", 0.2), 1 / 6):
        return False
    return _gated(rewriter, x, step, [], "HardSwish")


def _mish(rewriter: Rewriter, step: Step) -> bool:
    """x · tanh(softplus(x))."""
    x, tanh = step.inputs[0], rewriter.only_user(step.outputs[0], "Tanh")
    return x is not None and tanh is not None and _gated(rewriter, x, tanh, [step], "Mish")


def _half_of_gelu(
    rewriter: Rewriter, x: Value, function: Step, matched: list[Step], approximate: str
) -> bool:
    """From erf or tanh on: add 1, then times x and a half in any order."""
    plus = rewriter.only_user(function.outputs[0], "Add")
    if plus is None or (pair := with_scalar(plus)) is None or pair[1] != 1:
        return False
    matched = [*matched, function, plus]
    value, times_x, halved, last = plus.outputs[0], False, False, plus
    while not (times_x and halved):
        product = rewriter.only_user(value, "Mul")
        if product is None:
            return False
        other = other_operand(product, value)
        inner = rewriter.producer(other, "Mul")
        if other is x and not times_x:
            times_x = True
        elif other is not None and other.scalar() == 0.5 and not halved:
            halved = True
        elif inner is not None and not (times_x or halved) and with_scalar(inner) == (x, 0.5):
            matched.append(inner)
            times_x = halved = True
        else:
            return False
        matched.append(product)
        value, last = product.outputs[0], product
    return rewriter.replace(matched, _fused("Gelu", [x], last, approximate=approximate))


def _gelu(rewriter: Rewriter, step: Step) -> bool:
    """x/2 · (1 + erf(x/√2))."""
    scaled = rewriter.producer(step.inputs[0], "Div", "Mul")
    if scaled is None or (pair := with_scalar(scaled)) is None:
        return False
    expected = 2**0.5 if scaled.name == "Div" else 0.5**0.5
    if not near(pair[1], expected):
        return False
    return _half_of_gelu(rewriter, pair[0], step, [scaled], "none")


def _tanh_gelu(rewriter: Rewriter, step: Step) -> bool:
    """x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))."""
    inside: list[Step] = []
    leaves: set[Value] = set()
    numbers: list[float] = []
    waiting = [v for v in step.inputs if v is not None]
    while waiting and len(inside) <= 8:
        value = waiting.pop()
        number = value.scalar()
        maker = rewriter.producer(value, "Mul", "Add", "Pow")
        if number is not None:
            numbers.append(number)
        elif maker is None or len(leaves) == 1 and value in leaves:
            leaves.add(value)
        elif maker not in inside:
            inside.append(maker)
            waiting.extend(v for v in maker.inputs if v is not None)
    if len(leaves) != 1 or not any(near(n, 0.044715) for n in numbers):
        return False
    return _half_of_gelu(rewriter, leaves.pop(), step, inside, "tanh")


# --------------------------------------------------------------- normalisations


def _axes(step: Step) -> list[int] | None:
    x = step.inputs[0]
    known = step.inputs[1].known if len(step.inputs) > 1 and step.inputs[1] is not None else None
    axes = step.attrs.get("axes", known)
    if axes is None or x is None:
        return None
    return sorted(int(a) % x.rank for a in np.ravel(axes))


def _layer_norm(rewriter: Rewriter, step: Step) -> bool:
    """(x − mean) / √(var + ε) · weight + bias over the last dimensions."""
    x, axes = step.inputs[0], _axes(step)
    if x is None or axes is None or axes != list(range(x.rank - len(axes), x.rank)):
        return False
    centred = rewriter.only_user(step.outputs[0], "Sub")
    if centred is None or centred.inputs[0] is not x:
        return False
    deviation = centred.outputs[0]
    squares = [s for s in rewriter.users(deviation) if s.name in ("Pow", "Mul")]
    quotients = [s for s in rewriter.users(deviation) if s.name == "Div"]
    if not squares or not quotients:
        return False
    square, quotient = squares[0], quotients[0]
    if square.name == "Pow" and with_scalar(square) != (deviation, 2.0):
        return False
    if square.name == "Mul" and square.inputs != [deviation, deviation]:
        return False
    variance = rewriter.only_user(square.outputs[0], "ReduceMean")
    if variance is None or _axes(variance) != axes:
        return False
    plus = rewriter.only_user(variance.outputs[0], "Add")
    if plus is None or with_scalar(plus) is None:
        return False
    root = rewriter.only_user(plus.outputs[0], "Sqrt")
    if root is None or quotient.inputs != [deviation, root.outputs[0]]:
        return False
    matched = [step, centred, square, variance, plus, root, quotient]
    shape = x.shape[axes[0] :]
    last, parameters = _affine(rewriter, quotient, lambda v: v.is_weight and v.shape == shape)
    matched += last
    attrs = {"axis": axes[0]}
    return rewriter.replace(
        matched, _fused("LayerNormalization", [x, *parameters], matched[-1], **attrs)
    )


def _deviation(rewriter: Rewriter, step: Step) -> bool:
    """Variance, or its root: mean of (x − mean)², times n / (n − 1) for the unbiased one."""
    x, axes = step.inputs[0], _axes(step)
    centred = rewriter.only_user(step.outputs[0], "Sub")
    if x is None or centred is None or centred.inputs[0] is not x:
        return False
    square = next(iter(rewriter.users(centred.outputs[0])), None)
    if square is None or square.name != "Mul" or square.inputs != [centred.outputs[0]] * 2:
        return False
    last = rewriter.only_user(square.outputs[0], "ReduceMean")
    if last is None or _axes(last) != axes:
        return False
    matched = [step, centred, square, last]
    for name in ("Mul", "Div"):
        factor = rewriter.only_user(last.outputs[0], name)
        if factor is not None and with_scalar(factor) is not None:
            matched.append(factor)
            last = factor
    name, root = "Variance", rewriter.only_user(last.outputs[0], "Sqrt")
    if root is not None:
        matched.append(root)
        name, last = "StandardDeviation", root
    return rewriter.replace(matched, _fused(name, [x], last, axes=axes))


def _affine(
    rewriter: Rewriter, step: Step, fits: Callable[[Value], bool]
) -> tuple[list[Step], list[Value]]:
    """A multiplication by a weight and an addition of a bias that follow a step, if they do."""
    product = rewriter.only_user(step.outputs[0], "Mul")
    weight = None if product is None else other_operand(product, step.outputs[0])
    if product is None or weight is None or not fits(weight):
        return [], []
    total = rewriter.only_user(product.outputs[0], "Add")
    bias = None if total is None else other_operand(total, product.outputs[0])
    if total is None or bias is None or not fits(bias):
        return [product], [weight]
    return [product, total], [weight, bias]


def _group_norm(rewriter: Rewriter, step: Step) -> bool:
    """Reshape to groups, instance norm with trivial weights, reshape back, then scale and shift."""
    before = rewriter.producer(step.inputs[0], "Reshape")
    after = rewriter.only_user(step.outputs[0], "Reshape")
    if before is None or after is None or before.inputs[0] is None:
        return False
    x, grouped = before.inputs[0], before.outputs[0]
    if grouped.rank != 3 or x.rank < 3 or x.shape != after.outputs[0].shape:
        return False
    trivial = [None if v is None else _contents(v, 2**16) for v in step.inputs[1:3]]
    if trivial[0] is None or trivial[1] is None:
        return False
    if not (np.all(trivial[0] == 1) and np.all(trivial[1] == 0)):
        return False
    channels = x.shape[1]

    def per_channel(value: Value) -> bool:
        reshaped = rewriter.producer(value, "Unsqueeze", "Reshape")
        stored = value if reshaped is None else reshaped.inputs[0]
        return stored is not None and stored.is_weight and value.numel == channels

    last, parameters = _affine(rewriter, after, per_channel)
    reshapes = [s for v in parameters if (s := rewriter.producer(v, "Unsqueeze", "Reshape"))]
    stored = [s.inputs[0] for v in parameters if (s := rewriter.producer(v))] or parameters
    end = (last or [after])[-1]
    new = _fused("GroupNormalization", [x, *stored], end, num_groups=grouped.shape[1])
    return rewriter.replace([before, step, after, *reshapes, *last], new, keep=reshapes)


def _contents(value: Value, limit: int) -> np.ndarray | None:
    """Contents of a small tensor, read from the file if they were not followed."""
    if value.known is not None:
        return value.known if value.known.dtype != object else None
    return None if value.content is None else inline_array(value.content, limit)


# ------------------------------------------------------------------ linear layers


def _linear(rewriter: Rewriter, step: Step) -> bool:
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
    return rewriter.replace([step, total], _fused("Linear", [x, weight, bias], total))


# ----------------------------------------------------------------------- attention


def _attention(rewriter: Rewriter, step: Step) -> bool:
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
    new = _fused(
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
    array = _contents(mask, 2**22)
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


# ------------------------------------------------------------------------ movement


def _roll(rewriter: Rewriter, step: Step) -> bool:
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
    if before is not None and rewriter.users(x) == [first, second]:
        new = _fused("Roll", [before.inputs[0]], step, dims=[*before.attrs["dims"], axis])
        return rewriter.replace([before, first, second, step], new)
    return rewriter.replace([first, second, step], _fused("Roll", [x], step, dims=[axis]))


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


PATTERNS: dict[str, tuple[Pattern, ...]] = {
    "Sigmoid": (_silu,),
    "HardSigmoid": (_hardswish,),
    "Softplus": (_mish,),
    "Erf": (_gelu,),
    "Tanh": (_tanh_gelu,),
    "ReduceMean": (_layer_norm, _deviation),
    "InstanceNormalization": (_group_norm,),
    "MatMul": (_linear,),
    "Softmax": (_attention,),
    "Concat": (_roll,),
}
"""Patterns by the operator they are recognised at."""
