"""Tracing where the device type matters: autocast and memory layout, on fake tensors.

Autocast is a property of the device type, so meta tensors never see it. Fake tensors that claim
to be on a GPU go through the framework's real autocast and layout rules without one: every cast
and every copy becomes an operator of the graph, with the dtypes and strides a real run has. This
takes two to five times as long as the meta path and is used only when it is asked for.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.overrides import TorchFunctionMode

from costmodel.tracing.recorder import Recorder
from costmodel.tracing.rules import attention_output
from costmodel.tracing.tape import Tape


def run_device_typed(
    model: nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    map_tensors: Any,
    autocast: str | None,
    layout: str,
    device_type: str,
) -> tuple[Tape, Any, Any]:
    """Run a model on fake tensors of a device type.

    Args:
        model: weights on any device; only their shapes are used.
        args: example inputs, tensors on the meta device.
        kwargs: likewise by name.
        map_tensors: applies a function to all tensors of a nested structure.
        autocast: "float16" or "bfloat16" to run under `torch.autocast`, None to leave it off.
        layout: "nhwc" stores 4-D weights and inputs channels-last, "nchw" as they are.
        device_type: "cuda" or "cpu".

    Returns:
        the tape, the inputs used and the result.
    """
    mode, model, (args, kwargs) = fake_copy(model, (args, kwargs), layout, device_type, map_tensors)
    tape = Tape(model)
    with (
        torch.no_grad(),
        mode,
        tape.paths.following(),
        autocasting(device_type, autocast),
        Recorder(tape) as recorder,
        _DeviceKernels(tape, recorder, device_type),
    ):
        result = model(*args, **kwargs)
    return tape, (args, kwargs), result


def fake_copy(
    model: nn.Module, inputs: Any, layout: str, device_type: str, map_tensors: Any
) -> tuple[FakeTensorMode, nn.Module, Any]:
    """A model and its inputs as fake tensors of a device type, with the mode they belong to."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    device = torch.device(device_type, 0) if device_type != "cpu" else torch.device("cpu")

    def fake(tensor: Tensor) -> Tensor:
        meta = tensor.detach().to("meta")
        if layout == "nhwc" and meta.dim() == 4:
            meta = meta.to(memory_format=torch.channels_last)
        return FakeTensor(mode, meta, device)

    memo: dict[int, Any] = {}
    for tensor in (*model.parameters(), *model.buffers()):
        if id(tensor) not in memo:
            moved = fake(tensor)
            is_parameter = isinstance(tensor, nn.Parameter)
            memo[id(tensor)] = nn.Parameter(moved, tensor.requires_grad) if is_parameter else moved
    return mode, copy.deepcopy(model, memo), map_tensors(inputs, fake)


@contextmanager
def autocasting(device_type: str, dtype: str | None) -> Iterator[None]:
    """`torch.autocast`, also on a machine without the device (which makes it switch itself off)."""
    if dtype is None:
        yield
        return
    before = torch.is_autocast_enabled(device_type), torch.get_autocast_dtype(device_type)
    torch.set_autocast_enabled(device_type, True)
    torch.set_autocast_dtype(device_type, getattr(torch, dtype))
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        if torch.autocast_decrement_nesting() == 0:
            torch.clear_autocast_cache()
        torch.set_autocast_enabled(device_type, before[0])
        torch.set_autocast_dtype(device_type, before[1])


_CONVOLUTIONS = (F.conv2d, torch.conv2d)


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


class _DeviceKernels(TorchFunctionMode):
    """What runs on the device where fake tensors would show what runs here.

    Scaled-dot-product attention is recorded as the one operator it is; left alone it would break
    up into whatever the machine at hand would run. On GPUs, group norm has no channels-last kernel:
    it copies its input and gives a contiguous result; a convolution of which either operand is
    channels-last runs so, and copies an input that is not or that leaves gaps.
    """

    def __init__(self, tape: Tape, recorder: Recorder, device_type: str) -> None:
        super().__init__()
        self.tape, self.recorder, self.device_type = tape, recorder, device_type

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is F.scaled_dot_product_attention:
            return self._attention(*args, **(kwargs or {}))
        if self.device_type == "cuda":
            if func in (F.group_norm, torch.group_norm):
                args = (args[0].contiguous(), *args[1:])
            elif func in _CONVOLUTIONS and len(args) > 1:
                args = (self._image(args[0], args[1]), *args[1:])
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
        self.recorder.depth += 1
        try:
            result = attention_output(query, value)
        finally:
            self.recorder.depth -= 1
        attrs = {"is_causal": is_causal, "scale": scale, "enable_gqa": enable_gqa}
        inputs = (query, key, value, attn_mask)
        self.tape.emit("aten::scaled_dot_product_attention", inputs, (result,), attrs)
        return result
