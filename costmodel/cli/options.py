"""Options that several commands share, and how their text is read."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from costmodel.errors import TraceError, UsageError

if TYPE_CHECKING:
    from costmodel.estimation import Estimate
    from costmodel.graph import Graph
    from costmodel.roofline.ceilings import Target


class Format(StrEnum):
    """How a result is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MD = "md"


MODEL_HELP = "zoo:NAME, timm:NAME, torchvision:NAME or FILE.py:factory."

Models = Annotated[list[str], typer.Argument(metavar="MODEL...", help=MODEL_HELP)]
Model = Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)]
Devices = Annotated[
    list[str] | None,
    typer.Option(
        "--device", "-d", metavar="DEVICE",
        help="Name, alias or YAML file; repeat for several; `all` for all; NAME@N for N cores.",
    ),
]  # fmt: skip
Batches = Annotated[
    list[str] | None,
    typer.Option("--batch", "-b", metavar="N", help="Batch size; repeat or list 1,16,256."),
]
Precisions = Annotated[
    list[str] | None,
    typer.Option(
        "--precision",
        "-p",
        metavar="P",
        help="fp32, tf32, fp16, bf16, int8, fp64, or amp-fp16 and amp-bf16 for autocast; repeat.",
    ),
]
Threads = Annotated[
    int | None, typer.Option("--threads", metavar="N", help="Cores to use of each CPU.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Fail if an operator has no formula.")]
Compiled = Annotated[
    bool,
    typer.Option("--compiled", help="As torch.compile runs it: pointwise work fused."),
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Trace anew, and keep nothing.")]
InputShape = Annotated[
    str | None,
    typer.Option("--input", "-i", metavar="CxHxW", help="Shape of one sample, as 3x224x224."),
]
Without = Annotated[
    list[str] | None,
    typer.Option(
        "--without", metavar="LAW", help="Switch an efficiency law off; `all`: plain roofline."
    ),
]
FormatOption = Annotated[
    Format | None, typer.Option("--format", "-f", help="How to write the result.")
]
Output = Annotated[
    str | None, typer.Option("--output", "-o", metavar="FILE", help="Write there, in one step.")
]


def _folders_first(context: typer.Context, folders: list[str] | None) -> list[str] | None:
    if folders:
        from costmodel.hardware.catalogue import folders_first

        context.with_resource(folders_first(folders))
    return folders


Folders = Annotated[
    list[str] | None,
    typer.Option(
        "--devices", metavar="DIR", callback=_folders_first, is_eager=True,
        help="Folder whose device profiles come before the catalogue's; repeat for several.",
    ),
]  # fmt: skip


def _trusting(context: typer.Context, trust: bool) -> bool:
    if trust:
        from costmodel.tracing.trust import trusting

        context.with_resource(trusting())
    return trust


def _patience(context: typer.Context, seconds: float | None) -> float | None:
    if seconds is not None:
        from costmodel.tracing.isolated import patience

        context.with_resource(patience(seconds))
    return seconds


Trust = Annotated[
    bool,
    typer.Option(
        "--trust", callback=_trusting, is_eager=True,
        help="Run the code of FILE.py:factory without the note; see COSTMODEL_TRUST.",
    ),
]  # fmt: skip
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout", metavar="SECONDS", callback=_patience, is_eager=True,
        help="Give up tracing FILE.py:factory or hf:FILE.json after that long; by default 600.",
    ),
]  # fmt: skip


def listed(values: Sequence[str] | None) -> list[str]:
    """Values of an option that may be repeated and may hold commas."""
    return [part.strip() for value in values or () for part in value.split(",") if part.strip()]


def whole_numbers(what: str, values: Sequence[str] | None) -> list[int]:
    """Numbers of an option that may be repeated and may hold commas.

    Raises:
        UsageError: for what is not a number of at least 1.
    """
    return [whole_number(what, text) for text in listed(values)]


def whole_number(what: str, text: str) -> int:
    """A number of at least 1.

    Raises:
        UsageError: for anything else.
    """
    try:
        number = int(text)
    except ValueError:
        raise UsageError(f"{what} {text!r}: expected a whole number") from None
    if number < 1:
        raise UsageError(f"{what} {number}: expected at least 1")
    return number


def sample_shape(text: str | None) -> tuple[int, ...] | None:
    """Shape of one sample from "3x224x224".

    Raises:
        UsageError: if it is not sizes joined by x.
    """
    if text is None:
        return None
    parts = text.lower().replace("×", "x").split("x")
    if not all(part.strip().isdigit() for part in parts):
        raise UsageError(f"input shape {text!r}: expected sizes joined by x, such as 3x224x224")
    return tuple(whole_number("input size", part) for part in parts)


