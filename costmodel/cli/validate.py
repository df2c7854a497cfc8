"""`costmodel validate`."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from costmodel.cli import loading, options
from costmodel.cli.options import Format
from costmodel.cli.output import Interrupted, chosen_format, emit, is_page, save
from costmodel.errors import UsageError

MISSED = 1


def validate(
    against: Annotated[
        Path,
        typer.Option(
            "--against",
            "-a",
            metavar="FILE",
            help="timm benchmark CSV, kernel table or folder of them, transformer table, or "
            "JSON lines of `costmodel measure`.",
        ),
    ],
    device: Annotated[
        str | None,
        typer.Option("--device", "-d", metavar="DEVICE", help="The device that was measured."),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision",
            "-p",
            metavar="P",
            help="fp32, tf32, fp16, bf16, amp-fp16 or amp-bf16; by default the file's.",
        ),
    ] = None,
    layout: Annotated[
        str | None, typer.Option("--layout", metavar="L", help="nchw or nhwc.")
    ] = None,
    compiled: Annotated[
        bool | None, typer.Option("--compiled/--eager", help="Run by torch.compile, or eagerly.")
    ] = None,
    fast_norm: Annotated[
        bool, typer.Option("--fast-norm", help="Norms ran in the precision of autocast.")
    ] = False,
    mode: Annotated[str, typer.Option("--mode", metavar="M", help="infer or train.")] = "infer",
    few_shot: Annotated[
        int,
        typer.Option(
            "--few-shot",
            metavar="N",
            min=0,
            max=10,
            help="Refine the device by N measured models, which are then not judged.",
        ),
    ] = 0,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="Of the choice of those models.")
    ] = 0,
    models: Annotated[
        str | None,
        typer.Option("--models", metavar="GLOB", help="Only models of such a name: 'resnet*'."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, help="At most N, spread over the table."),
    ] = None,
    max_mape: Annotated[
        float | None,
        typer.Option("--max-mape", metavar="PERCENT", help="Exit 1 if the MAPE is above."),
    ] = None,
    device_folders: options.Folders = None,
    threads: options.Threads = None,
    without: options.Without = None,
    constants: Annotated[
        Path | None,
        typer.Option("--constants", metavar="FILE.json", help="Of `costmodel fit -o FILE.json`."),
    ] = None,
    no_cache: options.NoCache = False,
    trust: options.Trust = False,
    timeout: options.Timeout = None,
    format: options.FormatOption = None,
    output: options.Output = None,
) -> None:
    """Judge the estimates by measured times: metrics, worst families, a scatter page."""
    if max_mape is not None and not 0 <= max_mape < float("inf"):
        raise UsageError(f"--max-mape {max_mape}: expected percent, 0 or more")
    as_page = is_page(format, output)
    form = Format.TABLE if as_page else chosen_format(format, output)
    (target,) = loading.load_targets([device] if device else None, threads)[:1]

    from costmodel.measurement.fitting.fit import read_constants
    from costmodel.measurement.validation.measured_files import validate_file
    from costmodel.measurement.validation.request import Request
    from costmodel.roofline.constants import DEFAULT

    request = Request(
        precision=precision,
        layout=layout,
        compiled=compiled,
        fast_norm=fast_norm,
        mode=mode,
        few_shot=few_shot,
        seed=seed,
        models=models,
        limit=limit,
        without=tuple(options.listed(without)),
        constants=DEFAULT if constants is None else read_constants(constants),
    )

    try:
        found = validate_file(against, target, request, loading.trace_source, track)
    except KeyboardInterrupt:
        kept = "" if no_cache else "what was traced is kept; the same command goes on from there"
        raise Interrupted(kept) from None
    if as_page:
        from costmodel.reports.accuracy.validation_figure import validation_page

        save(str(output), validation_page(found))
    else:
        from costmodel.reports.accuracy.validation import validation_report

        emit(validation_report(found), form, output)
    if max_mape is not None and 100 * found.score.mape > max_mape:
        typer.echo(f"missed: MAPE {100 * found.score.mape:.2f} % exceeds {max_mape:g} %", err=True)
        raise typer.Exit(MISSED)


def track(items: Iterable[Any], total: int) -> Iterator[Any]:
    """Pass items on; a progress bar on stderr, if it is a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return iter(
        track(
            items, "comparing", total=total, console=console, disable=not console.is_terminal,
            transient=True,
        )
    )  # fmt: skip
