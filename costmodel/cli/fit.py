"""`costmodel fit`."""

from pathlib import Path
from typing import Annotated

import typer

from costmodel.cli import options
from costmodel.cli.loading import trace_source
from costmodel.cli.output import chosen_format, emit
from costmodel.cli.validate import track


def fit(
    on: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE@DEVICE...",
            help="Measured files to fit to; FOLDER of kernels for all devices in it.",
        ),
    ],
    hold_out: Annotated[
        list[str] | None,
        typer.Option(
            "--hold-out",
            metavar="FILE@DEVICE",
            help="Judge by it; kernels of its device are kept out of the fit. Repeat.",
        ),
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="CONSTANT", help="Fit only these; repeat or list."),
    ] = None,
    fast_norm: Annotated[
        bool, typer.Option("--fast-norm", help="Norms ran in the precision of autocast.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, help="At most N models of each table."),
    ] = None,
    rows: Annotated[
        int, typer.Option("--rows", metavar="N", min=10, help="Kernels per operator and device.")
    ] = 600,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of their draw.")] = 0,
    steps: Annotated[
        int, typer.Option("--steps", metavar="N", min=1, help="Of the optimiser, at most.")
    ] = 14,
    ablate: Annotated[
        bool, typer.Option("--ablate/--no-ablate", help="Switch each law off in turn.")
    ] = True,
    folds: Annotated[
        int,
        typer.Option(
            "--folds",
            metavar="N",
            min=0,
            help="Besides, judge each of N parts of the families by a fit to the others.",
        ),
    ] = 0,
    constants: Annotated[
        Path | None,
        typer.Option("--constants", metavar="FILE.json", help="Start from these constants."),
    ] = None,
    no_cache: options.NoCache = False,
    device_folders: options.Folders = None,
    format: options.FormatOption = None,
    output: options.Output = None,
) -> None:
    """Derive the constants of the laws again from measured files; -o FILE.json keeps them."""
    form = chosen_format(format, output)

    from costmodel.measurement.fitting.fit import fit_files, parse_source, read_constants
    from costmodel.measurement.validation.request import Request
    from costmodel.reports.accuracy.fit import fit_report
    from costmodel.roofline.constants import DEFAULT

    start = DEFAULT if constants is None else read_constants(constants)
    found = fit_files(
        [parse_source(text) for text in on],
        [parse_source(text) for text in hold_out or ()],
        trace_source,
        request=Request(fast_norm=fast_norm, limit=limit, constants=start),
        names=options.listed(names) or None,
        rows=rows,
        seed=seed,
        evaluations=steps,
        ablate=ablate,
        folds=folds,
        track=track,
    )
    emit(fit_report(found, start), form, output)
