"""One graph on one device at one batch and precision: what an estimate tells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from costmodel.energy import Energy, energy_of
from costmodel.estimation.prepared import memory_for
from costmodel.formulas.cost import Cost
from costmodel.graph import DTYPE_BYTES, PHASES, Graph
from costmodel.memory import Memory
from costmodel.roofline.ceilings import Target
from costmodel.roofline.engine import BOUNDS, Times
from costmodel.roofline.interval import Interval, latency_interval
from costmodel.roofline.operators import operator_columns
from costmodel.roofline.precision import Precision
from costmodel.roofline.workload import Workload

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
    times: Times
    """(rows,) of every row of the workload."""
    notes: tuple[str, ...] = ()
    as_judged: bool = True
    """Whether it was made with all laws and their own constants, which intervals are for."""

    @property
    def device(self) -> str:
        """Label of the device."""
        return self.target.label

    @property
    def row_times(self) -> Array:
        """(rows,) seconds."""
        return self.times.total

    @property
    def row_bounds(self) -> Array:
        """(rows,) codes into `BOUNDS`."""
        return self.times.bound

    @cached_property
    def memory(self) -> Memory:
        """What is in use at the moment of the peak, in bytes."""
        return memory_for(self.graph).at(self.batch, DTYPE_BYTES[self.precision.storage])

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
            self.target.profile.vendor,
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
        return memory_for(self.graph).largest_batch(self.capacity, width)

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
        from costmodel.reports.roofline.figure import roofline_figure

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
