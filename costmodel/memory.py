"""Peak memory of a run, what it is made of, and the largest batch that fits.

Weights and an optimiser's state are there all the time; activations and gradients come and go
with the operators (`liveness`). At every operator the total is an affine function of the batch,
so that the peak is the largest of many straight lines and the batch that fits is exact.

Counted is what tensors hold. What a framework takes beside them is not: its context on the device
(hundreds of MB), the workspaces of libraries, and what its allocator rounds up and fragments.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import floor
from typing import NamedTuple

import numpy as np

from costmodel.errors import UsageError
from costmodel.graph import Graph, TensorSpec
from costmodel.liveness import Liveness, liveness_of

Array = np.ndarray

GRADIENT = "gradient of "
"""How the name of a gradient begins that exists before the step."""


class Memory(NamedTuple):
    """Bytes at the moment when most are in use."""

    weights: float
    """Parameters and buffers."""
    gradients: float
    """Of parameters, as many as there are at that moment."""
    optimizer_state: float
    activations: float
    """Everything else: inputs, what backward needs, temporaries."""
    phase: str
    """Of the operator that runs then."""
    operator: int
    """Its index in the graph; -1 if the graph has none."""

    @property
    def total(self) -> float:
        """All four."""
        return self.weights + self.gradients + self.optimizer_state + self.activations


class PeakMemory(NamedTuple):
    """The peak of a run at any batch and width of float32, without what it is made of."""

    always: tuple[float, float]
    """What is there before the run: float32 elements, and bytes of all others."""
    moments: Array
    """(4, moments) what comes and goes, of the moments that no other exceeds in all four: float32
    elements and other bytes per sample, and those that stay whatever the batch."""

    def at(self, batch: float, float32_bytes: float = 4) -> float:
        """Bytes, as `Memory.total`."""
        scales = np.array([float32_bytes * batch, batch, float32_bytes, 1.0])
        most = float((scales @ self.moments).max()) if self.moments.size else 0.0
        return self.always[0] * float32_bytes + self.always[1] + most


@dataclass(frozen=True)
class MemoryModel:
    """Memory of a graph at any batch and width of float32."""

    graph: Graph
    gradients: Liveness
    activations: Liveness

    def always(self, float32_bytes: float = 4) -> Memory:
        """What is there before the run."""
        weights, gradients, state = (f * float32_bytes + other for f, other in self._kept)
        return Memory(weights, gradients, state, activations=0.0, phase="forward", operator=-1)

    @cached_property
    def _kept(self) -> tuple[tuple[float, float], ...]:
        """Of weights, gradients and optimiser state: float32 elements, and bytes of all others."""
        graph = self.graph
        weights = [graph.tensors[i] for i in graph.weights]
        states = [spec for spec in graph.tensors if spec.kind == "state"]
        kept = [spec for spec in states if spec.name.startswith(GRADIENT)]
        own = [spec for spec in states if not spec.name.startswith(GRADIENT)]
        return tuple(map(_elements_and_bytes, (weights, kept, own)))

    def at(self, batch: float, float32_bytes: float = 4) -> Memory:
        """The peak.

        Args:
            batch: samples.
            float32_bytes: what a float32 element takes at the precision of the run.
        """
        before = self.always(float32_bytes)
        gradients = self.gradients.bytes_at(batch, float32_bytes)
        activations = self.activations.bytes_at(batch, float32_bytes)
        if not activations.size:
            return before
        peak = int(np.argmax(gradients + activations))
        return before._replace(
            gradients=before.gradients + float(gradients[peak]),
            activations=float(activations[peak]),
            phase=self.graph.ops[peak].phase,
            operator=peak,
        )

    def peak(self) -> PeakMemory:
        """The peak alone."""
        float32, others = (float(sum(part)) for part in zip(*self._kept, strict=True))
        parts = [part.moments for part in (self.gradients, self.activations)]
        return PeakMemory((float32, others), _greatest(np.sum(parts, axis=0)))

    def largest_batch(self, capacity: float, float32_bytes: float = 4) -> int | None:
        """The most samples whose peak fits into so many bytes.

        0 if not even one does, None if nothing grows with the batch.

        Raises:
            UsageError: if the capacity is not positive.
        """
        if not capacity > 0:
            raise UsageError(f"capacity {capacity} B: expected more than 0")
        parts = (self.gradients, self.activations)
        growing = np.sum([part.growing(float32_bytes) for part in parts], axis=0)
        fixed = np.sum([part.fixed(float32_bytes) for part in parts], axis=0)
        room = capacity - self.always(float32_bytes).total - fixed
        if room.size and room.min() < 0:
            return 0
        grows = growing > 0
        if not grows.any():
            return None
        best = floor(float((room[grows] / growing[grows]).min()))
        # A quotient may round up to a whole number that the sum then exceeds.
        return best if best < 1 or self.at(best, float32_bytes).total <= capacity else best - 1


def memory_of(graph: Graph) -> MemoryModel:
    """The memory of a graph, its gradients told apart if it is a training step."""
    if graph.conditions.get("mode") != "train":
        none = np.zeros(len(graph.ops))
        return MemoryModel(graph, Liveness(none, none, none, none, graph.batch), liveness_of(graph))
    gradients = frozenset(graph.tensors[i].storage for i in graph.outputs[1:])
    others = frozenset(spec.storage for spec in graph.tensors) - gradients
    return MemoryModel(graph, liveness_of(graph, gradients), liveness_of(graph, others))


def _greatest(columns: Array) -> Array:
    """Those columns that no other one exceeds in every row."""
    different = np.unique(columns, axis=1)
    ordered = different[:, np.argsort(-different.sum(axis=0), kind="stable")]
    kept: list[Array] = []
    for column in ordered.T:
        if not any((other >= column).all() for other in kept):
            kept.append(column)
    return np.array(kept).reshape(len(kept), len(columns)).T


def _elements_and_bytes(specs: list[TensorSpec]) -> tuple[float, float]:
    owners = [spec for spec in specs if spec.storage == spec.id]
    float32 = sum(spec.distinct for spec in owners if spec.dtype == "float32")
    return float(float32), float(sum(spec.bytes for spec in owners if spec.dtype != "float32"))
