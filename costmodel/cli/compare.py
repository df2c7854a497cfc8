"""`costmodel compare`."""

from typing import Annotated

import typer

from costmodel.cli import options
from costmodel.cli.options import Format
from costmodel.cli.output import chosen_format, emit, is_page, save
from costmodel.cli.setting import Setting, grouped
from costmodel.errors import UsageError


@grouped
def compare(
    models: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", metavar="MODEL", help=f"{options.MODEL_HELP} Repeat."),
    ] = None,
    *,
    setting: Setting,
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", metavar="MODEL", help="Relate to this one, not to the first."),
    ] = None,
    strict: options.Strict = False,
    compiled: options.Compiled = False,
    trust: options.Trust = False,
    timeout: options.Timeout = None,
    no_cache: options.NoCache = False,
    format: options.FormatOption = None,
    output: options.Output = None,
) -> None:
    """Compare models on devices: latency, throughput, memory; accuracy where it is published."""
    sources = list(dict.fromkeys(models or ()))
    if not sources:
        raise UsageError("no model: add -m MODEL, once for each (such as -m zoo:fasternet_t2)")
    as_page = is_page(format, output)
    form = Format.TABLE if as_page else chosen_format(format, output)
    if as_page:
        from costmodel.reports.runs import check_runs

        check_runs(setting.runs)
    graphs = setting.graphs(sources, compiled=compiled)
    estimates = [setting.estimates([graph], strict=strict) for graph in graphs]

    from costmodel.reports.model.comparison import (
        compared_models,
        comparison_report,
        records_report,
    )

    found = compared_models(sources, estimates, baseline)
    if as_page:
        from costmodel.reports.model.comparison_page import comparison_page

        save(str(output), comparison_page(found))
        return
    emit(records_report(found) if form is Format.CSV else comparison_report(found), form, output)
