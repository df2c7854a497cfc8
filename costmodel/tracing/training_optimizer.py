"""The framework's optimisers, on meta tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from costmodel.tracing.training_step import OPTIMIZERS, TrainingStep

_CLASSES: dict[str, Any] = {
    "sgd": torch.optim.SGD,
    "sgd-momentum": torch.optim.SGD,
    "sgd-nesterov": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


def make_optimizer(
    step: TrainingStep, parameters: Sequence[nn.Parameter], device_type: str
) -> torch.optim.Optimizer | None:
    """The step's optimiser over these parameters after a first step, None if it has none.

    The first step makes its state; the gradients it needs are left behind.
    """
    if step.optimizer is None or not parameters:
        return None
    chosen = step.implementation or ("for-loop" if device_type == "cpu" else "foreach")
    made: torch.optim.Optimizer = _CLASSES[step.optimizer](
        parameters, lr=1e-3, foreach=chosen == "foreach", **OPTIMIZERS[step.optimizer]
    )
    for parameter in parameters:
        parameter.grad = torch.empty_like(parameter)
    made.step()
    if chosen == "fused":
        _fuse(made)
    return made


def _fuse(optimizer: Any) -> None:
    """Switch to the fused kernel; asked for at once, it would refuse the meta device."""
    optimizer._need_device_dtype_check_for_fused = False
    for group in optimizer.param_groups:
        group["fused"], group["foreach"] = True, False
    for state in optimizer.state.values():
        if isinstance(state.get("step"), torch.Tensor):
            state["step"] = state["step"].to("meta")  # counted on the device
