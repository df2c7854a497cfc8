"""`costmodel calibrate`."""

from pathlib import Path
from typing import Annotated

import typer

from costmodel.cli import loading
from costmodel.cli.output import require_folder, save
from costmodel.errors import UsageError


def calibrate(
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.yaml",
            help="The profile; its name is the device's id, lower case with hyphens.",
        ),
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="D", help="cpu or cuda.")] = "cpu",
    force: Annotated[bool, typer.Option("--force", help="Write over a file that exists.")] = False,
) -> None:
    """Measure this machine's peaks, bandwidths and overheads, and write its device profile."""
    if output is None:
        raise UsageError("no file to write to: give -o FILE.yaml")
    if output.suffix not in (".yaml", ".yml"):
        raise UsageError(f"{output}: a profile is a .yaml file")
    if output.exists() and not force:
        raise UsageError(f"{output} exists already; choose another name or add --force")
    require_folder(str(output))
    from costmodel.measurement.measuring import calibrated_profile, calibration, machine

    calibrated_profile.check_id(output.stem)
    if (warning := machine.busy()) is not None:
        typer.echo(f"warning: {warning}", err=True)
    with loading.progress("calibrating") as status:
        found = calibration.calibrate(device, say=lambda what: status.update(f"timing {what}"))
    save(str(output), calibrated_profile.profile_text(found, output.stem))
