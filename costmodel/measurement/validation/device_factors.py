"""Device factors: how a device's rates differ from its profile, and times of networks under them.

A factor above 1 is faster than the profile and the universal constants say; `launch` is the one
factor on a time, where above 1 is slower.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from costmodel.measurement.validation.networks import Networks
from costmodel.roofline.ceilings import Target, ceilings
from costmodel.roofline.constants import DEFAULT, Constants, constant_table
from costmodel.roofline.device_columns import device_columns
from costmodel.roofline.engine import ALL_LAWS, BOUNDS, Times, operator_times
from costmodel.roofline.interval import time_shares

Array = np.ndarray

CYCLES = tuple(
    row.name for row in constant_table() if row.name.startswith("cpu_") and row.unit == "cycles"
)
"""Constants of a CPU core's arithmetic per element, which the vector factor divides."""


@dataclass(frozen=True)
class DeviceFactors:
    """Factors on what the device reaches; all 1 is the profile as it stands."""

    matrix: float = 1.0
    """On the rate of convolutions, matrix products and attention."""
    vector: float = 1.0
    """On the rate of vector arithmetic, depthwise convolution among it."""
    bandwidth: float = 1.0
    """On the bandwidth of main memory."""
    cache: float = 1.0
    """On the bandwidth of the shared cache."""
    launch: float = 1.0
    """On the time to start an operator."""

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of the factors, in order."""
        return tuple(field.name for field in fields(cls))


NEUTRAL = DeviceFactors()


def network_times(
    networks: Networks,
    target: Target,
    constants: Constants = DEFAULT,
    laws: frozenset[str] = ALL_LAWS,
    factors: DeviceFactors = NEUTRAL,
) -> Times:
    """Times of each row once, on one device; arrays are (1, 1, rows)."""
    limits = ceilings((target,), networks.operators.dtypes)
    columns = device_columns((target,))
    limits = replace(
        limits,
        matrix_peak=limits.matrix_peak * factors.matrix,
        vector_peak=limits.vector_peak * factors.vector,
        bandwidth=limits.bandwidth * factors.bandwidth,
        launch=limits.launch * factors.launch,
    )
    columns = replace(
        columns,
        vector_lanes=columns.vector_lanes * factors.vector,
        dram_bandwidth=columns.dram_bandwidth * factors.bandwidth,
        memory_channels=columns.memory_channels * factors.bandwidth,
        l2_bandwidth=columns.l2_bandwidth * factors.cache,
        launch_overhead=columns.launch_overhead * factors.launch,
    )
    constants = replace(
        constants,
        cache_share=constants.cache_share * factors.cache,
        launch=constants.launch * factors.launch,
        compiled_launch=constants.compiled_launch * factors.launch,
        kernel_latency=constants.kernel_latency * factors.launch,
        cpu_launch=constants.cpu_launch * factors.launch,
        cpu_fork=constants.cpu_fork * factors.launch,
        cpu_convolution_launch=constants.cpu_convolution_launch * factors.launch,
        core_stream=constants.core_stream * factors.bandwidth,
        cpu_page_fault=constants.cpu_page_fault / factors.bandwidth,
        cpu_cache_width=constants.cpu_cache_width * factors.cache,
        **{name: getattr(constants, name) / factors.vector for name in CYCLES},
    )
    return operator_times(networks.operators, limits, columns, laws, constants)


def kind_shares(networks: Networks, times: Times) -> tuple[tuple[str, ...], Array]:
    """Kinds of operators, and (networks, kinds) shares of the time; see `time_shares`."""
    return time_shares(
        networks.kinds,
        times.bound[0, 0] == BOUNDS.index("launch"),
        times.total[0, 0] * networks.counts,
        networks.network,
        len(networks),
    )


def sum_rows(networks: Networks, row_values: Array) -> Array:
    """(networks,) sums of (rows,) values over each network, repeated rows counted."""
    return np.bincount(networks.network, row_values * networks.counts, minlength=len(networks))
