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
from costmodel.roofline.laws.bandwidth import is_pascal
from costmodel.roofline.laws.convolution import Convolution, algorithm_times
from costmodel.roofline.laws.gemm import Product
from costmodel.roofline.laws.library import batched_kernels, linear_kernels
from costmodel.roofline.laws.selection import Offer, chosen_time
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
    many = np.atleast_2d(ops.batches > 1)
    early = is_pascal(device)  # whose libraries have rules that no other needs to follow
    times = np.empty((device.units.shape[0], *many.shape))
    for some in filter(len, (early.ravel().nonzero()[0], (~early).ravel().nonzero()[0])):
        rate, own = unit_rate[some], device.take(some)
        times[some] = _library_seconds(product, many, rate, own, constants)
    return times


def _library_seconds(
    product: Product, many: Array, unit_rate: Array, device: DeviceColumns, constants: Constants
) -> Array:
    """The same where `many` tells batches of products, (batches, rows), from single ones."""
    (single,), (several,) = (np.asarray(some.any(axis=0)).nonzero() for some in (~many, many))
    linear = Offer(linear_kernels(device), len(single))
    if not several.size:
        return chosen_time(product, [linear], unit_rate, device, constants)[0]
    offers = [linear, Offer(batched_kernels(device), len(several))]
    rows = np.concatenate([single, several])
    found = chosen_time(product.take(rows), offers, unit_rate, device, constants)[0]
    times = np.empty((*found.shape[:-1], many.shape[-1]))
    times[..., single] = found[..., : len(single)]
    mixed = many[..., several]  # a batch of one is a single product
    times[..., several] = np.where(mixed, found[..., len(single) :], times[..., several])
    return times


def convolution_seconds(
    ops: OperatorColumns,
    unit_rate: Array,
    boost_rate: Array,
    device: DeviceColumns,
    constants: Constants,
    beside: Array,
) -> Array:
    """Seconds of dense convolutions, (devices, batches, rows).

    Arguments as above; `boost_rate` is the rate of one unit at the boost clock, which work between
    pauses for memory may use, and `beside` tells matrix engines from vector lanes: indices of
    pixels are worked out on the lanes, which are not those that multiply then.
    """
    taps = np.maximum(ops.taps, 1)
    repeated = ops.rows * ops.contraction * 4
    unfolding = np.minimum(np.maximum(repeated / np.maximum(ops.data_read, 1), 1.0), taps)
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
    times = algorithm_times(conv, unit_rate, device, constants, boost_rate, beside)
    return np.asarray(times.min(axis=0))
