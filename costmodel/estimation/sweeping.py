"""Devices x batches x precisions in one call: arrays, and the estimates they hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from costmodel.counts import check_count
from costmodel.energy import energies_of
from costmodel.errors import UsageError
from costmodel.estimation.prepared import workload_for
from costmodel.estimation.result import Estimate
from costmodel.estimation.targets import resolve_target
from costmodel.graph import Graph
from costmodel.hardware import DeviceProfile
from costmodel.roofline.ceilings import Ceilings, Target, ceilings, why_unable
from costmodel.roofline.constants import DEFAULT, Constants
from costmodel.roofline.device_columns import device_columns
from costmodel.roofline.engine import ALL_LAWS, BOUNDS, Times, enabled_laws, operator_times
from costmodel.roofline.operators import compute_dtypes, operator_columns
from costmodel.roofline.precision import Precision, get_precision
from costmodel.roofline.workload import Workload

Array = np.ndarray


@dataclass(frozen=True)
class Sweep(Sequence[Estimate]):
    """Estimates over devices x batches x precisions, computed together as arrays.

    Indexing gives single estimates in that order; `latency` gives all at once.
    """

    graph: Graph
    workload: Workload
    targets: tuple[Target, ...]
    batches: tuple[int, ...]
    precisions: tuple[Precision, ...]
    times: tuple[Times, ...]
    """Per precision: (devices, batches, rows)."""
    notes: tuple[tuple[tuple[str, ...], ...], ...]
    as_judged: bool = True
    """Whether it was made with all laws and their own constants."""

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

    def at(self, device: int, batch: int, precision: int) -> Estimate:
        """The estimate at one index of each axis."""
        return Estimate(
            graph=self.graph,
            target=self.targets[device],
            batch=self.batches[batch],
            precision=self.precisions[precision],
            workload=self.workload,
            times=self.times[precision].at(device, batch),
            notes=self.notes[precision][device],
            as_judged=self.as_judged,
        )

    def __len__(self) -> int:
        return len(self.targets) * len(self.batches) * len(self.precisions)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        rest, precision = divmod(index % len(self), len(self.precisions))
        device, batch = divmod(rest, len(self.batches))
        return self.at(device, batch, precision)

    def __iter__(self) -> Iterator[Estimate]:
        return (self[i] for i in range(len(self)))

    def _repr_html_(self) -> str:
        from costmodel.reports.display import sweep_html

        return sweep_html(self)


def sweep(
    graph: Graph,
    devices: Sequence[str | DeviceProfile | Target],
    batches: Sequence[int] | None = None,
    precisions: Sequence[str] = ("fp32",),
    *,
    threads: int | None = None,
    strict: bool = False,
    without: Sequence[str] = (),
    constants: Constants = DEFAULT,
) -> Sweep:
    """Predict one graph on all devices x batches x precisions in one call.

    Args:
        graph: a traced model.
        devices: names ("v100-sxm2", "epyc-73f3@1" for one core), paths of YAML files, or profiles.
        batches: batch sizes; by default the traced one.
        precisions: names of `costmodel.roofline.precision.PRECISIONS`.
        threads: cores of a CPU to use, unless the device's name says so.
        strict: raise if an operator has no formula.
        without: efficiency laws to switch off, by name; ["all"] leaves the plain roofline.
        constants: of the laws.

    Raises:
        UnknownNameError: for an unknown device, precision or law.
        UsageError: for a batch that is no count, a graph without operators, an incomplete profile.
        UncoveredOperatorError: in strict mode.
    """
    sizes = tuple(batches) if batches is not None else (graph.batch,)
    for size in sizes:
        check_count("batch", size)
    if not graph.ops:
        raise UsageError(f"{graph.name}: no operator ran, so there is nothing to estimate")
    workload, laws = workload_for(graph), enabled_laws(without)
    if strict:
        workload.columns.require_coverage()
    targets = tuple(resolve_target(device, threads) for device in devices)
    policies = tuple(get_precision(name) for name in precisions)
    rows, counts = device_columns(targets), np.array(sizes, dtype=float)
    times, notes = [], []
    for policy in policies:
        operators = operator_columns(workload, counts, policy)
        limits: Ceilings = ceilings(targets, operators.dtypes)
        times.append(operator_times(operators, limits, rows, laws, constants))
        notes.append(limits.notes)
    as_judged = laws == ALL_LAWS and (constants is DEFAULT or constants == DEFAULT)
    return Sweep(graph, workload, targets, sizes, policies, tuple(times), tuple(notes), as_judged)


def unable_targets(
    graph: Graph, targets: Iterable[Target], precisions: Iterable[str]
) -> dict[Target, str]:
    """Devices that cannot run a graph in one of these precisions, and why.

    Args:
        graph: a traced model.
        targets: devices.
        precisions: names of `costmodel.roofline.precision.PRECISIONS`.
    """
    workload, policies = workload_for(graph), map(get_precision, precisions)
    needed = [dtype for policy in policies for dtype in compute_dtypes(workload, policy)]
    dtypes = tuple(dict.fromkeys(needed))
    return {target: why for target in targets if (why := why_unable(target, dtypes))}


def estimate(
    graph: Graph,
    device: str | DeviceProfile | Target,
    batch: int | None = None,
    precision: str = "fp32",
    **options: Any,
) -> Estimate:
    """Predict one graph on one device; `sweep` does many at once and documents the options."""
    batches = None if batch is None else (batch,)
    return sweep(graph, (device,), batches, (precision,), **options).at(0, 0, 0)
