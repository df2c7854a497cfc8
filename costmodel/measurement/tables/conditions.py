"""How a measurement was run, and what that means for tracing and for the engine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from costmodel.errors import UnknownNameError, UsageError
from costmodel.roofline.precision import PRECISIONS
from costmodel.tracing.training_step import TrainingStep

AUTOCAST = {"amp-fp16": "float16", "amp-bf16": "bfloat16"}
"""dtype by precision policy: traced under the framework's own autocast."""

LAYOUTS = ("nchw", "nhwc")


@dataclass(frozen=True)
class RunConditions:
    """Precision policy, memory layout, execution and norms of a run."""

    precision: str = "fp32"
    """A uniform precision ("fp16"), or "amp-fp16", "amp-bf16" for autocast."""
    layout: str = "nchw"
    compiled: bool = False
    fast_norm: bool = False
    """timm's option to run norms in the precision of autocast."""
    step: TrainingStep | None = None
    """What a training step consists of; None for inference."""
    scalar: bool = False
    """The compiler generated code without vector instructions."""

    def __post_init__(self) -> None:
        known = (*PRECISIONS, *AUTOCAST)
        if self.precision not in known:
            raise UnknownNameError("precision", self.precision, known, f"known: {', '.join(known)}")
        if self.layout not in LAYOUTS:
            raise UsageError(f"layout {self.layout!r}: expected {' or '.join(LAYOUTS)}")

    @property
    def policy(self) -> str:
        """The engine's uniform precision: under autocast the graph has its dtypes already."""
        return "fp32" if self.precision in AUTOCAST else self.precision

    @property
    def execution(self) -> str:
        """ "eager" or "compiled"."""
        return "compiled" if self.compiled else "eager"

    def trace_options(self, device_kind: str = "gpu") -> dict[str, Any]:
        """Options of `load_graph`; those that are at their default are left out."""
        options: dict[str, Any] = {}
        if self.precision in AUTOCAST:
            options["autocast"] = AUTOCAST[self.precision]
        if self.layout != "nchw":
            options["layout"] = self.layout
        if options and device_kind == "cpu":
            options["device_type"] = "cpu"
        if self.fast_norm:
            options["fast_norm"] = True
        if self.step is not None:
            default = asdict(TrainingStep())
            chosen = {k: v for k, v in asdict(self.step).items() if v != default[k]}
            options |= {"mode": "train", **chosen}
            if device_kind == "cpu":
                options["device_type"] = "cpu"
        return options

    def __str__(self) -> str:
        words = [self.precision, self.layout, self.execution]
        words += ["fast-norm"] if self.fast_norm else []
        words += ["scalar code"] if self.compiled and self.scalar else []
        return ", ".join(words + ([] if self.step is None else [str(self.step)]))
