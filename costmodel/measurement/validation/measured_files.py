"""Reads any measured file and judges the estimates by it: `validate_file`.

Four kinds are told apart by their first line: timm's benchmark tables (CSV with `model` and
`infer_step_time`), kernel tables (CSV or CSV.gz with `opname`; or a folder of them), tables of
transformer steps (CSV with `device`, `model`, `seq_len`, beside a folder `configs`), and this
project's own measurements (JSON lines).
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from costmodel.errors import UsageError
from costmodel.measurement.tables.csv_files import header_of
from costmodel.measurement.tables.timm import is_timm_table
from costmodel.measurement.validation.kernels import validate_kernels
from costmodel.measurement.validation.matching import GraphSource
from costmodel.measurement.validation.records import validate_records
from costmodel.measurement.validation.request import Request, Track, untracked
from costmodel.measurement.validation.timm import validate_timm
from costmodel.measurement.validation.transformers import validate_transformers
from costmodel.measurement.validation.validation import Validation
from costmodel.roofline.ceilings import Target

Reader = Callable[[Path, Target, Request, GraphSource, Track], Validation]

_READERS: dict[str, Reader] = {
    "timm": validate_timm,
    "kernels": validate_kernels,
    "transformers": validate_transformers,
    "records": validate_records,
}


def validate_file(
    path: Path,
    target: Target,
    request: Request,
    load: GraphSource,
    track: Track = untracked,
) -> Validation:
    """Judge the estimates for a device by a measured file.

    Args:
        path: of the file, or a folder of kernel tables.
        target: the device that was measured, or a part of a CPU.
        request: what to judge, and how.
        load: traces a model by its source string, `cached_graph` for example.
        track: shows progress over the rows.

    Raises:
        UsageError: if the file is missing, of no known kind or broken, has no rows for the
            device or the request, or the request makes no sense for its kind.
        UnknownNameError: for an unknown precision or law.
    """
    reader = _READERS[file_kind(path)]
    return reader(path, target, request, load, track)


def file_kind(path: Path) -> str:
    """ "timm", "kernels", "transformers" or "records".

    Raises:
        UsageError: if it is none of these.
    """
    if path.is_dir():
        return "kernels"
    first = header_of(path)
    if first.lstrip().startswith("{"):
        return "records"
    try:
        header = next(csv.reader([first]), [])
    except csv.Error as error:
        raise UsageError(f"{path}:1: cannot be read: {error}") from error
    if is_timm_table(header):
        return "timm"
    if "opname" in header:
        return "kernels"
    if {"device", "model", "seq_len"} <= set(header):
        return "transformers"
    raise UsageError(
        f"{path}: no measured file: expected a timm benchmark CSV, a kernel or transformer table, "
        "or JSON lines of `costmodel measure`"
    )
