"""Sustained clock: what the power limit of the board leaves of the boost clock.

Under dense arithmetic every lane switches at every clock, so that a board's power is about what it
draws when idle + units x FLOPs per clock x energy per FLOP x clock. Small boards (70 to 75 W)
cannot hold their boost clock then; the base clock is what the vendor guarantees.
"""

from __future__ import annotations

import numpy as np

from costmodel.roofline.constants import Constants
from costmodel.roofline.device_columns import DeviceColumns
from costmodel.roofline.laws.issue import issue_share

Array = np.ndarray

PROCESS_STEPS = (2020, 2022)
"""Years of first availability of GPUs in 8 or 7 nm, and in 5 or 4 nm; before: 16 and 12 nm."""
SMALL_IDLE_SHARE = 0.15
"""Most of its limit that a board draws when idle: modules of some watts have less than cards."""
POWER_OVER_CLOCK = 2.0
"""Exponent of the clock in the power of a chip whose voltage follows the root of its clock."""


def flop_energy(year: Array, constants: Constants) -> Array:
    """Energy in J per float32 FLOP at peak rate, from the year of first availability.

    16 and 12 nm count as one step: the quarter of the power that the foundry states between them
    does not show in the clocks of the boards measured.
    """
    steps = np.sum([np.asarray(year) >= step for step in PROCESS_STEPS], axis=0)
    energy: Array = constants.flop_energy * constants.process_gain**steps
    return energy


def sustained_clock(
    device: DeviceColumns, flops_per_clock: Array, energy: Array, constants: Constants
) -> Array:
    """Clock in Hz that a device holds under dense arithmetic, between base and boost.

    Args:
        device: needs units, clock, base_clock and board_power (unknown power: boost clock).
        flops_per_clock: peak FLOPs per clock and unit of the engine in use.
        energy: J per FLOP of that engine.
        constants: of the laws.
    """
    idle = np.minimum(constants.idle_power, SMALL_IDLE_SHARE * device.board_power)
    affordable = (device.board_power - idle) / (device.units * flops_per_clock * energy)
    floor = np.where(np.isfinite(device.base_clock), device.base_clock, 0.0)
    held = np.clip(affordable, np.minimum(floor, device.clock), device.clock)
    clock: Array = np.where(np.isfinite(device.board_power), held, device.clock)
    return clock


def burst_clock(
    sustained: Array, device: DeviceColumns, busy: Array, constants: Constants
) -> Array:
    """Clock in Hz during dense work that lasts `busy` seconds between idle times.

    The power controller averages over a window that begins idle, so that short work runs at the
    boost clock. A board far above its limit there uses the window up sooner: power goes as clock
    times voltage squared, about as the square of the clock. Endless work (a network without
    pauses) runs at the sustained clock.
    """
    window = constants.burst_window * (sustained / device.clock) ** POWER_OVER_CLOCK
    clock: Array = sustained + np.maximum(device.clock - sustained, 0.0) / (1 + busy / window)
    return clock


def dense_flops_per_clock(device: DeviceColumns) -> Array:
    """float32 FLOPs per clock and unit that dense work can issue on vector lanes."""
    return np.asarray(2 * device.vector_lanes * issue_share(device))


def vector_unit_rate(device: DeviceColumns, constants: Constants) -> Array:
    """FLOP/s per unit of float32 multiply-adds in dense work at the sustained clock."""
    per_clock = dense_flops_per_clock(device)
    clock = sustained_clock(device, per_clock, flop_energy(device.year, constants), constants)
    rate: Array = per_clock * clock
    return rate
