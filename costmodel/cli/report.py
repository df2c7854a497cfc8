"""`costmodel report`."""

import shlex
from functools import cache, partial
from typing import Annotated, Any

import typer

from costmodel.cli import loading, options
from costmodel.cli.output import is_page, save
from costmodel.cli.setting import Setting, grouped
from costmodel.errors import UsageError


@grouped
def report(
    context: typer.Context,
    model: options.Model,
    setting: Setting,
    strict: options.Strict = False,
    compiled: options.Compiled = False,
    trust: options.Trust = False,
    timeout: options.Timeout = None,
    no_cache: options.NoCache = False,
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
    from costmodel.reports.runs import check_runs

    check_runs(setting.runs)
    estimates = setting.estimates(setting.graphs([model], compiled=compiled), strict=strict)

    from costmodel.changes import consider
    from costmodel.reports.model.page import model_report

    retrace = cache(partial(_retraced, model, setting.input_shape))
    laws = options.listed(setting.without)
    with loading.progress("trying changes"):
        considered = [consider(estimate, retrace, without=laws) for estimate in estimates]
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
    with loading.may_run(model):
        shape = options.sample_shape(input_shape)
        return loading.trace_source(model, batch, shape, **conditions)
