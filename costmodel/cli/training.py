"""Training steps on the command line: which graphs `predict --mode train` traces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from costmodel.cli import options
from costmodel.errors import UsageError

if TYPE_CHECKING:
    from costmodel.estimation import Estimate
    from costmodel.roofline.ceilings import Target

BATCH = 32
"""Samples of a step, where none are given."""


def step_options(mode: str, optimizer: str | None, checkpointing: bool) -> dict[str, Any] | None:
    """What describes a training step to `load_graph`; None for inference.

    Raises:
        UsageError: for an unknown mode, or options of a training step in inference.
        UnknownNameError: for an unknown optimiser.
    """
    from costmodel.tracing.training_step import step_of

    chosen: dict[str, Any] = {}
    if optimizer is not None:
        chosen["optimizer"] = None if optimizer == "none" else optimizer
    if checkpointing:
        chosen["checkpointing"] = True
    step, _ = step_of(mode, chosen)
    return None if step is None else {"mode": mode, **chosen}


def training_estimates(
    models: Sequence[str],
    targets: Sequence[Target],
    sizes: Sequence[int] | None,
    precisions: Sequence[str] | None,
    input_shape: str | None,
    step: dict[str, Any],
    **settings: Any,
) -> list[Estimate]:
    """Estimates of a training step of all models on all devices.

    Args:
        models: sources.
        targets: devices; GPUs and CPUs run different operators, and are traced apart.
        sizes: batch sizes, `BATCH` by default.
        precisions: uniform ones, or amp-fp16 and amp-bf16 for autocast.
        input_shape: of one sample, as the command line takes it.
        step: of `step_options`.
        settings: passed on to `options.predictions`.

    Raises:
        UsageError: if there is nothing to predict.
    """
    from costmodel.measurement.conditions import AUTOCAST

    shape = options.sample_shape(input_shape)
    wanted, found = options.listed(precisions) or ["fp32"], []
    for device_type, on_cpu in (("cuda", False), ("cpu", True)):
        places = [target for target in targets if (target.profile.kind == "cpu") == on_cpu]
        for source in models if places else ():
            for precision in wanted:
                conditions = {**step, "device_type": device_type}
                if precision in AUTOCAST:
                    conditions["autocast"] = AUTOCAST[precision]
                policy = "fp32" if precision in AUTOCAST else options.precisions([precision])[0]
                with options.may_run(source), options.progress(f"tracing {source}"):
                    graph = options.trace_source(source, 2, shape, **conditions)
                found += options.predictions(
                    [graph], places, sizes or [BATCH], [policy], **settings
                )
    if not found:
        raise UsageError("no device: add -d NAME (see `costmodel devices list`)")
    return found
