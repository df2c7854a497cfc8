"""Options that several commands share, and how their text is read."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

from costmodel.counts import check_count
from costmodel.errors import UsageError


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


def _without_cache(context: typer.Context, no_cache: bool) -> bool:
    if no_cache:
        from costmodel.tracing.cache import without_cache

        context.with_resource(without_cache())
    return no_cache


NoCache = Annotated[
    bool,
    typer.Option(
        "--no-cache", callback=_without_cache, is_eager=True,
        help="Trace anew, and keep nothing.",
    ),
]  # fmt: skip
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
    """A number as `check_count` wants it.

    Raises:
        UsageError: for anything else.
    """
    try:
        number = int(text)
    except ValueError:
        raise UsageError(f"{what} {text!r}: expected a whole number") from None
    return check_count(what, number)


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
