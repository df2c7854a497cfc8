"""What cells cost: each distinct cell is traced once, and a design is a sum over its cells.

The sum is exact for parameters, multiply-accumulates, bytes and operators. One thing about time is
not a cell's own: weights come from the shared cache if the traffic of the *whole* run fits, so a
cell's time is a function of the design's traffic. `CellTimes` holds that function as Chebyshev
polynomials in the hit rate and states how far they are from the engine: rounding where the laws
are smooth, 1e-6 to 1e-4 of a cell where they take the larger of two times, as on CPUs. One design
alone is always costed exactly, and what a search recommends is traced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from costmodel.energy import EnergyRates, energy_rates, operator_energy
from costmodel.estimation import resolve_target
from costmodel.formulas.columns import columns_of
from costmodel.graph import DTYPE_BYTES, Graph
from costmodel.hardware import DeviceProfile
from costmodel.liveness import Liveness, liveness_of
from costmodel.memory import MemoryModel
from costmodel.roofline.ceilings import Target, ceilings
from costmodel.roofline.device_columns import device_columns
from costmodel.roofline.engine import enabled_laws, operator_times
from costmodel.roofline.operators import OperatorColumns, compute_dtypes, operator_columns, take
from costmodel.roofline.precision import get_precision
from costmodel.roofline.workload import Workload, workload_of
from costmodel.search.chain import NOBODY, chained

if TYPE_CHECKING:
    from costmodel.zoo.families import Cell

Array = np.ndarray

_NONE = np.zeros(0)
_NOTHING = Liveness(_NONE, _NONE, _NONE, _NONE, 1)

DEGREES = (0, 4, 8, 12, 16, 24, 32)
"""Of the polynomials that are tried, one after the other."""
TOLERANCE = 1e-10
"""Relative error of a cell's time at which a polynomial is good enough."""

ADDITIVE = (
    "parameters", "always_held", "macs", "flops", "bytes_read", "bytes_written", "weight_bytes",
    "operators", "traffic",
)  # fmt: skip
"""Columns of cells that add up over a design."""


@dataclass(frozen=True)
class Conditions:
    """How designs are run."""

    batch: int = 1
    precision: str = "fp32"
    without: tuple[str, ...] = ()
    """Laws that are switched off."""

    @property
    def traced_batch(self) -> int:
        """At 1 some copies are views, which they are not in a larger batch."""
        return min(self.batch, 2)


