"""Designs to columns: latency, memory, parameters, multiply-accumulates, bytes and energy at once.

    evaluator = Evaluator(load_space("fasternet"), ["v100-sxm2", "t4"], batch=1)
    columns = evaluator(space.enumerate())
    columns.latency       # (devices, designs) seconds
    columns.macs          # (designs,)

Cells are traced the first time a design has them; from then on a design is a few look-ups. Each
slot of the family is a table over the few parameters that it needs, and a code is an index into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from costmodel.counts import check_count
from costmodel.energy import weights_missed
from costmodel.errors import UsageError
from costmodel.hardware import DeviceProfile
from costmodel.roofline.ceilings import Target
from costmodel.search.cells import ADDITIVE, CellTable, Conditions, resolve_targets
from costmodel.search.space import Space

if TYPE_CHECKING:
    from costmodel.zoo.families import Slot

Array = np.ndarray

UNKNOWN = -1
LARGEST_SLOT = 1_000_000
"""Combinations of the parameters of one slot, those that no design has included."""


@dataclass(frozen=True)
class DesignColumns:
    """What designs cost. Arrays are (designs,), or (devices, designs) where the device matters."""

    codes: Array
    """(designs, parameters) what they are."""
    targets: tuple[Target, ...]
    batch: int
    latency: Array
    """(devices, designs) seconds for the batch."""
    energy: Array
    """(devices, designs) J for the batch, NaN where the profile lacks a number for it."""
    memory: Array
    """Peak bytes: weights, what is kept from run to run, and live activations."""
    parameters: Array
    macs: Array
    flops: Array
    """2 x MACs plus all other arithmetic."""
    bytes: Array
    """Read and written."""
    operators: Array

    @property
    def work_per_joule(self) -> Array:
        """(devices, designs) FLOP/J."""
        return np.asarray(self.flops / self.energy)

    @property
    def throughput(self) -> Array:
        """(devices, designs) samples per second."""
        return self.batch / self.latency

    @cached_property
    def capacity(self) -> Array:
        """A proxy, not an accuracy: sqrt(parameters x MACs per sample)."""
        return np.asarray(np.sqrt(self.parameters * self.macs / self.batch))

    def __len__(self) -> int:
        return len(self.codes)


@dataclass
class Evaluator:
    """Costs the designs of a space on some devices under fixed conditions."""

    space: Space
    devices: Sequence[str | DeviceProfile | Target]
    batch: int = 1
    precision: str = "fp32"
    without: Sequence[str] = ()
    targets: tuple[Target, ...] = field(init=False)
    error: tuple[float, ...] = field(init=False)
    """(devices,) largest relative difference of a cell's time from the engine's so far."""

    def __post_init__(self) -> None:
        check_count("batch", self.batch)
        self.targets = resolve_targets(self.devices)
        self.error = (0.0,) * len(self.targets)
        self.table = CellTable(Conditions(self.batch, self.precision, tuple(self.without)))
        self._slots = [_SlotTable(self.space, slot, i == 0, self.table)
                       for i, slot in enumerate(self.space.family.slots)]  # fmt: skip

    def prepare(self, codes: Array) -> None:
        """Trace every cell of some designs, so that a copy of this object need not."""
        for slot in self._slots:
            slot.look_up(codes)

    def __call__(self, codes: Array) -> DesignColumns:
        """Cost designs.

        Args:
            codes: (designs, parameters) as `Space` gives them.
        """
        codes = np.atleast_2d(codes)
        placed = [slot.look_up(codes) for slot in self._slots]
        sums = {name: _summed(placed, self.table.costs[name]) for name in ADDITIVE}
        activations = np.zeros(len(codes))
        for slot, index in placed:
            np.maximum(activations, slot.present(self.table.costs["activations"])[index],
                       out=activations)  # fmt: skip
        cells = np.unique(np.concatenate([slot.used for slot, _ in placed]))
        latency = np.empty((len(self.targets), len(codes)))
        traffic = sums["traffic"]
        span = (float(traffic.min(initial=np.inf)), float(traffic.max(initial=0.0)))
        errors = []
        energy = np.full_like(latency, np.nan)
        for row, joules, target in zip(latency, energy, self.targets, strict=True):
            times = self.table.times(target, cells, span)
            parts = np.array([_summed(placed, column) for column in times.coefficients])
            row[:] = _chebyshev(parts, times.position(traffic))
            errors.append(times.error)
            rates, own, weights = self.table.energies(target)
            if rates is not None:
                dynamic = _summed(placed, own)
                dynamic += _summed(placed, weights) * weights_missed(traffic, rates)
                joules[:] = rates.total(dynamic, row)
        self.error = tuple(map(max, self.error, errors))
        return DesignColumns(
            codes=codes,
            targets=self.targets,
            batch=self.batch,
            latency=latency,
            energy=energy,
            memory=sums["always_held"] + activations,
            parameters=sums["parameters"],
            macs=sums["macs"],
            flops=sums["flops"],
            bytes=sums["bytes_read"] + sums["bytes_written"],
            operators=sums["operators"],
        )


def evaluate(
    space: Space,
    codes: Array,
    devices: Sequence[str | DeviceProfile | Target],
    batch: int = 1,
    precision: str = "fp32",
    without: Sequence[str] = (),
) -> DesignColumns:
    """Cost designs once; keep an `Evaluator` to cost more of the same space."""
    return Evaluator(space, devices, batch, precision, without)(codes)


class _SlotTable:
    """One slot: which cell, and how often, for every combination of the parameters it needs."""

    def __init__(self, space: Space, slot: Slot, start: bool, cells: CellTable) -> None:
        self._place, self._start, self._cells = slot.place, start, cells
        names = list(space.choices)
        self._columns = [names.index(name) for name in slot.needs]
        self._values = [space.choices[name] for name in slot.needs]
        self._sizes = [len(values) for values in self._values]
        size = int(np.prod(self._sizes, dtype=np.float64))
        if size > LARGEST_SLOT:
            raise UsageError(
                f"space {space.name}: {slot.name} has {size:.3g} combinations of "
                f"{', '.join(slot.needs)}; expected {LARGEST_SLOT:,} at most, fix some of them"
            )
        self._row = np.full(size, UNKNOWN)
        self._count = np.zeros(size)

    def look_up(self, codes: Array) -> tuple[_SlotTable, Array]:
        """The table and (designs,) indices into it, with the cells of all of them traced."""
        index = np.zeros(len(codes), dtype=np.int64)
        for column, size in zip(self._columns, self._sizes, strict=True):
            index *= size
            index += codes[:, column]
        seen = np.zeros(len(self._row), dtype=bool)
        seen[index] = True
        self._seen = np.flatnonzero(seen)
        new = self._seen[self._row[self._seen] == UNKNOWN]
        if len(new):
            picks = np.unravel_index(new, self._sizes) if self._sizes else ((0,) * len(new),)
            placed = [
                self._place(*(values[i] for values, i in zip(self._values, pick, strict=True)))
                for pick in (zip(*picks, strict=True) if self._sizes else [()])
            ]
            self._row[new] = self._cells.index((cell, self._start) for cell, _ in placed)
            self._count[new] = [count for _, count in placed]
        return self, index

    @property
    def used(self) -> Array:
        """Rows of the cells that the last designs have."""
        seen = self._seen[self._count[self._seen] > 0]
        return self._row[seen]

    def product(self, column: Array) -> Array:
        """(combinations,) a cell's column times how often the cell stands there."""
        return np.where(self._count > 0, self._count * column[self._row], 0.0)

    def present(self, column: Array) -> Array:
        """(combinations,) a cell's column, 0 where the slot is empty."""
        return np.where(self._count > 0, column[self._row], 0.0)


def _summed(placed: Sequence[tuple[_SlotTable, Array]], column: Array) -> Array:
    """(designs,) a column of cells, summed over the cells of each design."""
    total = np.zeros(len(placed[0][1]))
    for slot, index in placed:
        total += slot.product(column)[index]
    return total


def _chebyshev(coefficients: Array, x: Array) -> Array:
    """Clenshaw's sum of c_k T_k(x); coefficients are (degree + 1, designs)."""
    ahead, further = np.zeros_like(x), np.zeros_like(x)
    for part in coefficients[:0:-1]:
        ahead, further = part + 2 * x * ahead - further, ahead
    return np.asarray(coefficients[0] + x * ahead - further)
