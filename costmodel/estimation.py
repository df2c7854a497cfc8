"""`estimate`: the waist of the house. A graph and devices go in, an `Estimate` comes out.

An estimate explains itself: time, bound, intensity and achieved share of the ceiling of every
operator; latency, throughput and peak memory of the whole; what was assumed and what was not
covered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

from costmodel.collection import collection_paused
from costmodel.energy import Energy, energy_of
from costmodel.errors import UsageError
from costmodel.formulas.columns import columns_of
from costmodel.formulas.cost import Cost
from costmodel.graph import DTYPE_BYTES, PHASES, Graph
from costmodel.hardware import DeviceProfile, load_device
from costmodel.memory import Memory, MemoryModel, memory_of
from costmodel.roofline.ceilings import Ceilings, Target, ceilings
from costmodel.roofline.constants import DEFAULT, Constants
from costmodel.roofline.device_columns import device_columns
from costmodel.roofline.engine import (
    BOUNDS,
    LAWS,
    Times,
    enabled_laws,
    operator_times,
)
from costmodel.roofline.interval import Interval, latency_interval
from costmodel.roofline.operators import operator_columns
from costmodel.roofline.precision import Precision, get_precision
from costmodel.roofline.workload import Workload, workload_of

Array = np.ndarray


class OperatorEstimate(NamedTuple):
    """One operator of an estimate. Times in seconds, sizes in bytes."""

    name: str
    op: str
    module: str
    kind: str
    macs: float
    flops: float
    bytes_read: float
    bytes_written: float
    intensity: float
    """FLOP per byte."""
    time: float
    bound: str
    achieved_flops: float
    """FLOP/s: flops / time."""
    formula: str


class RowParts(NamedTuple):
    """What the time of every row is joined from; (rows,) seconds each."""

    compute: Array
    memory: Array
    launch: Array
    lanes: Array


@dataclass(frozen=True)
class Uncovered:
    """An operator without a formula, charged its bytes only."""

    op: str
    count: int
    time_share: float


@dataclass(frozen=True)
class Estimate:
    """The prediction for one graph on one device at one batch size and precision."""

    graph: Graph
    target: Target
    batch: int
    precision: Precision
    workload: Workload
    row_times: Array
    """(rows,) seconds."""
    row_bounds: Array
    """(rows,) codes into `BOUNDS`."""
    row_parts: RowParts
    """Whose overlap `row_times` takes into account."""
    memory: Memory
    """What is in use at the moment of the peak, in bytes."""
    notes: tuple[str, ...] = ()
    as_judged: bool = True
    """Whether it was made with all laws and their own constants, which intervals are for."""

    @property
    def device(self) -> str:
        """Label of the device."""
        return self.target.label

    @cached_property
    def row_cost(self) -> Cost:
        """Cost of every row of the workload; arrays are (rows,)."""
        return self.workload.cost(np.array(float(self.batch)), self.precision.storage).cost

    @cached_property
    def total(self) -> Cost:
        """Cost of the whole run; `parameters` is that of the graph, shared ones once."""
        counts = self.workload.counts
        summed = self.row_cost.map(lambda column: float(np.dot(column, counts)))
        values = {name: getattr(summed, name) for name in summed.__slots__}
        return Cost(**{**values, "parameters": self.graph.parameters})

    @cached_property
    def latency(self) -> float:
        """Seconds for the batch."""
        return float(np.dot(self.row_times, self.workload.counts))

    @cached_property
    def interval(self) -> Interval | None:
        """90% interval of the latency; None if a law was off, constants were others, or time 0."""
        if not self.as_judged or not self.latency:
            return None
        return latency_interval(
            self.workload.kinds,
            self.row_bounds == BOUNDS.index("launch"),
            self.row_times * self.workload.counts,
            self.target.profile.kind,
            str(self.graph.conditions.get("execution", "eager")),
            self.policy,
        )

    @property
    def policy(self) -> str:
        """Name of the precision policy: that of autocast if the graph was traced under it."""
        autocast = str(self.graph.conditions.get("autocast"))
        return {"float16": "amp-fp16", "bfloat16": "amp-bf16"}.get(autocast, self.precision.name)

    @property
    def throughput(self) -> float:
        """Samples per second."""
        return self.batch / self.latency

    @cached_property
    def energy(self) -> Energy | None:
        """J for the batch with floor, ceiling and assumptions; None if the power is unknown."""
        batch = np.array([float(self.batch)])
        operators = operator_columns(self.workload, batch, self.precision)
        return energy_of(operators, self.workload.counts, self.latency, self.target)

    @property
    def achieved_flops(self) -> float:
        """FLOP/s over the whole run."""
        return float(self.total.flops) / self.latency

    @property
    def peak_memory(self) -> float:
        """Bytes: weights, live activations and, in training, gradients and optimiser state."""
        return self.memory.total

    @property
    def capacity(self) -> float | None:
        """Bytes of the device's main memory; None if unknown."""
        return self.target.profile.capacity(self.target.profile.main_memory)

    @property
    def fits(self) -> bool | None:
        """Whether peak memory fits the device; None if its capacity is unknown."""
        return None if self.capacity is None else self.peak_memory <= self.capacity

    @cached_property
    def largest_batch(self) -> int | None:
        """The most samples that fit; None if the capacity is unknown or nothing grows."""
        if self.capacity is None:
            return None
        width = DTYPE_BYTES[self.precision.storage]
        return _memory(self.graph).largest_batch(self.capacity, width)

    @cached_property
    def time_by_phase(self) -> dict[str, float]:
        """Seconds of forward, recompute, backward and optimizer; those that a run has."""
        rows, totals = self.workload.row_of_op, dict.fromkeys(PHASES, 0.0)
        for op, row in zip(self.graph.ops, rows, strict=True):
            if row >= 0:
                totals[op.phase] = totals.get(op.phase, 0.0) + float(self.row_times[row])
        return {phase: seconds for phase, seconds in totals.items() if seconds}

    @cached_property
    def time_by_bound(self) -> dict[str, float]:
        """Seconds spent in operators of each bound."""
        times = self.row_times * self.workload.counts
        return {
            name: float(times[self.row_bounds == code].sum()) for code, name in enumerate(BOUNDS)
        }

    @property
    def bound(self) -> str:
        """The bound under which most of the time is spent."""
        return max(self.time_by_bound, key=lambda name: self.time_by_bound[name])

    @cached_property
    def time_by_kind(self) -> dict[str, float]:
        """Seconds by operator kind, largest first."""
        totals: dict[str, float] = {}
        for kind, time, count in zip(
            self.workload.kinds, self.row_times, self.workload.counts, strict=True
        ):
            totals[kind] = totals.get(kind, 0.0) + float(time) * int(count)
        return dict(sorted(totals.items(), key=lambda item: -item[1]))

    @cached_property
    def operators(self) -> tuple[OperatorEstimate, ...]:
        """Every operator in execution order, views left out."""
        cost, names, result = self.row_cost, self.graph.op_names, []
        table = self.workload.columns.table
        for index, op in enumerate(self.graph.ops):
            row = int(self.workload.row_of_op[index])
            if row < 0:
                continue
            entry, time = table[self.workload.base[row]], float(self.row_times[row])
            flops = float(2 * cost.macs[row] + cost.other_flops[row])
            read, written = float(cost.bytes_read[row]), float(cost.bytes_written[row])
            result.append(
                OperatorEstimate(
                    name=names[index],
                    op=op.target,
                    module=op.module,
                    kind=entry.kind,
                    macs=float(cost.macs[row]),
                    flops=flops,
                    bytes_read=read,
                    bytes_written=written,
                    intensity=flops / (read + written) if read + written else 0.0,
                    time=time,
                    bound=BOUNDS[int(self.row_bounds[row])],
                    achieved_flops=flops / time if time else 0.0,
                    formula=entry.binding.formula,
                )
            )
        return tuple(result)

    @cached_property
    def uncovered(self) -> tuple[Uncovered, ...]:
        """Operators without a formula, with their share of the time."""
        found: dict[str, list[float]] = {}
        workload = self.workload
        for kind, target, count, time in zip(
            workload.kinds, workload.targets, workload.counts, self.row_times, strict=True
        ):
            if kind == "uncovered":
                entry = found.setdefault(target, [0, 0.0])
                entry[0] += int(count)
                entry[1] += float(time) * int(count)
        return tuple(
            Uncovered(op, int(count), time / self.latency)
            for op, (count, time) in sorted(found.items())
        )

    def roofline(self) -> Any:
        """The roofline chart as a plotly figure: a dot per operator under the device's ceilings."""
        from costmodel.reports.roofline_figure import roofline_figure

        return roofline_figure([self])

    def to_pandas(self) -> Any:
        """The operators as a pandas DataFrame."""
        import pandas

        return pandas.DataFrame(self.operators)

    def _repr_html_(self) -> str:
        from costmodel.reports.display import estimate_html

        return estimate_html(self)

    def __repr__(self) -> str:
        return (
            f"Estimate({self.graph.name!r} on {self.device}, batch {self.batch}, "
            f"{self.precision.name}: {self.latency * 1e3:.4g} ms, {self.bound} bound)"
        )


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
    def _totals(self) -> tuple[Array, ...]:
        return tuple(times.total for times in self.times)

    @cached_property
    def latency(self) -> Array:
        """(devices, batches, precisions) seconds."""
        counts = self.workload.counts
        return np.stack([total @ counts for total in self._totals], axis=-1)

    def at(self, device: int, batch: int, precision: int) -> Estimate:
        """The estimate at one index of each axis."""
        policy, size = self.precisions[precision], self.batches[batch]
        times, shape = self.times[precision], self._totals[precision].shape
        parts = (np.broadcast_to(getattr(times, name), shape) for name in RowParts._fields)
        return Estimate(
            graph=self.graph,
            target=self.targets[device],
            batch=size,
            precision=policy,
            workload=self.workload,
            row_times=self._totals[precision][device, batch],
            row_bounds=times.bound[device, batch],
            row_parts=RowParts(*(part[device, batch] for part in parts)),
            memory=_memory(self.graph).at(size, DTYPE_BYTES[policy.storage]),
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


@lru_cache(maxsize=64)
def _workload(graph: Graph) -> Workload:
    with collection_paused():
        return workload_of(columns_of(graph))


@lru_cache(maxsize=64)
def _memory(graph: Graph) -> MemoryModel:
    return memory_of(graph)


def resolve_target(device: str | DeviceProfile | Target, threads: int | None = None) -> Target:
    """A target from a profile, a name or path, or "name@threads".

    Raises:
        UnknownNameError: if there is no such device.
        UsageError: if the number of threads makes no sense.
    """
    if isinstance(device, Target):
        return device
    if isinstance(device, DeviceProfile):
        return Target(device, threads)
    name, at, count = device.rpartition("@")
    if not at:
        name = device
    elif not count.isdigit():
        raise UsageError(f"device {device!r}: expected a number of threads after '@'")
    else:
        threads = int(count)
    return Target(load_device(name), threads)


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
        UsageError: for a batch below 1 or an incomplete profile.
        UncoveredOperatorError: in strict mode.
    """
    sizes = tuple(batches) if batches is not None else (graph.batch,)
    for size in sizes:
        if size < 1:
            raise UsageError(f"batch {size}: expected at least 1")
    workload, laws = _workload(graph), enabled_laws(without)
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
    as_judged = laws == frozenset(LAWS) and constants == DEFAULT
    return Sweep(graph, workload, targets, sizes, policies, tuple(times), tuple(notes), as_judged)


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