class CellTable:
    """Cells in the order they were asked for, with their costs under one set of conditions."""

    def __init__(self, conditions: Conditions = Conditions()) -> None:
        self.conditions = conditions
        self.precision = get_precision(conditions.precision)
        self._laws = enabled_laws(conditions.without)
        self._index: dict[tuple[Cell, bool], int] = {}
        self._workloads: list[Workload] = []
        self._dtypes: tuple[str, ...] = ()
        self._operators: OperatorColumns | None = None
        self._pairs = np.zeros((3, 0), dtype=np.int64)  # cell, row, count
        self.costs = {name: np.zeros(0) for name in (*ADDITIVE, "activations")}
        """(cells,) by column: sums over a cell's operators, but `activations`, the most bytes that
        are alive while one of them runs, and `always_held`: weights, and what the cell keeps from
        run to run."""

    def __len__(self) -> int:
        return len(self._index)

    def index(self, cells: Iterable[tuple[Cell, bool]]) -> list[int]:
        """Rows of cells, each with whether it stands first in its network; new ones are traced."""
        wanted = list(cells)
        new = list(dict.fromkeys(cell for cell in wanted if cell not in self._index))
        if new:
            self._add(new)
        return [self._index[cell] for cell in wanted]

    def _add(self, cells: Sequence[tuple[Cell, bool]]) -> None:
        batch, first = self.conditions.traced_batch, len(self._index)
        graphs = [traced_cell(cell, batch) for cell, _ in cells]
        graph, owner = chained(graphs, [start for _, start in cells])
        workload = workload_of(columns_of(graph))
        offset = sum(len(known.counts) for known in self._workloads)
        self._workloads.append(workload)
        rows = workload.row_of_op
        works = (rows >= 0) & (owner != NOBODY)
        pairs, counts = np.unique(np.stack([owner[works], rows[works]]), axis=1, return_counts=True)
        added = np.stack([pairs[0] + first, pairs[1] + offset, counts])
        self._pairs = np.concatenate([self._pairs, added], axis=1)
        self._join_operators(workload)
        new = self._cell_costs(graphs, workload, pairs, counts, owner)
        self.costs = {name: np.concatenate([self.costs[name], new[name]]) for name in self.costs}
        self._index.update({cell: first + i for i, cell in enumerate(cells)})

    def _join_operators(self, workload: Workload) -> None:
        found = compute_dtypes(workload, self.precision)
        dtypes = tuple(dict.fromkeys((*self._dtypes, *found)))
        batches = np.array([float(self.conditions.batch)])
        if dtypes != self._dtypes or self._operators is None:
            self._dtypes = dtypes
            parts = [operator_columns(w, batches, self.precision, dtypes) for w in self._workloads]
        else:
            parts = [self._operators, operator_columns(workload, batches, self.precision, dtypes)]
        self._operators = _side_by_side(parts)

    def _cell_costs(
        self, graphs: Sequence[Graph], workload: Workload, pairs: Array, counts: Array, owner: Array
    ) -> dict[str, Array]:
        cost = workload.cost(np.array([float(self.conditions.batch)]), self.precision.storage).cost
        traced = workload.columns.evaluate(workload.graph.batch).cost.bytes[workload.base]
        twice = workload.columns.evaluate(2 * workload.graph.batch).cost.bytes[workload.base]
        scale = self.conditions.batch / workload.graph.batch

        def summed(column: Array) -> Array:
            each = np.broadcast_to(column, (1, len(workload.base)))[0][pairs[1]] * counts
            return np.bincount(pairs[0], each, minlength=len(graphs))

        width = DTYPE_BYTES[self.precision.storage]
        tensors, kept = workload.graph.tensors, frozenset(workload.graph.inputs)
        others = frozenset(spec.storage for spec in tensors) - kept
        alive = liveness_of(workload.graph, others).bytes_at(self.conditions.batch, width)
        peaks = np.zeros(len(graphs))
        np.maximum.at(peaks, owner[owner != NOBODY], alive[owner != NOBODY])
        keeps = [_kept_bytes(graph, width) for graph in graphs]
        weights = [MemoryModel(graph, _NOTHING, _NOTHING).always(width).weights for graph in graphs]
        return {
            "parameters": np.array([float(graph.parameters) for graph in graphs]),
            "always_held": np.array(weights) + scale * np.array(keeps),
            "macs": summed(cost.macs),
            "flops": summed(2 * cost.macs + cost.other_flops),
            "bytes_read": summed(cost.bytes_read),
            "bytes_written": summed(cost.bytes_written),
            "weight_bytes": summed(cost.weight_bytes),
            "operators": summed(np.ones(len(workload.base))),
            "traffic": summed(2 * traced - twice + (twice - traced) * scale),
            "activations": peaks,
        }

    def energies(self, target: Target) -> tuple[EnergyRates | None, Array, Array]:
        """A device's rates, and what each cell takes beyond static power, in J.

        Returns:
            the rates, None if the device's power is unknown; (cells,) what does not depend on the
            rest of the run; (cells,) what reading all weights from main memory takes.
        """
        assert self._operators is not None
        rates = energy_rates(target, self._dtypes)
        if rates is None:
            return None, np.zeros(len(self)), np.zeros(len(self))
        own, weights, _ = operator_energy(self._operators, rates)
        cell, row, count = self._pairs
        summed = [
            np.bincount(cell, np.broadcast_to(part, own.shape)[0][row] * count, len(self))
            for part in (own, weights)
        ]
        return rates, summed[0], summed[1]

    def times(self, target: Target, cells: Array, traffic: tuple[float, float]) -> CellTimes:
        """Time of some cells on a device, for designs that move `traffic` bytes, (least, most)."""
        assert self._operators is not None
        kept = np.isin(self._pairs[0], cells)
        cell, row, count = self._pairs[:, kept]
        rows, row = np.unique(row, return_inverse=True)
        operators = take(self._operators, rows)
        limits, columns = ceilings([target], self._dtypes), device_columns([target])

        def seconds(distances: Array) -> Array:
            """(distances, cells) for designs that move so many bytes."""
            shape = (len(distances), len(rows))
            spread = {
                field.name: np.broadcast_to(value, shape)
                for field in fields(operators)
                if isinstance(value := getattr(operators, field.name), np.ndarray)
                and value.ndim == 2
            }
            spread["whole_run"] = np.broadcast_to(distances[:, None], shape)
            wide = replace(operators, **spread)  # type: ignore[arg-type]
            found = operator_times(wide, limits, columns, self._laws).total[0]
            each = found[:, row] * count
            return np.stack([np.bincount(cell, part, minlength=len(self)) for part in each])

        capacity = float(columns.l2_capacity[0])
        return CellTimes.fit(seconds, traffic, capacity if capacity > 0 else 1.0)


