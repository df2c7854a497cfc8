"""`costmodel predict`."""

from dataclasses import replace
from typing import Annotated

import typer

from costmodel.cli import options
from costmodel.cli.output import chosen_format, emit
from costmodel.cli.runs import Conditions, estimates_of, step_options
from costmodel.cli.setting import Setting, grouped
from costmodel.errors import UsageError

MISSED = 1


@grouped
def predict(
    models: options.Models,
    setting: Setting,
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", metavar="DEVICE", help="Show speed relative to this device."),
    ] = None,
    top: Annotated[
        int, typer.Option("--top", metavar="N", min=0, help="List the N slowest operators too.")
    ] = 0,
    strict: options.Strict = False,
    compiled: options.Compiled = False,
    layout: Annotated[
        str, typer.Option("--layout", metavar="L", help="Memory layout of images: nchw or nhwc.")
    ] = "nchw",
    fast_norm: Annotated[
        bool, typer.Option("--fast-norm", help="timm's norms in the precision of autocast.")
    ] = False,
    mode: Annotated[
        str, typer.Option("--mode", metavar="M", help="infer, or train for a training step.")
    ] = "infer",
    optimizer: Annotated[
        str | None,
        typer.Option(
            "--optimizer",
            metavar="O",
            help="Of the step: sgd, sgd-momentum, sgd-nesterov, adam, adamw (default) or none.",
        ),
    ] = None,
    checkpointing: Annotated[
        bool,
        typer.Option("--checkpointing", help="Train with repeated blocks run again in backward."),
    ] = False,
    max_latency: Annotated[
        str | None,
        typer.Option("--max-latency", metavar="TIME", help="Exit 1 if one is slower: 5ms."),
    ] = None,
    max_memory: Annotated[
        str | None,
        typer.Option("--max-memory", metavar="SIZE", help="Exit 1 if one needs more: 8GiB."),
    ] = None,
    trust: options.Trust = False,
    timeout: options.Timeout = None,
    no_cache: options.NoCache = False,
    format: options.FormatOption = None,
    output: options.Output = None,
) -> None:
    """Predict latency, throughput, what limits it, and peak memory."""
    step = step_options(mode, optimizer, checkpointing)
    form = chosen_format(format, output)
    latency_budget = _budget(max_latency, "s", "--max-latency")
    memory_budget = _budget(max_memory, "B", "--max-memory")
    if baseline is not None:
        setting = replace(setting, device=[baseline, *(setting.device or [])])
    if step and (compiled or baseline):
        raise UsageError("--mode train: goes with neither --compiled nor --baseline")
    conditions = Conditions(layout, fast_norm, compiled, step)
    estimates = estimates_of(models, setting, conditions, strict=strict)
    if step:
        from costmodel.reports.model.training import training_report

        report = training_report(estimates, top)
    else:
        from costmodel.reports.model.prediction import prediction_report

        report = prediction_report(estimates, setting.targets[0].label if baseline else None, top)
    emit(report, form, output)
    missed = [
        f"{e.graph.name} on {e.device}, batch {e.batch}: {what}"
        for e in estimates
        for what in _missed(e.latency, e.peak_memory, latency_budget, memory_budget)
    ]
    for line in missed:
        typer.echo(f"missed: {line}", err=True)
    if missed:
        raise typer.Exit(MISSED)


def _budget(text: str | None, unit: str, option: str) -> float | None:
    from costmodel.units import parse

    if text is None:
        return None
    try:
        value = parse(text, unit)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from None
    if value <= 0:
        raise UsageError(f"{option} {text!r}: expected more than 0")
    return value


def _missed(
    latency: float, memory: float, latency_budget: float | None, memory_budget: float | None
) -> list[str]:
    from costmodel.units import format_bytes, format_time

    result = []
    if latency_budget is not None and latency > latency_budget:
        result.append(f"{format_time(latency)} exceeds {format_time(latency_budget)}")
    if memory_budget is not None and memory > memory_budget:
        result.append(f"{format_bytes(memory)} exceeds {format_bytes(memory_budget)}")
    return result
