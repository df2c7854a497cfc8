"""`costmodel summary`."""

from typing import Annotated

import typer

from costmodel.cli import loading, options
from costmodel.cli.output import chosen_format, emit


def summary(
    model: options.Model,
    batch: Annotated[str, typer.Option("--batch", "-b", metavar="N", help="Batch size.")] = "1",
    input_shape: options.InputShape = None,
    depth: Annotated[
        int, typer.Option("--depth", metavar="N", min=0, help="How deep to show the module tree.")
    ] = 3,
    strict: options.Strict = False,
    trust: options.Trust = False,
    timeout: options.Timeout = None,
    no_cache: options.NoCache = False,
    format: options.FormatOption = None,
    output: options.Output = None,
) -> None:
    """Show the module tree: shapes, parameters, MACs, bytes, intensity; memory by dtype."""
    form = chosen_format(format, output)
    size = options.whole_number("batch", batch)
    (graph,) = loading.load_models([model], input_shape, size)

    from costmodel.formulas.columns import columns_of
    from costmodel.reports.model.module_summary import summary_report

    if strict:
        columns_of(graph).require_coverage()
    emit(summary_report(graph, depth), form, output)
