"""What one training step consists of, as settings; `training` traces it.

Framework-free, so that the command line and tables of measurements can name a step cheaply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from costmodel.errors import UnknownNameError, UsageError

OPTIMIZERS: dict[str, dict[str, object]] = {
    "sgd": {},
    "sgd-momentum": {"momentum": 0.9},
    "sgd-nesterov": {"momentum": 0.9, "nesterov": True},
    "adam": {},
    "adamw": {"weight_decay": 0.01},
}
"""Options of the framework's optimiser, by our name for it. Values do not change the cost."""

IMPLEMENTATIONS = ("fused", "foreach", "for-loop")
"""One kernel for all parameters; an operator on lists per arithmetic step; operators by tensor."""


@dataclass(frozen=True)
class TrainingStep:
    """Forward, backward and optimiser; defaults are the framework's."""

    optimizer: str | None = "adamw"
    """One of `OPTIMIZERS`, or None for forward and backward alone."""
    implementation: str | None = None
    """One of `IMPLEMENTATIONS`; None is what the framework takes: lists on GPUs, else a loop."""
    checkpointing: bool = False
    """Keep only the inputs of repeated blocks, and run each again before its backward."""
    accumulate: bool = False
    """Gradients exist and are added to: accumulation over steps, or gradients set to zero rather
    than dropped, as the framework did before release 2.0."""
    fused_attention: bool = True
    """timm's option to call the framework's attention; else its models write their scores."""

    def __post_init__(self) -> None:
        if self.optimizer is not None and self.optimizer not in OPTIMIZERS:
            raise UnknownNameError(
                "optimizer", self.optimizer, OPTIMIZERS, f"known: {', '.join(OPTIMIZERS)}"
            )
        if self.implementation is not None and self.implementation not in IMPLEMENTATIONS:
            raise UsageError(
                f"optimizer implementation {self.implementation!r}: expected one of "
                f"{', '.join(IMPLEMENTATIONS)}"
            )

    def __str__(self) -> str:
        words = ["train", self.optimizer or "no optimizer"]
        words += [self.implementation] if self.implementation and self.optimizer else []
        words += ["checkpointing"] if self.checkpointing else []
        words += ["gradients accumulated"] if self.accumulate else []
        words += [] if self.fused_attention else ["attention written out"]
        return ", ".join(words)


def step_of(mode: str, options: Mapping[str, Any]) -> tuple[TrainingStep | None, dict[str, Any]]:
    """The training step that options describe, None for inference, and the options left over.

    Raises:
        UsageError: for an unknown mode, or options of a training step in inference.
    """
    if mode not in ("infer", "train"):
        raise UsageError(f"mode {mode!r}: expected infer or train")
    names = {field.name for field in fields(TrainingStep)}
    chosen = {name: value for name, value in options.items() if name in names}
    rest = {name: value for name, value in options.items() if name not in names}
    if mode == "train":
        return TrainingStep(**chosen), rest
    if chosen:
        raise UsageError(f"{', '.join(chosen)}: only for mode train")
    return None, rest
