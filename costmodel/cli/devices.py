"""`costmodel devices`: list, show, compare, new, validate, schema."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from costmodel.cli import options
from costmodel.cli.output import chosen_format, emit, save
from costmodel.errors import UsageError

INVALID = 2

app = typer.Typer(help="List, show, compare, add and check device profiles.", rich_markup_mode=None)

Names = Annotated[
    list[str], typer.Argument(metavar="DEVICE...", help="Names, aliases or YAML files.")
]


@app.command("list")
def list_(
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="gpu, cpu, npu, tpu or mcu only.")
    ] = None,
    format: options.FormatOption = None,
    output: options.Output = None,
) -> None:
    """List all devices with their peaks, bandwidth and ridge point."""
    form = chosen_format(format, output)
    from costmodel.hardware import list_devices
    from costmodel.reports.devices import catalogue_report

    found = list_devices()
    kinds = sorted({profile.kind for profile in found})
    if kind is not None and kind not in kinds:
        raise UsageError(f"--kind {kind!r}: expected {', '.join(kinds)}")
    emit(catalogue_report([p for p in found if kind in (None, p.kind)]), form, output)


@app.command("show")
def show(
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="Name, alias or YAML file.")],
    format: options.FormatOption = None,
    output: options.Output = None,
) -> None:
    """Show one device: every number and where it comes from."""
    form = chosen_format(format, output)
    from costmodel.hardware import load_device
    from costmodel.reports.devices import device_report

    emit(device_report(load_device(device)), form, output)


@app.command("compare")
def compare(
    devices: Names, format: options.FormatOption = None, output: options.Output = None
) -> None:
    """Show devices side by side, relative to the first."""
    form = chosen_format(format, output)
    from costmodel.reports.devices import comparison_report

    emit(comparison_report([t.profile for t in options.load_targets(devices)]), form, output)


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Marketing name in full.")],
    output: options.Output = None,
) -> None:
    """Write a profile to fill in."""
    from costmodel.hardware import new_profile_text

    text = new_profile_text(name)
    if output is None:
        sys.stdout.write(text)
        return
    if Path(output).exists():
        raise UsageError(f"{output} exists already; choose another name")
    save(output, text)


@app.command("validate")
def validate(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE...", help="YAML files; the whole catalogue if none is named."),
    ] = None,
    format: options.FormatOption = None,
    output: options.Output = None,
) -> None:
    """Check profiles; each problem is one line on stderr: file:line:column path: expected ..."""
    form = chosen_format(format, output)
    from costmodel.hardware import validate_file
    from costmodel.hardware.catalogue import device_files
    from costmodel.reports.devices import validation_report

    for file in files or ():
        if not file.is_file():
            raise UsageError(f"{file}: no such file")
    problems = {file: validate_file(file) for file in files or device_files().values()}
    for found in problems.values():
        for problem in found:
            typer.echo(problem, err=True)
    emit(validation_report(problems), form, output)
    if any(problems.values()):
        raise typer.Exit(INVALID)


@app.command("schema")
def schema(output: options.Output = None) -> None:
    """Write the JSON Schema of profiles, for completion and checks in an editor."""
    from costmodel.hardware.json_schema import schema_text

    if output is None:
        sys.stdout.write(schema_text())
    else:
        save(output, schema_text())
