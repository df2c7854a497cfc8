"""`costmodel reproduce`."""

from typing import Annotated

import typer

from costmodel.cli import loading, options
from costmodel.cli.options import Format
from costmodel.cli.output import chosen_format, emit, is_page, save


def reproduce(
    tables: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TABLE]...", help="imagenet, coco, ...; all by default."),
    ] = None,
    conditions: Annotated[
        bool,
        typer.Option(
            "--conditions",
            help="Score the assumed run conditions beside others; a page gets them as a section.",
        ),
    ] = False,
    no_cache: options.NoCache = False,
    format: options.FormatOption = None,
    output: options.Output = None,
) -> None:
    """Compare every figure of the published tables with ours."""
    from costmodel.published import table

    ids = [table(id).id for id in options.listed(tables)]
    as_page = is_page(format, output)
    form = Format.TABLE if as_page else chosen_format(format, output)

    from costmodel.reports.accuracy import reproduction as reports

    with loading.progress("reproducing") as status:
        from costmodel.measurement import reproduction as rooms
        from costmodel.measurement.reproduction.networks import Networks

        networks = Networks(status.update)
        compared = rooms.compare_conditions(ids, networks=networks) if conditions else ()
        if conditions and not as_page:
            report = reports.conditions_report(compared)
        else:
            found = rooms.reproduce(ids, networks=networks)
            if as_page:
                from costmodel.reports.accuracy.reproduction_figure import reproduction_page

                save(str(output), reproduction_page(found, compared))
                return
            wanted = reports.records_report if form is Format.CSV else reports.reproduction_report
            report = wanted(found)
    emit(report, form, output)