def load_models(
    sources: Iterable[str],
    input_shape: str | None = None,
    batch: int = 1,
    *,
    scaled_to: Sequence[int] | None = None,
    compiled: bool = False,
    **conditions: Any,
) -> list[Graph]:
    """Trace models, with progress on stderr; what their code prints goes there too.

    Models that this package builds are traced at a batch of 2 where the graph is to be scaled to
    larger batches: at 1 some copies are views, which they are not in a real batch.

    Raises:
        UsageError: if there is nothing to predict.
    """
    shape, larger = sample_shape(input_shape), max(scaled_to or (1,)) > 1
    graphs = []
    for source in sources:
        ours = source.partition(":")[0] in ("zoo", "timm", "torchvision", "hf")
        with may_run(source), progress(f"tracing {source}"):
            try:
                size = 2 if ours and larger else batch
                graph = trace_source(source, size, shape, **conditions)
            except TraceError as error:
                raise TraceError(f"{error}{_input_hint(source, shape, str(error))}") from error
            if compiled:
                from costmodel.passes.fusion import compiled as as_compiled

                graph = as_compiled(graph)
        if all(op.is_view for op in graph.ops):
            raise UsageError(f"{source}: the model ran no operator that takes time")
        graphs.append(graph)
    return graphs


def _input_hint(source: str, shape: tuple[int, ...] | None, problem: str) -> str:
    """How to say what a model of one's own takes, if it failed on what it was given."""
    filename, _, factory = source.rpartition(":")
    if shape is not None or not filename.endswith(".py") or "forward failed" not in problem:
        return ""
    return (
        f"; if it takes something else, add --input CxHxW, or let {factory} return (module, inputs)"
    )


@contextmanager
def may_run(source: str) -> Iterator[None]:
    """Say that a file of code is about to run, or ask, before a progress bar takes the terminal.

    Raises:
        UsageError: if it must not run (see `costmodel.tracing.trust`).
    """
    from costmodel.tracing.trust import code_file, require_trust, trusting

    path = code_file(source)
    if path is not None:
        require_trust(path)
    with trusting(path is not None):
        yield


def trace_source(
    source: str, batch: int = 1, input_shape: Sequence[int] | None = None, **conditions: Any
) -> Graph:
    """Trace a model; what it prints goes to stderr, and code runs in a process of its own."""
    from costmodel.tracing.isolated import is_isolated, load_isolated

    if is_isolated(source):
        return load_isolated(source, batch, input_shape, **conditions)
    from costmodel.tracing.source import load_graph

    with redirect_stdout(sys.stderr):
        return load_graph(source, batch, input_shape, **conditions)


def progress(message: str) -> Any:
    """A context that shows a message on stderr while it lasts, if stderr is a terminal."""
    from rich.console import Console

    return Console(stderr=True).status(message)


def load_targets(names: Sequence[str] | None, threads: int | None = None) -> list[Target]:
    """Devices by name, `all` for the whole catalogue; `threads` applies to each CPU.

    Raises:
        UsageError: if there is none, or `threads` is given and none is a CPU.
        UnknownNameError: with the nearest names.
    """
    from dataclasses import replace

    from costmodel.estimation import resolve_target
    from costmodel.hardware import list_devices

    if not names:
        raise UsageError("no device: add -d NAME (see `costmodel devices list`) or -d all")
    targets: list[Target] = []
    for name in names:
        wanted: Sequence[Any] = list_devices() if name == "all" else [name]
        targets.extend(resolve_target(device) for device in wanted)
    if threads is not None:
        if all(target.profile.kind != "cpu" for target in targets):
            raise UsageError("--threads: none of the devices is a cpu")
        targets = [
            replace(target, threads=threads)
            if target.profile.kind == "cpu" and target.threads is None
            else target
            for target in targets
        ]
    return list({target.label: target for target in targets}.values())


def batch_sizes(values: Sequence[str] | None) -> list[int] | None:
    """Batch sizes of the command line; None for the one a model is traced at."""
    return whole_numbers("batch", values) or None


def precisions(values: Sequence[str] | None) -> list[str]:
    """Precisions of the command line, float32 by default.

    Raises:
        UnknownNameError: listing the known ones.
    """
    from costmodel.roofline.precision import get_precision

    return [get_precision(name).name for name in listed(values) or ["fp32"]]


def predictions(
    graphs: Iterable[Graph],
    targets: Sequence[Target],
    sizes: Sequence[int] | None,
    policies: Sequence[str],
    *,
    strict: bool,
    without: Sequence[str] | None,
    skip_unable: bool,
) -> list[Estimate]:
    """Estimates of all models on all devices at all batches and precisions.

    Args:
        graphs: traced models.
        targets: devices.
        sizes: batch sizes, None as traced.
        policies: names of precisions.
        strict: whether an operator without a formula is an error.
        without: of the command line, laws to switch off.
        skip_unable: whether a device that cannot compute in a precision is left out, with a line
            on stderr, rather than an error.
    """
    from costmodel.estimation import sweep

    laws = listed(without)
    groups = [[target] for target in targets] if skip_unable else [targets]
    found: list[Estimate] = []
    for graph in graphs:
        for group in groups:
            try:
                found += sweep(graph, group, sizes, policies, strict=strict, without=laws)
            except UsageError as error:
                if not skip_unable:
                    raise
                print(f"left out: {error}", file=sys.stderr)
    if not found:
        raise UsageError("none of the devices can compute this")
    return found
