"""Runs on the command line: models under the conditions that tracing must know of.

A uniform precision is a setting of the estimate, so that one trace serves all. Autocast, the memory
layout, the precision of norms and a training step decide which operators run: each needs a trace of
its own, and CPUs and GPUs are traced apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from costmodel.cli import loading, options
from costmodel.cli.setting import Setting
from costmodel.errors import UsageError

if TYPE_CHECKING:
    from costmodel.estimation import Estimate
    from costmodel.graph import Graph

TRAINING_BATCH = 32
"""Samples of a training step, where none are given."""
LAYOUTS = ("nchw", "nhwc")


@dataclass(frozen=True)
class Conditions:
    """What the operators of a run depend on besides the model."""

    layout: str = "nchw"
    fast_norm: bool = False
    compiled: bool = False
    step: dict[str, Any] = field(default_factory=dict)
    """Of `step_options`; empty for inference."""

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise UsageError(f"--layout {self.layout!r}: expected nchw or nhwc")

    def of(self, precision: str, on_cpu: bool) -> dict[str, Any]:
        """Options of `load_graph`; empty where a plain trace serves."""
        from costmodel.measurement.tables.conditions import AUTOCAST

        chosen: dict[str, Any] = dict(self.step)
        if precision in AUTOCAST:
            chosen["autocast"] = AUTOCAST[precision]
        if self.layout != "nchw":
            chosen["layout"] = self.layout
        if self.step or (chosen and on_cpu):
            chosen["device_type"] = "cpu" if on_cpu else "cuda"
        if self.fast_norm:
            chosen["fast_norm"] = True
        return chosen


def step_options(mode: str, optimizer: str | None, checkpointing: bool) -> dict[str, Any]:
    """What describes a training step to `load_graph`; empty for inference.

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
    return {} if step is None else {"mode": mode, **chosen}


def estimates_of(
    models: Sequence[str], setting: Setting, conditions: Conditions, *, strict: bool
) -> list[Estimate]:
    """Estimates of all models on all devices, at all batches and precisions.

    Args:
        models: sources.
        setting: devices, batch sizes (where none is given, a training step has
            `TRAINING_BATCH`), and precisions: uniform ones, or amp-fp16 and amp-bf16 for autocast.
        conditions: of the runs.
        strict: whether an operator without a formula is an error.

    Raises:
        UsageError: if there is nothing to predict.
        UnknownNameError: for an unknown precision.
    """
    from costmodel.measurement.tables.conditions import AUTOCAST

    wanted = options.listed(setting.precision) or ["fp32"]
    if not conditions.of("fp32", False) and not set(wanted) & set(AUTOCAST):
        return setting.estimates(
            setting.graphs(models, compiled=conditions.compiled), strict=strict
        )
    options.precisions([name for name in wanted if name not in AUTOCAST])
    sizes = setting.sizes or ([TRAINING_BATCH] if conditions.step else None)
    targets = setting.targets
    found: list[Estimate] = []
    for source in models:
        for on_cpu in (False, True):
            places = [target for target in targets if (target.profile.kind == "cpu") == on_cpu]
            for precision in dict.fromkeys(wanted) if places else ():
                graph = _graph(source, sizes, setting.input_shape, conditions, precision, on_cpu)
                policy = "fp32" if precision in AUTOCAST else options.precisions([precision])[0]
                found += setting.estimates(
                    [graph], strict=strict, targets=places, sizes=sizes, policies=[policy]
                )
    return found


def _graph(
    source: str,
    sizes: Iterable[int] | None,
    input_shape: str | None,
    conditions: Conditions,
    precision: str,
    on_cpu: bool,
) -> Graph:
    if not conditions.step:
        return loading.load_models(
            [source],
            input_shape,
            scaled_to=list(sizes or ()),
            compiled=conditions.compiled,
            **conditions.of(precision, on_cpu),
        )[0]
    with loading.may_run(source), loading.progress(f"tracing {source}"):
        shape = options.sample_shape(input_shape)
        return loading.trace_source(source, 2, shape, **conditions.of(precision, on_cpu))
