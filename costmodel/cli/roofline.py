"""`costmodel roofline`."""

from __future__ import annotations

import sys
from pathlib import Path

from costmodel.cli import options
from costmodel.cli.output import emit, save
from costmodel.errors import UsageError


def roofline(
    models: options.Models,
    device: options.Devices = None,
    batch: options.Batches = None,
    precision: options.Precisions = None,
    input_shape: options.InputShape = None,
    threads: options.Threads = None,
    without: options.Without = None,
    strict: options.Strict = False,
    format: options.FormatOption = None,
    output: options.Output = None,
) -> None:
    """Chart what limits each operator: in the terminal, or as a page with -o FILE.html."""
    sizes = options.whole_numbers("batch", batch) or None
    targets = options.load_targets(device, threads)
    as_page = output is not None and Path(output).suffix.lower() in (".html", ".htm")
    if as_page and format is not None:
        raise UsageError(f"--format {format} and -o {output}: an .html file is a page; drop one")
    graphs = options.load_models(models, input_shape)

    from costmodel.estimate import sweep

    precisions = options.listed(precision) or ["fp32"]
    estimates = [
        estimate
        for graph in graphs
        for estimate in sweep(
            graph, targets, sizes, precisions, strict=strict, without=options.listed(without)
        )
    ]
    if as_page:
        from costmodel.reports.roofline_figure import roofline_page

        save(str(output), roofline_page(estimates))
        return
    from costmodel.reports.roofline_terminal import roofline_chart, roofline_report

    if format is None and output is None:
        from costmodel.reports.report import console_for

        console = console_for()
        colour = console.is_terminal and not console.no_color
        for estimate in estimates:
            sys.stdout.write(roofline_chart(estimate, colour))
    emit(roofline_report(estimates), format, output)
