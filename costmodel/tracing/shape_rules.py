"""Shape rules: answer hot operators with an empty tensor of the right shape.

Most of a meta forward goes into the framework's Python meta kernels (0.4 to 0.9 ms a call for
norms, softmax, activations). Each rule here takes one function of torch at the call, puts it on
the tape and returns an empty meta tensor of the shape, strides and dtype that the framework would
have given (tested equal over the zoo). What a rule does not recognise, and every other function,
goes on to the framework and is recorded by the dispatcher.

A rule returns NotImplemented to pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import FunctionType
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from costmodel.tracing.rules import (
    Rule,
    ShapeRules,
    empty_of,
    is_dense,
    is_meta,
    is_plain,
    rule_for,
    same_layout,
)
from costmodel.tracing.tape import Tape

# ------------------------------------------------------------- matrix products


@rule_for(F.linear)
def _linear(tape: Tape, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    if not (input.is_meta and weight.is_meta and weight.dim() == 2 and input.dim() > 0):
        return NotImplemented
    if input.dtype != weight.dtype or input.shape[-1] != weight.shape[1]:
        return NotImplemented
    if not input.is_contiguous() and input.dim() > 2 and bias is None:
        return NotImplemented  # becomes a matmul whose result follows the input's strides
    y = empty_of((*input.shape[:-1], weight.shape[0]), input)
    tape.emit("aten::linear", (input, weight, bias), (y,), {})
    return y


@rule_for(Tensor.matmul, torch.matmul, Tensor.__matmul__)
def _matmul(tape: Tape, input: Tensor, other: Tensor) -> Any:
    if not (is_meta(input) and is_meta(other) and input.dim() == other.dim() >= 3):
        return NotImplemented
    if input.shape[:-2] != other.shape[:-2] or input.shape[-1] != other.shape[-2]:
        return NotImplemented
    if input.dtype != other.dtype:
        return NotImplemented
    y = empty_of((*input.shape[:-1], other.shape[-1]), input)
    tape.emit("aten::matmul", (input, other), (y,), {})
    return y


# ----------------------------------------------------------------- convolution


def _tuple(value: Any, count: int) -> Any:
    if isinstance(value, str):
        return None
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * count if len(values) == 1 else values


def _convolution(dimensions: int) -> Rule:
    def rule(
        tape: Tape, input: Tensor, weight: Tensor, bias: Tensor | None = None,
        stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1,
    ) -> Any:  # fmt: skip
        stride, dilation = _tuple(stride, dimensions), _tuple(dilation, dimensions)
        padding = _tuple(padding, dimensions)
        if padding is None or input.dim() != dimensions + 2 or not is_plain(input, weight):
            return NotImplemented
        if input.shape[1] != weight.shape[1] * groups or input.dtype != weight.dtype:
            return NotImplemented
        space = [
            (size + 2 * p - d * (k - 1) - 1) // s + 1
            for size, p, d, k, s in zip(
                input.shape[2:], padding, dilation, weight.shape[2:], stride, strict=True
            )
        ]
        if any(size <= 0 for size in space):
            return NotImplemented
        y = empty_of((input.shape[0], weight.shape[0], *space), input)
        attrs = {
            "stride": stride, "padding": padding, "dilation": dilation, "groups": groups,
            "transposed": False,
        }  # fmt: skip
        tape.emit("aten::convolution", (input, weight, bias), (y,), attrs)
        return y

    return rule


for _dimensions, _functions in (
    (1, (torch.conv1d, F.conv1d)),
    (2, (torch.conv2d, F.conv2d)),
    (3, (torch.conv3d, F.conv3d)),
):
    rule_for(*_functions)(_convolution(_dimensions))


# --------------------------------------------------------------- normalisation


@rule_for(F.batch_norm)
def _batch_norm(
    tape: Tape, input: Tensor, running_mean: Tensor | None, running_var: Tensor | None,
    weight: Tensor | None = None, bias: Tensor | None = None, training: bool = False,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    if training or running_mean is None or not is_dense(input):
        return NotImplemented
    y = same_layout(input)
    tape.emit("aten::batch_norm", (input, weight, bias, running_mean, running_var), (y,), {})
    return y


@rule_for(F.layer_norm, torch.layer_norm)
def _layer_norm(
    tape: Tape, input: Tensor, normalized_shape: Any, weight: Tensor | None = None,
    bias: Tensor | None = None, eps: float = 1e-5, cudnn_enable: bool = True,
) -> Any:  # fmt: skip
    if not (
        is_meta(input) and tuple(input.shape[-len(normalized_shape) :]) == tuple(normalized_shape)
    ):
        return NotImplemented
    if weight is not None and weight.dtype != input.dtype:
        return NotImplemented
    y = same_layout(input) if input.is_contiguous() else empty_of(input.shape, input)
    attrs = {"normalized_shape": tuple(normalized_shape)}
    tape.emit("aten::layer_norm", (input, weight, bias), (y,), attrs)
    return y


@rule_for(F.group_norm, torch.group_norm)
def _group_norm(
    tape: Tape, input: Tensor, num_groups: int, weight: Tensor | None = None,
    bias: Tensor | None = None, eps: float = 1e-5, cudnn_enabled: bool = True,
) -> Any:  # fmt: skip
    if not is_plain(input) or input.shape[1] % num_groups:
        return NotImplemented
    y = empty_of(input.shape, input)
    tape.emit("aten::group_norm", (input, weight, bias), (y,), {"num_groups": num_groups})
    return y


# ----------------------------------------------------------------- activations


def _activation(target: str) -> Rule:
    def rule(tape: Tape, input: Tensor, *args: Any, **kwargs: Any) -> Any:
        if not is_dense(input) or not input.dtype.is_floating_point:
            return NotImplemented
        inplace = kwargs.get("inplace", False) or (bool(args) and args[-1] is True)
        y = input if inplace else same_layout(input)
        tape.emit(target, (input,), (y,), {})
        return y

    return rule


_ACTIVATIONS: dict[str, tuple[Any, ...]] = {
    "relu": (F.relu, torch.relu, Tensor.relu),
    "hardtanh": (F.hardtanh,),
    "relu6": (F.relu6,),
    "gelu": (F.gelu,),
    "silu": (F.silu,),
    "hardswish": (F.hardswish,),
    "hardsigmoid": (F.hardsigmoid,),
    "sigmoid": (torch.sigmoid, Tensor.sigmoid, F.sigmoid),
    "mish": (F.mish,),
    "tanh": (torch.tanh, Tensor.tanh),
}
for _name, _activations in _ACTIVATIONS.items():
    # hardtanh is what ReLU6 modules call: the same two comparisons.
    rule_for(*_activations)(_activation(f"aten::{'hardtanh' if _name == 'relu6' else _name}"))


@rule_for(F.dropout)
def _dropout(
    tape: Tape, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Any:
    return NotImplemented if training else input


@rule_for(F.softmax, Tensor.softmax, torch.softmax)
def _softmax(tape: Tape, input: Tensor, dim: int | None = None, *args: Any, **kwargs: Any) -> Any:
    if dim is None or args or kwargs.get("dtype") is not None or not is_plain(input):
        return NotImplemented
    if not input.dtype.is_floating_point:
        return NotImplemented
    y = empty_of(input.shape, input)
    tape.emit("aten::softmax", (input,), (y,), {"dim": dim})
    return y


# ------------------------------------------------------------------ arithmetic


def _binary(target: str, inplace: bool) -> Rule:
    def rule(tape: Tape, input: Any, other: Any, **kwargs: Any) -> Any:
        if kwargs or not is_dense(input):
            return NotImplemented
        if isinstance(other, Tensor):
            if not is_meta(other) or other.dtype != input.dtype:
                return NotImplemented
            if other.shape != input.shape:
                # Broadcasting an operand that only repeats leaves the layout of the other.
                if not (input.is_contiguous() and _repeats(other.shape, input.shape)):
                    return NotImplemented
            elif other.stride() != input.stride() and not inplace:
                return NotImplemented
            operands: tuple[Tensor, ...] = (input, other)
        elif isinstance(other, (int, float)) and not isinstance(other, bool):
            if not input.dtype.is_floating_point:
                return NotImplemented
            operands = (input,)
        else:
            return NotImplemented
        y = input if inplace else same_layout(input)
        tape.emit(target, operands, (y,), {})
        return y

    return rule


def _repeats(small: Sequence[int], large: Sequence[int]) -> bool:
    """Whether a shape broadcasts to the other without growing it."""
    if len(small) > len(large):
        return False
    tail = large[len(large) - len(small) :]
    return all(a in (1, b) for a, b in zip(small, tail, strict=True))


for _name in ("add", "sub", "mul", "div"):
    _dunder = "truediv" if _name == "div" else _name
    rule_for(getattr(torch, _name), getattr(Tensor, _name), getattr(Tensor, f"__{_dunder}__"))(
        _binary(f"aten::{_name}", inplace=False)
    )
    _inplace = [getattr(Tensor, f"{_name}_")]
    if hasattr(Tensor, f"__i{_dunder}__"):
        _inplace.append(getattr(Tensor, f"__i{_dunder}__"))
    rule_for(*_inplace)(_binary(f"aten::{_name}", inplace=True))


# --------------------------------------------------------------------- pooling


@rule_for(F.adaptive_avg_pool2d)
def _adaptive_avg_pool2d(tape: Tape, input: Tensor, output_size: Any) -> Any:
    size = _tuple(output_size, 2)
    if input.dim() != 4 or not is_plain(input) or any(s is None for s in size):
        return NotImplemented
    y = empty_of((*input.shape[:2], *size), input)
    if size == (1, 1):
        # The framework takes the mean, which is what runs.
        tape.emit("aten::mean", (input,), (y,), {"dim": (-1, -2)})
    else:
        tape.emit("aten::_adaptive_avg_pool2d", (input,), (y,), {"output_size": size})
    return y


@rule_for(Tensor.mean, torch.mean)
def _mean(tape: Tape, input: Tensor, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> Any:
    if kwargs or dim is None or not is_plain(input) or not input.dtype.is_floating_point:
        return NotImplemented
    rank = input.dim()
    dims = {d % rank for d in ((dim,) if isinstance(dim, int) else dim)}
    if keepdim:
        shape = [1 if i in dims else s for i, s in enumerate(input.shape)]
    else:
        shape = [s for i, s in enumerate(input.shape) if i not in dims]
    y = empty_of(shape, input)
    tape.emit("aten::mean", (input,), (y,), {"dim": tuple(dims)})
    return y


# ------------------------------------------------------------------- attention


@rule_for(F.scaled_dot_product_attention)
def _attention(
    tape: Tape, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
    dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:  # fmt: skip
    if not (is_meta(query) and is_meta(key) and is_meta(value)):
        return NotImplemented
    y = empty_of((*query.shape[:-1], value.shape[-1]), query)
    tape.emit(
        "aten::scaled_dot_product_attention",
        (query, key, value, attn_mask),
        (y,),
        {"is_causal": is_causal, "scale": scale, "enable_gqa": enable_gqa},
    )
    return y


_multi_head_body = FunctionType(
    F.multi_head_attention_forward.__code__,
    {**vars(F), "has_torch_function": lambda tensors: False},
    argdefs=F.multi_head_attention_forward.__defaults__,
)
_multi_head_body.__kwdefaults__ = F.multi_head_attention_forward.__kwdefaults__


@rule_for(F.multi_head_attention_forward)
def _multi_head_attention(tape: Tape, *args: Any, **kwargs: Any) -> Any:
    """Run the body under the rules: the framework calls it with this mode switched off.

    The copy of the function skips the check that would bring it straight back here.
    """
    with ShapeRules(tape):
        return _multi_head_body(*args, **kwargs)
