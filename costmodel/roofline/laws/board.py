"""The devices of an evaluation, as all operators meet them: worked out once for each."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from costmodel.roofline.ceilings import Ceilings
from costmodel.roofline.constants import Constants
from costmodel.roofline.device_columns import DeviceColumns
from costmodel.roofline.laws.bandwidth import stream_bandwidth
from costmodel.roofline.laws.issue import issue_share
from costmodel.roofline.laws.power import flop_energy, sustained_clock
from costmodel.roofline.once import once

Array = np.ndarray


class Board:
    """Devices as every operator meets them, whatever it is: arrays are (devices, 1, 1)."""

    def __init__(
        self, devices: DeviceColumns, limits: Ceilings, laws: frozenset[str], constants: Constants
    ) -> None:
        def column(values: Array, unknown: float = 0.0) -> Array:
            return np.where(np.isnan(values), unknown, values)

        self.columns = expanded = devices.expand(2)
        self.gpu = expanded.is_gpu
        self.units, self.clock = column(expanded.units, 1.0), column(expanded.clock, 1e9)
        self.lanes, self.cache = column(expanded.vector_lanes, 1.0), column(expanded.l2_capacity)
        self.dram = expanded.dram_bandwidth
        if "dram" in laws:
            self.dram = stream_bandwidth(expanded, constants)
        assumed = constants.cache_share * self.units * self.clock * 64
        self.cache_bandwidth = np.where(self.gpu, assumed, column(expanded.l2_bandwidth))
        self.launch = limits.launch[:, None, None]
        self._limits, self._laws, self._constants = limits, laws, constants

    @cached_property
    def with_lanes(self) -> Array:
        """Index of the devices whose float32 kernels can be told one by one."""
        expanded = self.columns
        return np.flatnonzero(expanded.is_gpu & np.isfinite(expanded.vector_lanes))

    @cached_property
    def float32(self) -> Float32:
        """What one unit of the devices `with_lanes` computes in float32."""
        laws, device = self._laws, self.columns.take(self.with_lanes)
        code = self._limits.dtypes.index("float32")
        peak = self._limits.matrix_peak[self.with_lanes, code]
        engine = peak > self._limits.vector_peak[self.with_lanes, code]
        boost = peak[:, None, None] / device.units
        if "issue" in laws:
            boost = boost * issue_share(device)
        constants = self._constants
        if "launch" not in laws:
            constants = replace(constants, kernel_latency=0.0)
        held = boost
        if "power" in laws:
            energy = flop_energy(device.year, constants)
            average = constants.dense_share * boost / device.clock
            clock = sustained_clock(device, average, energy, constants)
            held = boost * np.nan_to_num(clock / device.clock, nan=1.0)
        return Float32(device, boost, held, engine[:, None, None], constants)


class Float32(NamedTuple):
    """Devices on which float32 kernels can be told one by one."""

    device: DeviceColumns
    boost: Array
    """FLOP/s of one unit that its schedulers can issue at the boost clock."""
    held: Array
    """The same at the clock that the board's power leaves to dense work."""
    engine: Array
    """Whether that is of matrix engines, which multiply float32 faster than vector lanes."""
    constants: Constants


board = once(Board)
"""The devices of columns that were met before are made once."""
