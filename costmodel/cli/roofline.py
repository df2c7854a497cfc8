"""`costmodel roofline`."""

import sys

from costmodel.cli import options
from costmodel.cli.options import Format
from costmodel.cli.output import chosen_format, emit, is_page, save
from costmodel.cli.setting import Setting, grouped


@grouped
def roofline(
    models: options.Models,
    setting: Setting,
    strict: options.Strict = False,
    compiled: options.Compiled = False,
    trust: options.Trust = False,
    timeout: options.Timeout = None,
    no_cache: options.NoCache = False,
    format: options.FormatOption = None,
    output: options.Output = None,
) -> None:
    """Chart what limits each operator: in the terminal, or as a page with -o FILE.html."""
    as_page = is_page(format, output)
    form = Format.TABLE if as_page else chosen_format(format, output)
    estimates = setting.estimates(setting.graphs(models, compiled=compiled), strict=strict)
    if as_page:
        from costmodel.reports.roofline.page import roofline_page

        save(str(output), roofline_page(estimates))
        return
    from costmodel.reports.roofline.terminal import roofline_chart, roofline_report

    if form is Format.TABLE and output is None:
        from costmodel.reports.report import console_for

        console = console_for()
        colour = console.is_terminal and not console.no_color
        for estimate in estimates:
            sys.stdout.write(roofline_chart(estimate, colour))
    emit(roofline_report(estimates), form, output)
