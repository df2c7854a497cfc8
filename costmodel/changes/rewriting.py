"""A changed copy of a graph, written operator by operator."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from costmodel.graph import Dim, Graph, Op, TensorSpec


class Rewriter:
    """Collects the operators of the new graph; tensors keep their ids, new ones come behind."""

    def __init__(self, graph: Graph) -> None:
        self.source = graph
        self.tensors: list[TensorSpec] = list(graph.tensors)
        self.ops: list[Op] = []
        self._weights = list(graph.weights)
        self._released: set[int] = set()
        self._moved: dict[int, int] = {}
        self._last_use: dict[int, int] = {}
        for index, op in enumerate(graph.ops):
            for tensor in (*op.inputs, *op.outputs):
                if tensor is not None:
                    self._last_use[graph.tensors[tensor].storage] = index

    def used_after(self, tensor: int, index: int) -> bool:
        """Whether the memory of a tensor of the source matters after its operator `index`.

        The caller's own memory and results of the model always do.
        """
        graph, storage = self.source, self.source.tensors[tensor].storage
        if graph.tensors[storage].kind != "activation":
            return True
        if any(graph.tensors[output].storage == storage for output in graph.outputs):
            return True
        return self._last_use[storage] > index

    def weight(self, name: str, shape: tuple[Dim, ...], dtype: str) -> int:
        """A new parameter."""
        index = len(self.tensors)
        spec = TensorSpec(index, shape, dtype, "parameter", None, index, False, name)
        self.tensors.append(spec)
        self._weights.append(index)
        return index

    def activation(
        self,
        like: TensorSpec,
        shape: tuple[Dim, ...] | None = None,
        *,
        storage: int | None = None,
    ) -> int:
        """A new tensor of the dtype of another.

        Args:
            like: gives dtype, batching, and shape and strides unless they are said.
            shape: of the tensor, contiguous if it is memory of its own.
            storage: of the tensor that owns its memory, which then gives the strides too.
        """
        index = len(self.tensors)
        strides = like.strides
        if storage is not None:
            strides = strides or contiguous_strides(like.shape)
        elif shape is not None and strides is not None:
            strides = None
        self.tensors.append(
            like._replace(
                id=index, shape=shape or like.shape, kind="activation", strides=strides,
                storage=index if storage is None else storage, name="",
            )
        )  # fmt: skip
        return index

    def move(self, tensor: int, storage: int) -> None:
        """Let a tensor live in other memory, and all views of it."""
        self._moved[self.tensors[tensor].storage] = storage

    def restride(self, tensor: int, strides: tuple[Dim, ...] | None) -> None:
        """Change how a tensor lies in memory."""
        self.tensors[tensor] = self.tensors[tensor]._replace(strides=strides)

    def release(self, weights: Iterable[int | None]) -> None:
        """Weights that the new graph does not need, unless another operator still reads them."""
        self._released.update(weight for weight in weights if weight is not None)

    def graph(self) -> Graph:
        """The new graph."""
        read = {tensor for op in self.ops for tensor in op.inputs}
        gone = self._released - read
        return replace(
            self.source,
            tensors=tuple(spec._replace(storage=self._home(spec.storage)) for spec in self.tensors),
            ops=tuple(self.ops),
            weights=tuple(weight for weight in self._weights if weight not in gone),
        )

    def _home(self, storage: int) -> int:
        while storage in self._moved:
            storage = self._moved[storage]
        return storage


def contiguous_strides(shape: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """Strides of a tensor whose last dimension is innermost, in elements."""
    strides: list[Dim] = []
    step: Dim = 1
    for size in reversed(shape):
        strides.append(step)
        step = step * size
    return tuple(reversed(strides))
