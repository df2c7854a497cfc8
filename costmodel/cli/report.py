"""`costmodel report`."""

from __future__ import annotations

import shlex
from functools import cache, partial
from typing import Annotated, Any

import typer

from costmodel.cli import options
from costmodel.cli.output import is_page, save
from costmodel.errors import UsageError


def report(
    context: typer.Context,
    model: options.Model,
    device: options.Devices = None,
    device_folders: options.Folders = None,
    batch: options.Batches = None,
    precision: options.Precisions = None,
    input_shape: options.InputShape = None,
    threads: options.Threads = None,
    without: options.Without = None,
    strict: options.Strict = False,
    compiled: options.Compiled = False,
    trust: options.Trust = False,
    timeout: options.Timeout = None,
    cdn: Annotated[
        bool, typer.Option("--cdn", help="A small page, which asks cdn.plot.ly for plotly.js.")
    ] = False,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE.html", help="The page; needed."),
    ] = None,
) -> None:
    """Write everything about a model on a few devices as one offline page."""
    if output is None or not is_page(None, output):
        given = "" if output is None else f", not {output}"
        raise UsageError(f"a report is a page: add -o FILE.html{given}")
    sizes, policies = options.batch_sizes(batch), options.precisions(precision)
    targets = options.load_targets(device, threads)
    from costmodel.reports.runs import check_runs

    check_runs(len(targets) * len(sizes or [1]) * len(policies))
    (graph,) = options.load_models([model], input_shape, scaled_to=sizes, compiled=compiled)
    estimates = options.predictions(
        [graph], targets, sizes, policies,
        strict=strict, without=without, skip_unable="all" in (device or ()),
    )  # fmt: skip

    from costmodel.changes import consider
    from costmodel.reports.model_report import model_report

    retrace = cache(partial(_retraced, model, input_shape))
    with options.progress("trying changes"):
        considered = [
            consider(estimate, retrace, without=options.listed(without)) for estimate in estimates
        ]
        page = model_report(estimates, considered, model, _command(context), cdn=cdn)
    save(output, page)


def _command(context: typer.Context) -> str:
    """What was typed, from the values that were read."""
    words = ["costmodel", "report"]
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        flag = parameter.opts[-1]
        if value is True:
            words.append(flag)
        elif value is not None and value is not False:
            for one in value if isinstance(value, list | tuple) else [value]:
                words += [str(one)] if not flag.startswith("-") else [flag, str(one)]
    return shlex.join(words)


def _retraced(model: str, input_shape: str | None, batch: int, **conditions: Any) -> Any:
    """The model traced under other conditions."""
    with options.may_run(model):
        shape = options.sample_shape(input_shape)
        return options.trace_source(model, batch, shape, **conditions)
