"""Grouped convolution: a narrow product per group.

On channels-last images in 16 bits the library has kernels for groups whose width is a power of two;
to all others it gives a kernel for wide products and pads each group to a whole tile. (Learnt from
measured RegNets: groups of 24 channels run at a third of the rate of groups of 16.)
"""

from __future__ import annotations

import numpy as np

from costmodel.roofline.constants import Constants
from costmodel.roofline.laws.matrix import contraction_efficiency

Array = np.ndarray

TILE = 128
"""Columns of the tile that a group is padded to."""


def grouped_efficiency(
    contraction: Array, columns: Array, channels_last: Array, constants: Constants
) -> Array:
    """Share of the matrix peak that a grouped convolution reaches.

    Args:
        contraction: channels per group times taps.
        columns: filters per group.
        channels_last: whether images are stored so, in 16 bits.
        constants: of the law.
    """
    planar = (
        constants.grouped_share
        * contraction_efficiency(contraction, constants.grouped_contraction)
        * contraction_efficiency(columns, constants.grouped_columns)
    )
    power = 2 ** np.round(np.log2(np.maximum(columns, 1)))
    own = constants.grouped_share_nhwc * contraction_efficiency(
        columns, constants.grouped_columns_nhwc
    )
    padded = constants.grouped_share_padded * columns / (TILE * np.ceil(columns / TILE))
    interleaved = np.where(power == columns, own, padded)
    return np.asarray(np.where(channels_last, interleaved, planar))
