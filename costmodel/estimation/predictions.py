"""Devices x batches x precisions of one workload as arrays, all worked out together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from costmodel.energy import energies_of
from costmodel.roofline.ceilings import Ceilings, Target, ceilings, why_unable
from costmodel.roofline.constants import DEFAULT, Constants
from costmodel.roofline.device_columns import device_columns
from costmodel.roofline.engine import ALL_LAWS, BOUNDS, Times, operator_times
from costmodel.roofline.operators import Work, compute_dtypes, operator_columns
from costmodel.roofline.precision import Precision, get_precision

Array = np.ndarray


@dataclass(frozen=True)
class Predictions:
    """Times and energies over devices x batches x precisions."""

    workload: Work
    targets: tuple[Target, ...]
    batches: tuple[int, ...]
    precisions: tuple[Precision, ...]
    times: tuple[Times, ...]
    """Per precision: (devices, batches, rows)."""
    notes: tuple[tuple[tuple[str, ...], ...], ...]
    """Per precision and device."""

    @cached_property
    def latency(self) -> Array:
        """(devices, batches, precisions) seconds."""
        counts = self.workload.counts
        return np.stack([times.total @ counts for times in self.times], axis=-1)

    @cached_property
    def bounds(self) -> Array:
        """(devices, batches, precisions) codes into `BOUNDS` of what limits most of the time."""
        counts, codes = self.workload.counts, range(len(BOUNDS))
        shares = [
            [np.where(times.bound == code, times.total, 0.0) @ counts for code in codes]
            for times in self.times
        ]
        return np.asarray(np.argmax(shares, axis=1).transpose(1, 2, 0))

    @cached_property
    def energy(self) -> Array:
        """(devices, batches, precisions) J for the batch, NaN where a device's power is unknown."""
        sizes, counts = np.array(self.batches, dtype=float), self.workload.counts
        found = [
            energies_of(
                operator_columns(self.workload, sizes, policy),
                counts,
                self.latency[..., index],
                self.targets,
            )
            for index, policy in enumerate(self.precisions)
        ]
        return np.stack(found, axis=-1)


def predictions(
    workload: Work,
    targets: Sequence[Target],
    batches: Sequence[int],
    precisions: Sequence[Precision],
    laws: frozenset[str] = ALL_LAWS,
    constants: Constants = DEFAULT,
) -> Predictions:
    """Predict a workload on all devices x batches x precisions.

    Args:
        workload: of a graph, or its outline.
        targets: devices.
        batches: sizes.
        precisions: policies.
        laws: names of the laws to apply.
        constants: of the laws.

    Raises:
        UsageError: for an incomplete profile.
    """
    devices = tuple(targets)
    rows, sizes = device_columns(devices), np.array(batches, dtype=float)
    times, notes = [], []
    for policy in precisions:
        operators = operator_columns(workload, sizes, policy)
        limits: Ceilings = ceilings(devices, operators.dtypes)
        times.append(operator_times(operators, limits, rows, laws, constants))
        notes.append(limits.notes)
    return Predictions(
        workload, devices, tuple(batches), tuple(precisions), tuple(times), tuple(notes)
    )


def unable_targets(
    workload: Work, targets: Iterable[Target], precisions: Iterable[str]
) -> dict[Target, str]:
    """Devices that cannot run a workload in one of these precisions, and why.

    Args:
        workload: of a graph, or its outline.
        targets: devices.
        precisions: names of `costmodel.roofline.precision.PRECISIONS`.
    """
    policies = map(get_precision, precisions)
    needed = [dtype for policy in policies for dtype in compute_dtypes(workload, policy)]
    return _unable(tuple(targets), tuple(dict.fromkeys(needed)))


@lru_cache(maxsize=16)
def _unable(targets: tuple[Target, ...], dtypes: tuple[str, ...]) -> dict[Target, str]:
    return {target: why for target in targets if (why := why_unable(target, dtypes))}