@dataclass(frozen=True)
class CellTimes:
    """Seconds of every cell on one device, as a function of the design's traffic in bytes."""

    coefficients: Array
    """(degree + 1, cells) of Chebyshev polynomials in the scaled hit rate."""
    capacity: float
    """Of the shared cache, bytes."""
    range: tuple[float, float]
    """Hit rates that the polynomials hold between."""
    error: float
    """Largest relative difference from the engine that was found."""

    @classmethod
    def fit(
        cls, seconds: Callable[[Array], Array], traffic: tuple[float, float], capacity: float
    ) -> CellTimes:
        """Interpolate at Chebyshev nodes, with the degree raised until the error is small.

        Args:
            seconds: the engine, from (distances,) bytes to (distances, cells) seconds.
            traffic: least and most bytes.
            capacity: of the shared cache, bytes.
        """
        low, high = (float(hit_share(np.array(t), capacity)) for t in reversed(traffic))
        degrees = DEGREES if high - low > 1e-12 else DEGREES[:1]
        for degree in degrees:
            nodes = np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
            checks = np.cos(np.pi * np.arange(degree + 2) / (degree + 1))
            hits = low + (high - low) * (np.concatenate([nodes, checks]) + 1) / 2
            found = seconds(capacity * np.sqrt(1 / hits - 1))
            known, exact = found[: degree + 1], found[degree + 1 :]
            basis = np.polynomial.chebyshev.chebvander(nodes, degree)
            coefficients = np.linalg.solve(basis, known)
            guess = np.polynomial.chebyshev.chebvander(checks, degree) @ coefficients
            scale = np.maximum(exact, 1e-300)
            error = float(np.max(np.abs(guess - exact) / scale, initial=0.0))
            if error < TOLERANCE:
                break
        return cls(coefficients, capacity, (low, high), error)

    def position(self, traffic: Array) -> Array:
        """(designs,) traffic as the polynomials' argument, -1 to 1."""
        low, high = self.range
        if high - low <= 1e-12:
            return np.zeros(traffic.shape)
        where = (hit_share(traffic, self.capacity) - low) / (high - low)
        return np.asarray(np.clip(2 * where - 1, -1, 1))


def hit_share(traffic: Array, capacity: float) -> Array:
    """1 / (1 + (traffic / capacity)²): the variable in which times are smooth."""
    return np.asarray(1 / (1 + (traffic / capacity) ** 2))


def resolve_targets(devices: Sequence[str | DeviceProfile | Target]) -> tuple[Target, ...]:
    """Devices by name, file, profile or target."""
    return tuple(resolve_target(device) for device in devices)


@lru_cache(maxsize=4096)
def traced_cell(cell: Cell, batch: int) -> Graph:
    """The graph of a cell alone, without weights; kept, since a cell is the same for any device."""
    from costmodel.tracing.eager import trace

    return trace(cell.module("meta"), *cell.inputs(batch), name="cell")


def _kept_bytes(graph: Graph, float32_bytes: float) -> float:
    """What a cell keeps from run to run: its inputs after the first, at the traced batch."""
    specs = [graph.tensors[i] for i in graph.inputs[1:]]
    widths = {**DTYPE_BYTES, "float32": float32_bytes}
    return float(sum(spec.numel * widths[spec.dtype] for spec in specs))


def _side_by_side(parts: Sequence[OperatorColumns]) -> OperatorColumns:
    values = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts], axis=-1)
        for field in fields(OperatorColumns)
        if field.name != "dtypes"
    }
    return OperatorColumns(**values, dtypes=parts[0].dtypes)
