"""Dispatch: the host prepares an operator while the device waits or works.

A host takes `dispatch` seconds per operator; its kernel starts when a share of them has passed.
Timed alone (event, operator, event), a short kernel hides in the host's time and a long one
follows the start.
"""

from __future__ import annotations

import numpy as np

from costmodel.roofline.constants import Constants

Array = np.ndarray


def timed_alone(kernel: Array, dispatch: Array, start_share: float, constants: Constants) -> Array:
    """Seconds between two events around one operator on an idle device.

    Args:
        kernel: seconds on the device.
        dispatch: seconds of the host per operator.
        start_share: share of it before the kernel starts.
        constants: of the laws.
    """
    latency: Array = np.maximum(
        dispatch, start_share * dispatch + constants.kernel_latency + kernel
    )
    return latency
