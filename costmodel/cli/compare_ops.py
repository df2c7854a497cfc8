"""`costmodel compare-ops`."""

import sys
from math import lcm
from typing import Annotated

import typer

from costmodel.cli import loading, options
from costmodel.cli.options import Format
from costmodel.cli.output import chosen_format, emit, is_page, save
from costmodel.errors import UsageError


def compare_ops(
    operators: Annotated[
        list[str],
        typer.Argument(
            metavar="OPERATOR...",
            help="conv, dwconv, gconv:GROUPS, pconv:RATIO, patconv:RATIO, pwconv or separable.",
        ),
    ],
    device: options.Devices = None,
    device_folders: options.Folders = None,
    channels: Annotated[
        str,
        typer.Option(
            "--channels",
            "-c",
            metavar="FROM:TO",
            help="Doubling from 32:512; in steps 32:512:32; or a list 48,96.",
        ),
    ] = "32:512",
    size: Annotated[
        list[str] | None,
        typer.Option(
            "--size", "-s", metavar="N", help="Height and width, 56 if not given; repeat or list."
        ),
    ] = None,
    kernel: Annotated[
        list[str] | None,
        typer.Option(
            "--kernel", "-k", metavar="K", help="Kernel size, 3 if not given; repeat or list."
        ),
    ] = None,
    batch: options.Batches = None,
    precision: options.Precisions = None,
    threads: options.Threads = None,
    without: options.Without = None,
    format: options.FormatOption = None,
    output: options.Output = None,
) -> None:
    """Compare operators over channels: where are fewer FLOPs not faster?"""
    from costmodel.reports.channels import dense_channels, parse_channels

    sizes, policies = options.batch_sizes(batch) or [1], options.precisions(precision)
    counts = parse_channels(channels)
    edges = options.whole_numbers("size", size) or [56]
    taps = options.whole_numbers("kernel", kernel) or [3]
    targets = loading.load_targets(device, threads)
    as_page = is_page(format, output)
    form = Format.TABLE if as_page else chosen_format(format, output)

    from costmodel.reports.operators.comparison import compare_operators
    from costmodel.reports.operators.variants import parse_operator

    wanted = list(dict.fromkeys(parse_operator(text) for text in operators))
    if as_page:
        counts = dense_channels(counts, channels, lcm(*(operator.multiple for operator in wanted)))
    laws, found = options.listed(without), []
    # By device first: a reader compares sizes and kernels on a device, not devices at a size.
    for target in targets:
        try:
            with loading.progress(f"evaluating on {target.label}"):
                cases = [
                    compare_operators(
                        wanted, counts, edge, tap, [target], sizes, policies, without=laws
                    )
                    for tap in dict.fromkeys(taps)
                    for edge in dict.fromkeys(edges)
                ]
        except UsageError as error:
            if "all" not in (device or ()):
                raise
            print(f"left out: {error}", file=sys.stderr)
            continue
        found += [comparison for case in zip(*cases, strict=True) for comparison in case]
    if not found:
        raise UsageError("none of the devices can compute this")
    if as_page:
        from costmodel.reports.operators.page import operator_page

        with loading.progress("drawing"):
            page = operator_page(found)
        save(str(output), page)
        return
    from costmodel.reports.operators.report import operator_report

    emit(operator_report(found), form, output)
