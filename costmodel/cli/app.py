"""The commands, and what happens when one fails."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from costmodel.cli import (
    cache,
    calibrate,
    compare_ops,
    devices,
    explain,
    measure,
    predict,
    reproduce,
    roofline,
    summary,
    validate,
)
from costmodel.errors import CostModelError, SpecError

USAGE_ERROR = 2
BUG = 70

# No rich markup in the help: drawing it takes longer than importing typer and rich together.
app = typer.Typer(
    name="costmodel",
    help="How fast will this network run there, what limits it, and what should I change?",
    epilog="Models: zoo:NAME, timm:NAME, torchvision:NAME or FILE.py:factory. "
    "Devices: see `costmodel devices list`.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("predict")(predict.predict)
app.command("summary")(summary.summary)
app.command("roofline")(roofline.roofline)
app.command("compare-ops")(compare_ops.compare_ops)
app.command("explain")(explain.explain)
app.command("reproduce")(reproduce.reproduce)
app.command("validate")(validate.validate)
app.command("measure")(measure.measure)
app.command("calibrate")(calibrate.calibrate)
app.add_typer(devices.app, name="devices")
app.add_typer(cache.app, name="cache")


def _print_version(wanted: bool) -> None:
    if wanted:
        from costmodel import __version__

        typer.echo(f"costmodel {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code comes back, problems go to stderr in one line each."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result = app(words or ["--help"], prog_name="costmodel", standalone_mode=False)
        sys.stdout.flush()
        return int(result or 0)
    except SpecError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return USAGE_ERROR
    except CostModelError as error:
        print(f"error: {_one_line(str(error))}", file=sys.stderr)
        return USAGE_ERROR
    except BrokenPipeError:  # `costmodel ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except Exception as error:
        # Errors of click's parser; typer carries its own copy of click, so their class moves.
        if hasattr(error, "format_message"):
            print(f"error: {_one_line(error.format_message())}{_help_hint(error)}", file=sys.stderr)
            return USAGE_ERROR
        import traceback

        traceback.print_exc()
        print("error: this is a bug in costmodel; please report it", file=sys.stderr)
        return BUG


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _help_hint(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "costmodel"
    return f" (see `{command} --help`)"
