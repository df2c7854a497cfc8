"""Issue slots: where lanes take a multiply-add at every clock, loads take the place of some.

A scheduler issues one instruction per clock to the 32 threads of a warp. Where it has 16 lanes, a
multiply-add keeps them busy for two clocks and every other slot is free for loads and addresses;
where it has 32 lanes there is none, and each other instruction takes the place of a multiply-add.

Sources: NVIDIA's architecture white papers: Volta, Turing and GA100 have four schedulers and 64
float32 lanes per unit, GA10x, Ada, Hopper and Blackwell four and 128; Pascal issues two at a time
(CUDA programming guide, compute capability 6.x).
"""

from __future__ import annotations

import numpy as np

from costmodel.roofline.device_columns import DeviceColumns
from costmodel.roofline.once import once

Array = np.ndarray

BESIDE = 6 / 64
"""Other instructions per multiply-add in a float32 product whose threads compute 8 x 8 results: 64
multiply-adds stand beside four 16-byte loads and about two more (copies, barriers, loops)."""


@once
def issue_share(device: DeviceColumns) -> Array:
    """Share of a unit's float32 rate that its schedulers can issue in dense work.

    Args:
        device: needs issued_lanes; 1 where it is unknown.
    """
    taken = device.issued_lanes * (1 + BESIDE)
    return np.asarray(np.where(np.isfinite(taken), 1 / np.maximum(taken, 1.0), 1.0))
