"""Live memory: which tensors are alive while each operator runs.

Memory is owned by storages: a view keeps its base alive. A storage lives from the operator that
creates it to the last one that touches it or a view of it; model inputs live from the start
(and to the end if the run writes into them, as into a cache of keys and values, or is a training
step, whose loop holds its batch), results to the end. Weights,
buffers and an optimiser's state are always there: `memory` adds them.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from costmodel.graph import DTYPE_BYTES, Graph

Array = np.ndarray


class _Size(NamedTuple):
    batched: bool
    float32: float
    """Elements that a precision setting converts."""
    other_bytes: float


@dataclass(frozen=True)
class Liveness:
    """Live activation memory at every operator, split by what batch and precision change."""

    batched_float32: Array
    """(operators,) float32 elements that grow with the batch."""
    batched_bytes: Array
    fixed_float32: Array
    fixed_bytes: Array
    traced_batch: int

    def growing(self, float32_bytes: float = 4) -> Array:
        """(operators,) bytes per sample."""
        return np.asarray(
            (self.batched_float32 * float32_bytes + self.batched_bytes) / self.traced_batch
        )

    def fixed(self, float32_bytes: float = 4) -> Array:
        """(operators,) bytes whatever the batch."""
        return np.asarray(self.fixed_float32 * float32_bytes + self.fixed_bytes)

    def bytes_at(self, batch: float, float32_bytes: float = 4) -> Array:
        """(operators,) bytes alive while each operator runs, weights not included."""
        return np.asarray(self.growing(float32_bytes) * batch + self.fixed(float32_bytes))

    def peak_bytes(self, batch: float, float32_bytes: float = 4) -> float:
        """Peak of `bytes_at` over the run."""
        alive = self.bytes_at(batch, float32_bytes)
        return float(alive.max()) if alive.size else 0.0


def liveness_of(graph: Graph, storages: Container[int] | None = None) -> Liveness:
    """Work out the lifetimes of a graph's activations.

    Args:
        graph: in the order it runs.
        storages: only these, by the id of the tensor that owns each; by default all.
    """
    count = len(graph.ops)
    sizes: dict[int, _Size] = {}
    first: dict[int, int] = {}
    last: dict[int, int] = {}

    def touch(tensor: int, when: int) -> None:
        spec = graph.tensors[tensor]
        owner = graph.tensors[spec.storage]
        if owner.is_weight or owner.kind == "state":
            return
        if storages is not None and owner.id not in storages:
            return
        first.setdefault(owner.id, when)
        last[owner.id] = max(last.get(owner.id, when), when)
        if owner.id not in sizes:
            is_float32 = owner.dtype == "float32"
            sizes[owner.id] = _Size(
                spec.batched or owner.batched,
                float(owner.distinct) if is_float32 else 0.0,
                0.0 if is_float32 else float(owner.distinct) * DTYPE_BYTES[owner.dtype],
            )
        elif spec.batched and not sizes[owner.id].batched:
            # A buffer made empty and filled with data later grows with the batch.
            sizes[owner.id] = sizes[owner.id]._replace(batched=True)

    for tensor in graph.inputs:
        touch(tensor, 0)
    for index, op in enumerate(graph.ops):
        for used in (*op.inputs, *op.outputs):
            if used is not None:
                touch(used, index)
    written = {graph.tensors[i].storage for op in graph.ops if not op.is_view for i in op.outputs}
    training = graph.conditions.get("mode") == "train"
    held = (i for i in graph.inputs if training or graph.tensors[i].storage in written)
    for tensor in (*graph.outputs, *held):
        touch(tensor, max(count - 1, 0))

    # Add each storage at its first operator and remove it after its last, then accumulate.
    changes = np.zeros((4, count + 1))
    for owner, size in sizes.items():
        offset = 0 if size.batched else 2
        for start, sign in ((first[owner], 1), (last[owner] + 1, -1)):
            changes[offset, start] += sign * size.float32
            changes[offset + 1, start] += sign * size.other_bytes
    alive = changes.cumsum(axis=1)[:, :count]
    return Liveness(alive[0], alive[1], alive[2], alive[3], graph.batch)
