"""Elementwise, layer norm and softmax kernels: bound by memory, by the rows, or by latency.

A layer norm and a long softmax give a block of threads to each row. The block reads its row two
or three times; later reads find it in cache unless too many rows are in flight. Between the reads
the block waits for its own reduction, so that each row costs a unit a number of clocks.
"""

from __future__ import annotations

import numpy as np

from costmodel.roofline.constants import Constants
from costmodel.roofline.device_columns import DeviceColumns
from costmodel.roofline.laws.bandwidth import hit_share, memory_time, stream_bandwidth
from costmodel.roofline.laws.overlap import p_norm

Array = np.ndarray

ROW_THREADS = 128
"""Threads of the block that works on a row."""
MOST_BLOCKS = 16
LANES = 64
"""float32 lanes per unit that the clocks per element are stated for."""
WARP_SOFTMAX_LIMIT = 1024
"""Longest row that the framework's softmax keeps in the registers of one warp."""


def elementwise_time(
    read: Array, written: Array, device: DeviceColumns, constants: Constants
) -> Array:
    """Seconds to read and write so many bytes, tensors that fit in L2 from there."""
    traffic = np.asarray(read) + np.asarray(written)
    return memory_time(traffic, traffic, device, constants)


def row_seconds(
    rows: Array,
    length: Array,
    softmax: Array,
    device: DeviceColumns,
    constants: Constants,
) -> Array:
    """Seconds that the units wait for the reductions of rows, besides the memory.

    Args:
        rows: of all layer norms and softmaxes, 0 for other operators.
        length: elements of each row.
        softmax: where it is a softmax.
        device: columns of the devices.
        constants: of the laws.
    """
    wide = LANES / device.vector_lanes
    norm = constants.norm_row_cycles + constants.norm_element_cycles * length * wide
    long = constants.softmax_row_cycles + constants.softmax_element_cycles * length * wide
    clocks = np.where(softmax, np.where(length <= WARP_SOFTMAX_LIMIT, 0.0, long), norm)
    waited: Array = np.ceil(np.asarray(rows) / device.units) * clocks / device.clock
    return waited


def layer_norm_time(
    rows: Array, length: Array, device: DeviceColumns, constants: Constants
) -> Array:
    """Seconds of a layer norm of (rows, length) float32; the row is read twice."""
    c = constants
    clocks = c.norm_row_cycles + c.norm_element_cycles * length * LANES / device.vector_lanes
    return _row_kernel_time(rows, length, clocks, 1, c.norm_reread_share, device, constants)


def softmax_time(rows: Array, length: Array, device: DeviceColumns, constants: Constants) -> Array:
    """Seconds of a softmax over the last axis of (rows, length) float32.

    Short rows stay in a warp's registers (read once, write once), long ones are read three times
    by a block.
    """
    c = constants
    traffic = 8.0 * np.asarray(rows) * length
    short = memory_time(traffic, traffic, device, c) / c.warp_softmax_share
    clocks = c.softmax_row_cycles + c.softmax_element_cycles * length * LANES / device.vector_lanes
    long = _row_kernel_time(rows, length, clocks, 2, c.softmax_reread_share, device, constants)
    time: Array = np.where(np.asarray(length) <= WARP_SOFTMAX_LIMIT, short, long)
    return time


def _row_kernel_time(
    rows: Array,
    length: Array,
    clocks: Array,
    rereads: int,
    reread_share: float,
    device: DeviceColumns,
    constants: Constants,
) -> Array:
    row_bytes = 4.0 * np.asarray(length)
    traffic = 2 * np.asarray(rows) * row_bytes
    blocks = np.fmin(device.resident_threads / ROW_THREADS, MOST_BLOCKS)
    in_flight = np.minimum(rows, device.units * blocks) * row_bytes
    capacity = reread_share * device.l2_capacity
    missed = 1 - hit_share(in_flight, capacity, constants.residency_steepness)
    again = rereads * missed * np.asarray(rows) * row_bytes / stream_bandwidth(device, constants)
    memory = memory_time(traffic, traffic, device, constants) + again
    work = np.ceil(np.asarray(rows) / device.units) * clocks / device.clock
    return p_norm(memory, work, constants.row_overlap)
