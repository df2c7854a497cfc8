"""`costmodel measure`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from costmodel.cli import options
from costmodel.cli.output import Interrupted
from costmodel.errors import UsageError

if TYPE_CHECKING:
    from costmodel.measurement.tables.records import Record

FAILED = 1


def measure(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL...",
            help="zoo:NAME, timm:NAME, torchvision:NAME, FILE.py:factory, or an operator such as "
            "'op:conv2d n=1,8 c_in=64 c_out=64 h=56'.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE.jsonl", help="Lines are added to it."),
    ] = None,
    batch: options.Batches = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(
            "--precision",
            "-p",
            metavar="P",
            help="fp32, tf32, bf16, fp16, amp-fp16 or amp-bf16; repeat.",
        ),
    ] = None,
    layout: Annotated[str, typer.Option("--layout", metavar="L", help="nchw or nhwc.")] = "nchw",
    execution: Annotated[
        list[str] | None,
        typer.Option("--execution", metavar="E", help="eager or compiled; repeat."),
    ] = None,
    compiled: Annotated[
        bool, typer.Option("--compiled", help="Same as --execution compiled.")
    ] = False,
    fast_norm: Annotated[
        bool, typer.Option("--fast-norm", help="timm's norms in the precision of autocast.")
    ] = False,
    device: Annotated[str, typer.Option("--device", metavar="D", help="cpu or cuda.")] = "cpu",
    threads: Annotated[
        list[str] | None,
        typer.Option("--threads", metavar="N", help="CPU threads, by default all cores; repeat."),
    ] = None,
    input_shape: options.InputShape = None,
    grid: Annotated[
        Path | None,
        typer.Option("--grid", metavar="FILE.yaml", help="Operators to measure over their sizes."),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            "--tolerance",
            metavar="PERCENT",
            help="Run until the median's 95 % interval is within this.",
        ),
    ] = 2.0,
    max_seconds: Annotated[
        float, typer.Option("--max-seconds", metavar="S", help="Per measurement, at most.")
    ] = 30.0,
    trust: options.Trust = False,
) -> None:
    """Time models and operators here; what the file holds already is not measured again."""
    from costmodel.measurement.measuring.jobs import Failure, jobs, read_grid, remaining
    from costmodel.measurement.measuring.jobs import measure as run
    from costmodel.measurement.measuring.timing import Plan
    from costmodel.measurement.tables.conditions import RunConditions

    sources = [*(models or ()), *(read_grid(grid) if grid else ())]
    if not sources:
        raise UsageError("nothing to measure: name a model or an operator, or give --grid")
    if output is None:
        raise UsageError("no file to add to: give -o FILE.jsonl")
    executions = list(dict.fromkeys([*options.listed(execution), *["compiled"] * compiled]))
    for word in executions:
        if word not in ("eager", "compiled"):
            raise UsageError(f"execution {word!r}: expected eager or compiled")
    conditions = [
        RunConditions(policy, layout, word == "compiled", fast_norm)
        for policy in options.listed(precision) or ["fp32"]
        for word in executions or ["eager"]
    ]
    plan = Plan(tolerance=tolerance / 100, max_seconds=max_seconds)
    counts: list[int | None] = [*options.whole_numbers("threads", threads)] or [None]

    from costmodel.measurement.measuring.machine import busy, describe
    from costmodel.measurement.measuring.runner import check_conditions, check_device

    machine = describe(check_device(device))
    for way in conditions:
        check_conditions(way, device)
    wanted = jobs(
        sources,
        options.batch_sizes(batch) or [1],
        conditions,
        device,
        counts,
        options.sample_shape(input_shape),
    )
    left = remaining(output, wanted, machine)
    if device == "cpu" and left and (warning := busy()) is not None:
        typer.echo(f"warning: {warning}", err=True)
    failures = unsure = seen = 0
    try:
        with _bar(len(left)) as advance, redirect_stdout(sys.stderr):
            for found in run(left, output, machine, plan):
                seen += 1
                if isinstance(found, Failure):
                    failures += 1
                    advance(f"failed: {found.job.source}, batch {found.job.batch}: {found.reason}")
                else:
                    unsure += not found.confident
                    advance(_line(found))
    except KeyboardInterrupt:
        raise Interrupted(
            f"measured {seen - failures} of {len(left)}, which are in {output}; the same command "
            "measures the rest"
        ) from None
    done = len(left) - failures
    words = [f"measured {done}", f"{len(wanted) - len(left)} were there already"]
    if unsure:
        words.append(f"{unsure} less surely than asked for")
    if failures:
        words.append(f"{failures} failed")
    print(f"{', '.join(words)}; see {output}", file=sys.stderr)
    if failures:
        raise typer.Exit(FAILED)


def _line(found: Record) -> str:
    from costmodel.units import format_time

    way = f"batch {found.batch}, {found.precision}, {found.layout}, {found.execution}"
    sure = "" if found.confident else " (less surely than asked for)"
    return f"{found.source}, {way}: {format_time(found.seconds)}{sure}"


class _bar:  # noqa: N801
    """A progress bar on stderr if that is a terminal; what happened is a line in any case."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self.console = Console(stderr=True, highlight=False)
        self.progress = Progress(
            console=self.console, disable=not self.console.is_terminal, transient=True
        )
        self.task = self.progress.add_task("measuring", total=total)

    def __enter__(self) -> _bar:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def __call__(self, line: str) -> None:
        self.progress.advance(self.task)
        self.console.print(line, markup=False, soft_wrap=True)
