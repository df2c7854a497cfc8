"""Strides: which reshapes are views, and what layout an operator's output has.

The rules are the framework's own (contiguous is the default, a permuted or channels-last input
keeps its order through pointwise operators), so that the same network costs the same copies
whether it arrives as a module or as a file.
"""

from __future__ import annotations

from collections.abc import Sequence

from costmodel.graph import Dim
from costmodel.tracing.onnx_model.values import is_symbolic

Strides = tuple[Dim, ...] | None
"""In elements; None for contiguous."""


def contiguous(shape: Sequence[Dim]) -> tuple[Dim, ...]:
    """Strides of a contiguous tensor."""
    strides: list[Dim] = []
    step: Dim = 1
    for size in reversed(shape):
        strides.append(step)
        step = step * (size if is_symbolic(size) else max(size, 1))
    return tuple(reversed(strides))


def normalized(shape: Sequence[Dim], strides: Strides) -> Strides:
    """None if the strides are contiguous (dimensions of size 1 may have any)."""
    if strides is None:
        return None
    plain = contiguous(shape)
    same = all(
        a == b or (not is_symbolic(s) and s == 1)
        for s, a, b in zip(shape, strides, plain, strict=True)
    )
    return None if same else tuple(strides)


def explicit(shape: Sequence[Dim], strides: Strides) -> tuple[Dim, ...]:
    """The strides written out."""
    return contiguous(shape) if strides is None else strides


def reshaped(shape: Sequence[Dim], strides: Strides, new: Sequence[Dim]) -> Strides | bool:
    """Strides of a tensor viewed in another shape, or False if it must be copied for that."""
    if strides is None:
        return None
    if any(is_symbolic(s) for s in (*shape, *new, *strides)):
        return False
    if 0 in shape:
        return None
    # Runs of dimensions that follow each other in memory; new dimensions must fill each exactly.
    runs: list[list[int]] = []  # [elements, innermost stride], innermost run first
    for size, step in reversed(list(zip(shape, strides, strict=True))):
        if size == 1:
            continue
        if runs and step == runs[-1][0] * runs[-1][1]:
            runs[-1][0] *= size
        else:
            runs.append([size, step])
    sizes = list(new)
    result: list[Dim] = []
    for elements, step in runs:
        filled = 1
        while sizes and (filled < elements or sizes[-1] == 1):
            result.append(step * filled)
            filled *= sizes.pop()
        if filled != elements:
            return False
    result += [1] * len(sizes)  # only sizes of 1 are left
    return normalized(new, tuple(reversed(result)))


def is_dense(shape: Sequence[Dim], strides: Strides) -> bool:
    """Whether a tensor fills its memory exactly, in whatever order of dimensions."""
    if strides is None:
        return True
    if any(is_symbolic(s) for s in (*shape, *strides)):
        return False
    expected = 1
    for step, size in sorted(zip(strides, shape, strict=True)):
        if size != 1:
            if step != expected:
                return False
            expected *= size
    return True


def in_order_of(shape: Sequence[Dim], strides: Strides) -> Strides:
    """Dense strides of a shape in the same order of dimensions as the given strides."""
    if strides is None or len(strides) != len(shape):
        return None
    if any(is_symbolic(s) for s in (*shape, *strides)):
        return None
    if is_dense(shape, strides):
        return normalized(shape, strides)
    if 0 in strides:
        return None
    order = sorted(range(len(shape)), key=lambda i: (strides[i], -i))
    result: list[Dim] = [0] * len(shape)
    step = 1
    for i in order:
        result[i] = step
        step *= max(shape[i], 1)
    return normalized(shape, tuple(result))


def is_channels_last(shape: Sequence[Dim], strides: Strides) -> bool:
    """Whether channels are innermost in a (n, c, ...) tensor that is not contiguous as well."""
    if strides is None or len(shape) not in (4, 5) or any(is_symbolic(s) for s in shape):
        return False
    return strides == channels_last(shape)


def channels_last(shape: Sequence[Dim]) -> tuple[Dim, ...]:
    """Strides with channels innermost."""
    n, c, *space = shape
    inner = contiguous([n, *space, c])
    return (inner[0], inner[-1], *inner[1:-1])
