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

import numpy as np

from costmodel.graph import DTYPE_BYTES, Graph, TensorSpec

Array = np.ndarray


@dataclass(frozen=True)
class Liveness:
    """Live activation memory at every operator, split by what batch and precision change."""

    batched_float32: Array
    """(operators,) float32 elements that grow with the batch."""
    batched_bytes: Array
    fixed_float32: Array
    fixed_bytes: Array
    traced_batch: int

    @property
    def moments(self) -> Array:
        """(4, operators) float32 elements and other bytes: per sample, and whatever the batch."""
        each = np.stack([self.batched_float32, self.batched_bytes]) / self.traced_batch
        return np.concatenate([each, np.stack([self.fixed_float32, self.fixed_bytes])])

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
    count, tensors = len(graph.ops), graph.tensors
    owners = [_owner(graph, spec, storages) for spec in tensors]
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for i in graph.inputs:
        if (owner := owners[i]) is not None:
            first[owner] = last[owner] = 0
    for index, op in enumerate(graph.ops):
        for used in (*op.inputs, *op.outputs):
            if used is not None and (owner := owners[used]) is not None:
                if owner not in first:
                    first[owner] = index
                last[owner] = index
    written = {tensors[i].storage for op in graph.ops if not op.is_view for i in op.outputs}
    training = graph.conditions.get("mode") == "train"
    held = (i for i in graph.inputs if training or tensors[i].storage in written)
    for i in (*graph.outputs, *held):
        if (owner := owners[i]) is not None:
            last[owner] = max(count - 1, 0)
            first.setdefault(owner, last[owner])
    # A buffer made empty and filled with data later grows with the batch.
    batched = {owner for owner, spec in zip(owners, tensors, strict=True) if spec.batched}

    # Add each storage at its first operator and remove it after its last, then accumulate.
    changes = np.zeros((4, count + 1))
    for owner, start in first.items():
        spec, end = tensors[owner], last[owner] + 1
        row, size = 0 if owner in batched else 2, float(spec.distinct)
        if spec.dtype != "float32":
            row, size = row + 1, size * DTYPE_BYTES[spec.dtype]
        changes[row, start] += size
        changes[row, end] -= size
    alive = changes.cumsum(axis=1)[:, :count]
    return Liveness(alive[0], alive[1], alive[2], alive[3], graph.batch)


def _owner(graph: Graph, spec: TensorSpec, storages: Container[int] | None) -> int | None:
    """The tensor whose memory a tensor is in, None if it is always there or not asked for."""
    owner = graph.tensors[spec.storage]
    if owner.is_weight or owner.kind == "state":
        return None
    return owner.id if storages is None or owner.id in storages else None
