"""Attention in a training step: one operator forward, one backward, as the fused kernels run it.

The gradient is that of the kernel the framework takes on a GPU: the flash kernel in 16 bits without
a mask, else the memory-efficient one; both compute the scores again (Dao et al., FlashAttention,
2022).
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

from costmodel.tracing.device_kernels import Attention
from costmodel.tracing.recorder import ATTENTION
from costmodel.tracing.rules import attention_output
from costmodel.tracing.training_recorder import TrainingRecorder

FLASH = "aten::_scaled_dot_product_flash_attention_backward"
EFFICIENT = "aten::_scaled_dot_product_efficient_attention_backward"

RECORDER: ContextVar[TrainingRecorder] = ContextVar("recorder of the step that is being traced")


def differentiable_attention(*attention: Any) -> Tensor:
    """Attention of meta tensors, put on the tape of `RECORDER` as one operator each way."""
    found: Tensor = _Attention.apply(*attention)
    return found


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, *rest: Any
    ) -> Tensor:  # fmt: skip
        recorder = RECORDER.get()
        attrs = Attention(query, key, value, mask, *rest).attrs
        with recorder.resting():
            result = attention_output(query, value)
            # The logarithm of each row's sum of exponentials, which the gradient starts from.
            statistics = query.new_empty(query.shape[:-1], dtype=torch.float32)
        recorder.tape.emit(ATTENTION, (query, key, value, mask), (result, statistics), attrs)
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
        return *wanted, bias, None, None, None
