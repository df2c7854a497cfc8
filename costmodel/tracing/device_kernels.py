"""What runs on the device, where fake tensors would show what runs on the machine at hand.

Both an inference and a training step are traced under it: they differ only in who is told.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.overrides import TorchFunctionMode

from costmodel.tracing.rules import attention_output

_CONVOLUTIONS = (F.conv2d, torch.conv2d)
_GROUP_NORMS = (F.group_norm, torch.group_norm)
_ASKS_DRIVER = (
    torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu, torch.grid_sampler, F.grid_sample,
)  # fmt: skip
"""Functions that ask the GPU's driver whether cuDNN takes them, unless cuDNN is switched off."""


class Attention(NamedTuple):
    """The arguments of an attention that matter."""

    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None
    causal: bool
    scale: float | None
    grouped: bool
    """Whether fewer key and value heads serve several query heads."""

    @property
    def attrs(self) -> dict[str, Any]:
        """Those that are no tensors, by the operator's names."""
        return {"is_causal": self.causal, "scale": self.scale, "enable_gqa": self.grouped}


class Listener(Protocol):
    """A recorder that can look away, and be told of an attention."""

    def resting(self) -> AbstractContextManager[None]: ...

    def attention(self, call: Attention, result: Tensor) -> None: ...


class DeviceKernels(TorchFunctionMode):
    """Answers or prepares the calls of which a device type has kernels of its own.

    Scaled-dot-product attention is recorded as the one operator it is; left alone it would break
    up into whatever the machine at hand would run. On GPUs, group norm has no channels-last kernel:
    it copies its input and gives a contiguous result; a convolution of which either operand is
    channels-last runs so, and copies an input that is not or that leaves gaps. What asks a driver
    that need not be here runs as it does without cuDNN: recurrent layers step by step.
    """

    def __init__(self, listener: Listener, device_type: str) -> None:
        super().__init__()
        self.listener, self.device_type = listener, device_type

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is F.scaled_dot_product_attention:
            return self._attention(*args, **(kwargs or {}))
        if self.device_type == "cuda":
            if func in _GROUP_NORMS:
                args = (args[0].contiguous(), *args[1:])
            elif func in _CONVOLUTIONS and len(args) > 1:
                args = (self._image(args[0], args[1]), *args[1:])
            elif func in _ASKS_DRIVER:
                with torch.backends.cudnn.flags(enabled=False):
                    return func(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _image(self, image: Tensor, weight: Tensor) -> Tensor:
        """The image as a channels-last convolution reads it: dense, in its precision."""
        interleaved = image.dim() == 4 and (_is_channels_last(image) or _is_channels_last(weight))
        if not interleaved or image.is_contiguous(memory_format=torch.channels_last):
            return image
        if torch.is_autocast_enabled(self.device_type) and image.is_floating_point():
            image = image.to(torch.get_autocast_dtype(self.device_type))
        return image.contiguous(memory_format=torch.channels_last)

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
        with self.listener.resting():
            result = attention_output(query, value)
        call = Attention(query, key, value, attn_mask, is_causal, scale, enable_gqa)
        self.listener.attention(call, result)
        return result


def _is_channels_last(tensor: Tensor) -> bool:
    """Whether the framework takes a 4-D tensor for channels-last, by its strides.

    Dimensions of size 1 are counted, so that a one-channel kernel stored channels-last is one.
    """
    strides, sizes, least = tensor.stride(), tensor.shape, 0
    for axis in (1, 3, 2, 0):
        if strides[axis] == 0 or strides[axis] < least:
            return False
        if axis == 0 and least == strides[1]:
            return False
        least = strides[axis] * max(int(sizes[axis]), 1)
    return True
