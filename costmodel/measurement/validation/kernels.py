"""Kernel tables judged: operators that were timed one by one, in float32."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from costmodel.errors import UsageError
from costmodel.hardware.catalogue import is_called
from costmodel.measurement.tables.kernels import KernelTable, read_kernels
from costmodel.measurement.validation.judging import refuse_device
from costmodel.measurement.validation.kernel_prediction import measured_dispatch, predicted_latency
from costmodel.measurement.validation.matching import GraphSource, choose
from costmodel.measurement.validation.request import Request, Track
from costmodel.measurement.validation.validation import Validation, merged
from costmodel.roofline.ceilings import Target
from costmodel.roofline.device_columns import device_columns


def validate_kernels(
    path: Path, target: Target, request: Request, load: GraphSource, track: Track
) -> Validation:
    """Judge by one table, or by all of a folder; nothing is traced."""
    asked = {
        "--without": request.without, "--few-shot": request.few_shot,
        "--compiled": request.compiled, "--fast-norm": request.fast_norm,
        "--layout": request.layout,
    }  # fmt: skip
    for option, value in asked.items():
        if value:
            raise UsageError(f"{option}: does not apply to kernel tables, which run one by one")
    if request.precision not in (None, "fp32"):
        raise UsageError(f"precision {request.precision!r}: kernel tables are measured in fp32")
    files = sorted([*path.glob("*.csv"), *path.glob("*.csv.gz")]) if path.is_dir() else [path]
    if not files:
        raise UsageError(f"{path}: no kernel tables (*.csv or *.csv.gz) in this folder")
    parts: list[Validation | None] = []
    others: list[str] = []
    for file in track(files, len(files)):
        table = read_kernels(file)
        rows = table.take(np.array([is_called(target.profile, name) for name in table.device]))
        if len(rows):
            parts.append(_judge(file, rows, target, request))
        else:
            others += table.devices
    kept = [part for part in parts if part is not None]
    if not kept:
        refuse_device(path, target, others, bool(parts), request)
    return replace(merged(kept), against=path.name)


def _judge(path: Path, table: KernelTable, target: Target, request: Request) -> Validation | None:
    device = device_columns((target,)).expand()
    dispatch = measured_dispatch(table)
    names = [
        " ".join([table.operator, *(f"{k}={v[i]:g}" for k, v in table.sizes.items())])
        for i in range(len(table))
    ]
    try:
        chosen = choose(range(len(table)), lambda i: names[i], request.models, request.limit)
    except UsageError:
        return None
    judged = table.take(np.array(chosen))
    predicted = predicted_latency(table.operator, judged.sizes, device, dispatch, request.constants)
    return Validation(
        against=path.name,
        device=target.label,
        conditions="fp32, kernels run one by one",
        group_word="operator",
        names=tuple(names[i] for i in chosen),
        groups=(table.operator,) * len(chosen),
        measured=judged.latency,
        predicted=predicted,
        notes=(
            f"{table.operator}: the host's {dispatch * 1e6:.1f} us per operator are read from the "
            "smallest kernels of the table",
        ),
    )
