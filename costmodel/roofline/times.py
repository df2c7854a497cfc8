"""Time of operators on devices, in the parts that it is joined from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

Array = np.ndarray

BOUNDS = ("compute", "memory", "launch", "lanes")
"""What limits an operator, by code: arithmetic at its engine's peak; bytes; the start of the
operator; or scalar lanes, busy with index arithmetic and loads rather than with FLOPs."""


@dataclass(frozen=True)
class Times:
    """Time of every row in seconds; arrays are (devices, batches, rows), or (rows,) of one run."""

    compute: Array
    memory: Array
    launch: Array
    lanes: Array
    """Time on scalar lanes of kernels that have no other engine, else 0."""
    total: Array
    """All four joined, with their overlap."""

    def at(self, device: int, batch: int) -> Times:
        """Those of one device and batch; arrays are (rows,)."""
        shape = self.total.shape
        parts = (getattr(self, name) for name in (*BOUNDS, "total"))
        whole = (part if part.shape == shape else np.broadcast_to(part, shape) for part in parts)
        return Times(*(part[device, batch] for part in whole))

    @cached_property
    def bound(self) -> Array:
        """Code into `BOUNDS` of the longest part."""
        parts = np.broadcast_arrays(*(getattr(self, name) for name in BOUNDS))
        return np.asarray(np.argmax(np.stack(parts), 0))
