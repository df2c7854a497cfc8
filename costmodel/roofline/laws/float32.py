"""Products and convolutions in float32 on a GPU's vector lanes, as a network runs them.

Here the library's kernels are known well enough to predict them one by one: which tiles it has,
how it splits a contraction, when it takes Winograd's algorithm. The laws of single kernels
(`gemm`, `convolution`) get their sizes from the operators' columns, and their clock from the power
that is left when a whole network runs without pauses.
"""

from __future__ import annotations

import numpy as np

from costmodel.roofline.constants import Constants
from costmodel.roofline.device_columns import DeviceColumns
from costmodel.roofline.laws.convolution import Convolution, convolution_time
from costmodel.roofline.laws.gemm import Product, chosen_time
from costmodel.roofline.laws.library import batched_choices, linear_choices
from costmodel.roofline.operators import OperatorColumns

Array = np.ndarray


def product_seconds(
    ops: OperatorColumns, unit_rate: Array, device: DeviceColumns, constants: Constants
) -> Array:
    """Seconds of matrix products, (devices, batches, rows).

    Args:
        ops: columns of products alone.
        unit_rate: (devices, 1, 1) FLOP/s of one unit at the clock that dense work leaves.
        device: columns expanded by two axes.
        constants: of the laws.
    """
    passes = np.where(ops.bias, constants.bias_passes, 1.0)
    product = Product(
        batches=ops.batches,
        rows=ops.rows,
        columns=ops.columns,
        contraction=ops.contraction,
        result_passes=passes,
        strided=ops.along_contraction,
    )
    many = ops.batches > 1
    times = [
        chosen_time(product, choices(device), unit_rate, device, constants)[0]
        if some.any()
        else np.zeros((1, 1, 1))
        for some, choices in ((many, batched_choices), (~many, linear_choices))
    ]
    return np.asarray(np.where(many, *times))


def convolution_seconds(
    ops: OperatorColumns,
    unit_rate: Array,
    boost_rate: Array,
    device: DeviceColumns,
    constants: Constants,
) -> Array:
    """Seconds of dense convolutions, (devices, batches, rows).

    Arguments as above; `boost_rate` is the rate of one unit at the boost clock, which work between
    pauses for memory may use.
    """
    taps = np.maximum(ops.taps, 1)
    repeated = ops.rows * ops.contraction * 4
    unfolding = np.clip(repeated / np.maximum(ops.data_read, 1), 1.0, taps)
    conv = Convolution(
        images=np.maximum(ops.planes / ops.columns, 1),
        channels=ops.contraction / taps,
        filters=ops.columns,
        taps=taps,
        out=np.sqrt(np.maximum(ops.pixels, 1)),
        input_bytes=ops.data_read,
        unfolding=unfolding,
        suits_winograd=ops.square & (ops.taps == 9) & (unfolding > 4.5),
    )
    return convolution_time(conv, unit_rate, device, constants, boost_rate)[0]
