"""Devices x batches x precisions in one call: arrays, and the estimates they hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from costmodel.counts import check_count
from costmodel.errors import UsageError
from costmodel.estimation.predictions import Predictions, predictions
from costmodel.estimation.prepared import workload_for
from costmodel.estimation.result import Estimate
from costmodel.estimation.targets import resolve_target
from costmodel.graph import Graph
from costmodel.hardware import DeviceProfile
from costmodel.roofline.ceilings import Target
from costmodel.roofline.constants import DEFAULT, Constants
from costmodel.roofline.engine import ALL_LAWS, enabled_laws
from costmodel.roofline.precision import get_precision
from costmodel.roofline.workload import Workload


@dataclass(frozen=True)
class Sweep(Predictions, Sequence[Estimate]):
    """Estimates over devices x batches x precisions, computed together as arrays.

    Indexing gives single estimates in that order; `latency` gives all at once.
    """

    workload: Workload
    graph: Graph
    as_judged: bool = True
    """Whether it was made with all laws and their own constants."""

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
    found = predictions(workload, targets, sizes, policies, laws, constants)
    as_judged = laws == ALL_LAWS and (constants is DEFAULT or constants == DEFAULT)
    return Sweep(workload, targets, sizes, policies, found.times, found.notes, graph, as_judged)


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
