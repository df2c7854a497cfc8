"""Energy of a run: arithmetic, bytes and the power that is drawn anyway.

    E = sum of operations x J per operation
      + bytes x J per byte of the shared cache + bytes that miss it x J per byte of main memory
      + static power x time,    and never more than the board's power x time

What a profile states under `energy` is used. Where it states nothing, J per operation follows from
the board power: at its peak a device spends on arithmetic what its static power leaves, so
J = (board power - static power) / peak of that dtype and engine. That includes what comes with an
operation, registers and control, which the energy of the arithmetic alone does not: `floor` has
only the published energies of the circuits and is what no board can go below.

Sources: Horowitz, "Computing's Energy Problem" (ISSCC 2014), table of energies in 45 nm at 0.9 V;
O'Connor et al., "Fine-Grained DRAM" (MICRO 2017), energies per bit of HBM2 and GDDR5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from costmodel.roofline.ceilings import Target, ceilings
from costmodel.roofline.constants import DEFAULT, Constants
from costmodel.roofline.device_columns import device_columns
from costmodel.roofline.laws.memory import hit_rate
from costmodel.roofline.laws.power import flop_energy
from costmodel.roofline.operators import OperatorColumns

Array = np.ndarray

PICO = 1e-12
ARITHMETIC = {
    "float32": (3.7, 0.9),
    "tf32": (1.1, 0.9),
    "float16": (1.1, 0.4),
    "bfloat16": (1.1, 0.4),
    "int8": (0.2, 0.03),
    "int32": (3.1, 0.1),
}
"""pJ of a multiplication and of an addition in 45 nm (Horowitz 2014). bfloat16 takes float16's,
tf32 float16's multiplication and float32's addition."""
CACHE = 100 / 8
"""pJ per byte of a 1 MB cache in 45 nm: 100 pJ for 64 bits (Horowitz 2014)."""
MEMORY = {"HBM": 3.92 * 8, "GDDR": 14.0 * 8, "DDR": 1300 / 8, "LPDDR": 1300 / 8}
"""pJ per byte by the beginning of a memory's type: HBM2's and GDDR5's, 3.92 and 14 pJ a bit
(O'Connor et al. 2017, of the memory with its interface, not of what brings it to the cores), stand
for their generations; DRAM's, at the low end of 1.3 to 2.6 nJ for 64 bits (Horowitz 2014), for DDR
and LPDDR."""
TWELVE_OVER_45 = 12 / 45
"""Energy of a circuit in 12 nm over that in 45 nm, in proportion to its size; an assumption."""
STATIC_SHARE = 0.3
"""Of the board power, drawn while nothing is computed, where the profile does not say; an
assumption. Published: 90 of at most 192 W of a TPU v4."""


@dataclass(frozen=True)
class EnergyRates:
    """What one device draws. Rates are J per FLOP or byte, power W."""

    matrix: Array
    """(dtypes,) J per FLOP of matrix work."""
    vector: Array
    """(dtypes,) J per FLOP of other arithmetic."""
    matrix_floor: Array
    """(dtypes,) J per FLOP of the arithmetic circuits alone; NaN where none is published."""
    vector_floor: Array
    cache: float
    memory: float
    static: float
    limit: float
    """Most power, of the part of the device in use."""
    capacity: float
    """Of the shared cache, bytes."""
    notes: tuple[str, ...]

    def total(self, dynamic: Array, seconds: Array) -> Array:
        """J of a run from its dynamic energy and its time."""
        return np.asarray(np.minimum(dynamic + self.static * seconds, self.limit * seconds))


def energy_rates(
    target: Target, dtypes: Sequence[str], constants: Constants = DEFAULT
) -> EnergyRates | None:
    """The rates of a device for some dtypes; None if its board power is not known."""
    profile, share = target.profile, target.share
    power = profile.board_power
    if power is None:
        return None
    stated, notes = profile.energy, []
    static = None if stated.static is None else stated.static.si
    if static is None:
        static = STATIC_SHARE * power
        assumed = f"{STATIC_SHARE:.0%} of {power:g} W"
        notes.append(f"{target.label}: static power is assumed to be {assumed}")
    limits, columns = ceilings([target], dtypes), device_columns([target])
    whole = (power - static) * share
    matrix, vector = whole / limits.matrix_peak[0], whole / limits.vector_peak[0]
    known = {entry.dtype for entry in stated.operations if entry.si is not None}
    if not known.issuperset(dtypes):
        notes.append(
            f"{target.label}: an operation is taken to cost what static power leaves of the board "
            "power at the peak"
        )
    for entry in stated.operations:
        if entry.si is not None and entry.dtype in dtypes:
            rates = matrix if entry.engine == "matrix" else vector
            rates[list(dtypes).index(entry.dtype)] = entry.si
    size = _process(float(profile.year), constants)
    multiply, add = (
        np.array([ARITHMETIC.get(name, (np.nan, np.nan))[i] for name in dtypes]) * PICO * size
        for i in (0, 1)
    )
    by_level: dict[str, float] = {
        entry.level: entry.si for entry in stated.bytes if entry.si is not None
    }
    memory = by_level.get(profile.main_memory)
    if memory is None:
        memory, note = _memory(target)
        notes.extend([note] if note else [])
    cache = by_level.get("llc") or by_level.get("l2")
    if cache is None:
        cache = CACHE * PICO * size
        notes.append(
            f"{target.label}: a byte of cache is taken to cost that of a 1 MB cache in 45 nm, "
            f"scaled to {profile.year}"
        )
    return EnergyRates(
        matrix=matrix,
        vector=vector,
        matrix_floor=(multiply + add) / 2,
        vector_floor=add,
        cache=cache,
        memory=memory,
        static=static,
        limit=static + whole,
        capacity=float(np.nan_to_num(columns.l2_capacity[0])),
        notes=tuple(notes),
    )


def _process(year: float, constants: Constants) -> float:
    """Energy of a device's circuits over that of the same in 45 nm."""
    return TWELVE_OVER_45 * float(flop_energy(np.array(year), constants)) / constants.flop_energy


def _memory(target: Target) -> tuple[float, str]:
    """J per byte of the main memory by its type, and what to say of it."""
    profile = target.profile
    level = profile.level(profile.main_memory)
    kind = None if level is None else level.type
    if profile.main_memory == "sram":
        return 0.0, ""
    for start in sorted(MEMORY, key=len, reverse=True):
        if kind is not None and kind.upper().startswith(start):
            exact = kind.upper() in ("HBM2", "GDDR5", "DDR3")
            stand_in = {"HBM": "HBM2", "GDDR": "GDDR5"}.get(start, "DDR3")
            note = f"{target.label}: {kind} is taken to cost the energy of {stand_in}"
            return MEMORY[start] * PICO, "" if exact else note
    return MEMORY["DDR"] * PICO, f"{target.label}: memory of unknown type, energy as DDR3's"


def operator_energy(operators: OperatorColumns, rates: EnergyRates) -> tuple[Array, Array, Array]:
    """J that operators take beyond static power.

    Returns:
        what does not depend on the rest of the run, what the first read of all weights from main
        memory would take, and the floor of the former; each (batches, rows).
    """
    ops = operators

    def arithmetic(matrix: Array, vector: Array) -> Array:
        other = vector[..., ops.vector_code]
        each = np.where(ops.matrix, matrix[..., ops.matrix_code], other)
        return np.asarray(2 * ops.macs * each + ops.other_flops * other)

    def missed(distance: Array) -> Array:
        return np.asarray(1 - hit_rate(distance, np.asarray(rates.capacity)))

    unknown = np.maximum(1 - ops.first_share - ops.second_share, 0)
    outside = ops.bytes_written + ops.data_read * (
        ops.first_share * missed(ops.first_distance)
        + ops.second_share * missed(ops.second_distance)
        + unknown
    )
    moved = ops.data_read + ops.weight_bytes + ops.bytes_written
    data = moved * rates.cache + outside * rates.memory
    own = arithmetic(rates.matrix, rates.vector) + data
    floor = arithmetic(rates.matrix_floor, rates.vector_floor) + data
    return own, ops.weight_bytes * rates.memory, floor


def weights_missed(traffic: Array, rates: EnergyRates) -> Array:
    """Share of the weights that come from main memory when the whole run moves `traffic` bytes."""
    return np.asarray(1 - hit_rate(traffic, np.asarray(rates.capacity)))


def energies_of(
    operators: OperatorColumns, counts: Array, seconds: Array, targets: Sequence[Target]
) -> Array:
    """`Energy.joules` of runs on many devices, (devices, batches); NaN where power is not known.

    Args:
        operators: columns of the runs.
        counts: (rows,) how often each runs.
        seconds: (devices, batches) of the whole runs.
        targets: the devices.
    """
    joules = np.full(seconds.shape, np.nan)
    known, rates = _rates_of(tuple(targets), operators.dtypes)
    if not known.size:
        return joules
    dynamic, _ = _sums(operators, counts, rates)
    joules[known] = rates.total(dynamic, seconds[known, :, None])[..., 0]
    return joules


def _sums(operators: OperatorColumns, counts: Array, rates: EnergyRates) -> tuple[Array, Array]:
    """J of whole runs beyond static power, and their floor; (..., batches, 1) each."""
    own, weights, floor = operator_energy(operators, rates)
    dynamic = own + weights * weights_missed(operators.whole_run, rates)
    return (dynamic @ counts)[..., None], (floor @ counts)[..., None]


@lru_cache(maxsize=64)
def _rates_of(targets: tuple[Target, ...], dtypes: tuple[str, ...]) -> tuple[Array, EnergyRates]:
    """Index of the devices whose power is known, and their rates, (devices, 1, dtypes or 1)."""
    found = [energy_rates(target, dtypes) for target in targets]
    known = [rates for rates in found if rates is not None]

    def column(name: str) -> Array:
        values = np.array([getattr(rates, name) for rates in known], dtype=np.float64)
        return values.reshape(len(known), 1, values[0].size if known else 1)

    names = (f.name for f in fields(EnergyRates) if f.name != "notes")
    rates = EnergyRates(**{name: column(name) for name in names}, notes=())  # type: ignore[arg-type]
    return np.flatnonzero([rates is not None for rates in found]), rates


class Energy(NamedTuple):
    """Energy of a batch, in J."""

    joules: float
    floor: float
    """Of the published energies of circuits and memory alone; NaN where none is for a dtype."""
    ceiling: float
    """Board power for the whole time."""
    notes: tuple[str, ...]
    """What was assumed."""


def energy_of(
    operators: OperatorColumns,
    counts: Array,
    seconds: float,
    target: Target,
    constants: Constants = DEFAULT,
) -> Energy | None:
    """Energy of a run; None if the device's board power is not known.

    Args:
        operators: columns of the run at one batch size.
        counts: (rows,) how often each runs.
        seconds: of the whole run.
        target: the device.
        constants: of the laws.
    """
    rates = energy_rates(target, operators.dtypes, constants)
    if rates is None:
        return None
    dynamic, least = _sums(operators, counts, rates)
    joules = float(rates.total(dynamic, np.array(seconds)).item())
    return Energy(joules, min(least.item(), joules), rates.limit * seconds, rates.notes)
