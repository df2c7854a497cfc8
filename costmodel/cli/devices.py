"""`costmodel devices`: list, show, compare, new, validate, schema."""

import re
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from costmodel.cli import loading, options
from costmodel.cli.output import chosen_format, emit, save
from costmodel.errors import UsageError

INVALID = 2
FIRST_YEAR, LAST_YEAR = 1990, 2100
"""What the schema of profiles allows."""

app = typer.Typer(help="List, show, compare, add and check device profiles.", rich_markup_mode=None)

Names = Annotated[
    list[str], typer.Argument(metavar="DEVICE...", help="Names, aliases or YAML files.")
]


@app.command("list")
def list_(
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="gpu, cpu, npu, tpu or mcu only.")
    ] = None,
    vendor: Annotated[
        str | None, typer.Option("--vendor", metavar="VENDOR", help="Of this vendor only.")
    ] = None,
    year: Annotated[
        str | None, typer.Option("--year", metavar="YEAR", help="Of 2020, or of 2018:2022, only.")
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--columns", metavar="A,B", help="Columns to show: name,vendor,year,..."),
    ] = None,
    device_folders: options.Folders = None,
    format: options.FormatOption = None,
    output: options.Output = None,
) -> None:
    """List all devices with their peaks, bandwidth and ridge point."""
    form = chosen_format(format, output)
    from costmodel.hardware import list_devices
    from costmodel.reports.devices import catalogue_report

    found = list_devices()
    kinds = _one_of("--kind", kind, {profile.kind for profile in found})
    vendors = _one_of("--vendor", vendor, {profile.vendor for profile in found})
    first, last = _years(year)
    chosen = [
        p for p in found if p.kind in kinds and p.vendor in vendors and first <= p.year <= last
    ]
    emit(catalogue_report(chosen, options.listed(columns) or None), form, output)


def _one_of(option: str, wanted: str | None, known: Collection[str]) -> Collection[str]:
    """The names that an option lets through, in any case; all if it was not given."""
    if wanted is None:
        return known
    found = [name for name in known if name.lower() == wanted.strip().lower()]
    if not found:
        raise UsageError(f"{option} {wanted!r}: expected {', '.join(sorted(known))}")
    return found


def _years(text: str | None) -> tuple[int, int]:
    """First and last year of "2020", "2018:2022", "2018:" or ":2022"."""
    if text is None:
        return FIRST_YEAR, LAST_YEAR
    match = re.fullmatch(r"(\d{4})|(\d{4})?:(\d{4})?", text.strip())
    if match is None or not any(match.groups()):
        raise UsageError(f"--year {text!r}: expected a year or a range, as 2020 or 2018:2022")
    only, first, last = match.groups()
    span = int(only or first or FIRST_YEAR), int(only or last or LAST_YEAR)
    if span[0] > span[1]:
        raise UsageError(f"--year {text!r}: the range ends before it begins")
    return span


@app.command("show")
def show(
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="Name, alias or YAML file.")],
    device_folders: options.Folders = None,
    format: options.FormatOption = None,
    output: options.Output = None,
) -> None:
    """Show one device: every number and where it comes from, and its roofline in a terminal."""
    form = chosen_format(format, output)
    from costmodel.hardware import load_device
    from costmodel.reports.devices import device_report

    profile = load_device(device)
    emit(device_report(profile), form, output)
    if form is options.Format.TABLE and output is None:
        from costmodel.reports.report import console_for
        from costmodel.reports.roofline.device import device_chart

        console = console_for()
        sys.stdout.write(device_chart(profile, console.is_terminal and not console.no_color))


@app.command("compare")
def compare(
    devices: Names,
    device_folders: options.Folders = None,
    format: options.FormatOption = None,
    output: options.Output = None,
) -> None:
    """Show devices side by side, relative to the first."""
    form = chosen_format(format, output)
    from costmodel.reports.devices import comparison_report

    emit(comparison_report([t.profile for t in loading.load_targets(devices)]), form, output)


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Marketing name in full.")],
    output: options.Output = None,
) -> None:
    """Write a profile to fill in."""
    from costmodel.hardware import new_profile_text
    from costmodel.hardware.catalogue import SUFFIX

    text = new_profile_text(name)
    if output is None:
        sys.stdout.write(text)
        return
    if Path(output).suffix != SUFFIX:
        raise UsageError(f"{output}: a profile is YAML; choose a name that ends in {SUFFIX}")
    if Path(output).exists():
        raise UsageError(f"{output} exists already; choose another name")
    save(output, text)


@app.command("validate")
def validate(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE...", help="YAML files; the whole catalogue if none is named."),
    ] = None,
    device_folders: options.Folders = None,
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
