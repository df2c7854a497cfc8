"""The commands, and what happens when one fails."""

import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer

from costmodel.cli import (
    cache,
    calibrate,
    compare,
    compare_ops,
    devices,
    explain,
    fit,
    measure,
    predict,
    report,
    reproduce,
    roofline,
    search,
    serve,
    summary,
    sweep,
    timeline,
    validate,
)
from costmodel.cli.output import Interrupted
from costmodel.errors import CostModelError, SpecError

USAGE_ERROR = 2
BUG = 70
INTERRUPTED = 130

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
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("timeline")(timeline.timeline)
app.command("compare-ops")(compare_ops.compare_ops)
app.command("search")(search.search)
app.command("sweep")(sweep.sweep)
app.command("serve")(serve.serve)
app.command("explain")(explain.explain)
app.command("reproduce")(reproduce.reproduce)
app.command("validate")(validate.validate)
app.command("fit")(fit.fit)
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
    _tolerate_any_text()
    try:
        result = app(words or ["--help"], prog_name="costmodel", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
        if result == INTERRUPTED:  # typer's answer to Ctrl-C
            print("interrupted", file=sys.stderr)
        return int(result or 0)
    except SpecError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return USAGE_ERROR
    except CostModelError as error:
        return _refuse(str(error))
    except (Interrupted, typer.Abort, KeyboardInterrupt) as error:
        print(f"interrupted{f': {error}' if str(error) else ''}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `costmodel ... | head`
        _give_up_stdout()
        return 0
    except SystemExit as error:
        if not isinstance(error.__context__, BrokenPipeError):  # as typer answers one
            raise
        _give_up_stdout()
        return 0
    except OSError as error:  # a full disk behind `> FILE`, a folder that went away
        _give_up_stdout()
        where = f"{error.filename}: " if error.filename else ""
        return _refuse(f"{where}{error.strerror or error}")
    except MemoryError:
        return _refuse("out of memory; ask for fewer devices, batch sizes or channels at once")
    except Exception as error:
        # Errors of click's parser; typer carries its own copy of click, so their class moves.
        if hasattr(error, "format_message"):
            return _refuse(error.format_message(), _help_hint(error))
        import traceback

        traceback.print_exc()
        print("error: this is a bug in costmodel; please report it", file=sys.stderr)
        return BUG


def _refuse(text: str, hint: str = "") -> int:
    print(f"error: {_one_line(text)}{hint}", file=sys.stderr)
    return USAGE_ERROR


def _tolerate_any_text() -> None:
    """Names may hold what a terminal's encoding lacks; that is no reason to fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _give_up_stdout() -> None:
    """Send what is still buffered nowhere, so that the interpreter's last flush does not fail."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _one_line(text: str) -> str:
    words = " ".join(text.split())
    return "".join(sign if sign.isprintable() else "?" for sign in words)


def _help_hint(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "costmodel"
    return f" (see `{command} --help`)"
