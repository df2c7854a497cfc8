"""Attention in a training step: one operator forward, one backward, as the fused kernels run it.

Left alone it would break up into whatever the machine at hand would run. The gradient is that of
the kernel the framework takes on a GPU: the flash kernel in 16 bits without a mask, else the
memory-efficient one; both compute the scores again (Dao et al., FlashAttention, 2022).
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.overrides import TorchFunctionMode

from costmodel.tracing.rules import attention_output
from costmodel.tracing.training_recorder import TrainingRecorder

FORWARD = "aten::scaled_dot_product_attention"
FLASH = "aten::_scaled_dot_product_flash_attention_backward"
EFFICIENT = "aten::_scaled_dot_product_efficient_attention_backward"

RECORDER: ContextVar[TrainingRecorder] = ContextVar("recorder of the step that is being traced")


class Attention(NamedTuple):
    """The arguments that matter."""

    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None
    causal: bool
    grouped: bool
    """Whether fewer key and value heads serve several query heads."""


class WholeAttention(TorchFunctionMode):
    """Tells a recorder of calls about attention instead of letting it break up."""

    def __init__(self, calls: Any, device_type: str) -> None:
        super().__init__()
        self.calls, self.device_type = calls, device_type

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is F.scaled_dot_product_attention:
            return self._attention(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _attention(
        self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
        dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:  # fmt: skip
        if torch.is_autocast_enabled(self.device_type):
            dtype = torch.get_autocast_dtype(self.device_type)
            query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
            if attn_mask is not None and attn_mask.dtype == torch.float32:
                attn_mask = attn_mask.to(dtype)
        self.calls.resting += 1
        try:
            result = attention_output(query, value)
        finally:
            self.calls.resting -= 1
        self.calls.attention(Attention(query, key, value, attn_mask, is_causal, enable_gqa), result)
        return result


def differentiable_attention(*attention: Any) -> Tensor:
    """Attention of meta tensors, put on the tape of `RECORDER` as one operator each way."""
    found: Tensor = _Attention.apply(*attention)
    return found


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool,
        grouped: bool,
    ) -> Tensor:  # fmt: skip
        recorder = RECORDER.get()
        attrs = {"is_causal": causal, "enable_gqa": grouped}
        with recorder.resting():
            result = attention_output(query, value)
            # The logarithm of each row's sum of exponentials, which the gradient starts from.
            statistics = query.new_empty(query.shape[:-1], dtype=torch.float32)
        recorder.tape.emit(FORWARD, (query, key, value, mask), (result, statistics), attrs)
        ctx.save_for_backward(query, key, value, mask, result, statistics)
        ctx.attrs, ctx.path = attrs, recorder.tape.paths.current
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        recorder = RECORDER.get()
        query, key, value, mask, result, statistics = ctx.saved_tensors
        with recorder.resting():
            wanted = [torch.empty_like(x) for x in (query, key, value)]
            bias = torch.empty_like(mask) if ctx.needs_input_grad[3] else None
        flash = mask is None and query.dtype in (torch.float16, torch.bfloat16)
        saved = (query, key, value, *(() if flash else (mask,)), result, statistics)
        outputs = [*wanted, *([] if bias is None else [bias])]
        paths, before = recorder.tape.paths, recorder.tape.paths.current
        paths.current = ctx.path
        recorder.tape.emit(
            FLASH if flash else EFFICIENT, (gradients[0], *saved), outputs, ctx.attrs
        )
        paths.current = before
        return *wanted, bias, None, None
