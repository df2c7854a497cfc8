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
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from costmodel.tracing.device_kernels import DeviceKernels
from costmodel.tracing.recorder import Recorder
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
        DeviceKernels(recorder, device_type),
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
