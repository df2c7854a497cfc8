"""Cases: the rows of one operator on one device, ready to be predicted and scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from costmodel.hardware import load_device
from costmodel.measurement.tables.kernels import KernelTable
from costmodel.measurement.validation.kernel_prediction import measured_dispatch, predicted_latency
from costmodel.roofline.ceilings import Target
from costmodel.roofline.constants import Constants
from costmodel.roofline.device_columns import DeviceColumns, device_columns

Array = np.ndarray


class Case(NamedTuple):
    """Rows of one operator on one device."""

    operator: str
    device_name: str
    device: DeviceColumns
    """Of one device, expanded to (1, 1)."""
    table: KernelTable
    dispatch: float
    """Seconds of the host per operator in this run."""


def kernel_cases(
    tables: Mapping[str, KernelTable], rows: int | None = None, seed: int = 0
) -> list[Case]:
    """Split tables by device; at most `rows` rows each, drawn without replacement.

    The host's time per operator is read from the smallest kernels of the whole table: it belongs
    to the machine around the GPU and is a condition of the run, not of the device.

    Raises:
        UnknownNameError: if a device has no profile.
    """
    generator = np.random.default_rng(seed)
    cases = []
    for operator, table in tables.items():
        for name in table.devices:
            device = device_columns([Target(load_device(name))]).expand()
            part = table.of_device(name)
            dispatch = measured_dispatch(part)
            if rows is not None and rows < len(part):
                part = part.take(generator.choice(len(part), rows, replace=False))
            cases.append(Case(operator, name, device, part, dispatch))
    return cases


def predict(case: Case, constants: Constants) -> Array:
    """Seconds of every row of a case."""
    return predicted_latency(case.operator, case.table.sizes, case.device, case.dispatch, constants)
