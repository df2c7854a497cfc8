"""The tape: operators in the order they ran, and how they become a `Graph` afterwards.

Recording only appends references, which keeps tracing fast; shapes, storages and dataflow are
worked out once at the end. The references also keep every tensor alive, so that identities stay
unique (tensors on the meta device own no memory).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from costmodel.graph import Graph, Op, TensorKind, TensorSpec
from costmodel.tracing.bounds import Bounds
from costmodel.tracing.modules import ModulePaths
from costmodel.tracing.quantized import Packed, tensors_of

DTYPE_NAMES: dict[torch.dtype, str] = {
    value: name
    for name, value in vars(torch).items()
    if isinstance(value, torch.dtype)
    and name
    in (
        "float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "complex64",
        "complex128", "int64", "int32", "int16", "int8", "uint8", "bool", "qint8", "quint8",
        "qint32",
    )
}  # fmt: skip
"""Graph dtype name by torch dtype."""


class Event(NamedTuple):
    """One operator as it ran."""

    target: str
    inputs: Sequence[torch.Tensor | None]
    outputs: Sequence[torch.Tensor]
    attrs: dict[str, Any]
    module: str
    is_view: bool
    phase: str


class Weight(NamedTuple):
    """A parameter or buffer of a model."""

    name: str
    tensor: torch.Tensor
    kind: TensorKind


class Tape:
    """Collects events while a model runs and turns them into a graph."""

    def __init__(self, model: nn.Module) -> None:
        self.paths = ModulePaths(model)
        self.events: list[Event] = []
        self.phase = "forward"
        self.bounds = Bounds()
        self.packed: dict[str, Packed] = {}
        """What quantised layers hold, by module path."""
        self._model = model

    def emit(
        self,
        target: str,
        inputs: Sequence[torch.Tensor | None],
        outputs: Sequence[torch.Tensor],
        attrs: dict[str, Any],
        is_view: bool = False,
    ) -> None:
        """Record that an operator ran."""
        self.events.append(
            Event(target, inputs, outputs, attrs, self.paths.current, is_view, self.phase)
        )

    def to_graph(
        self,
        name: str,
        inputs: Iterable[torch.Tensor],
        outputs: Iterable[torch.Tensor],
        *,
        weights: Iterable[Weight] | None = None,
        states: Iterable[Weight] = (),
        read: Callable[[Any], Any] | None = None,
        **fields: Any,
    ) -> Graph:
        """The graph of what was recorded.

        Args:
            name: name of the graph.
            inputs: tensors the model was given.
            outputs: tensors it returned.
            weights: parameters and buffers, by default those of the model.
            states: what an optimiser keeps between steps.
            read: turns symbolic sizes and strides into expressions; by default they are numbers.
            fields: passed on to `Graph`.
        """
        builder = _Builder(self._weights() if weights is None else weights, read)
        for state in states:
            builder.add_state(state)
        input_ids = tuple(builder.add_input(t) for t in inputs)
        for event in self.events:
            builder.add(event)
        # Reading may add a tensor: one that was written to through another view of it.
        output_ids = tuple(builder.read(t) for t in outputs)
        return Graph(
            name=name,
            tensors=tuple(builder.tensors),
            ops=tuple(builder.ops),
            inputs=input_ids,
            outputs=output_ids,
            weights=tuple(builder.weights),
            modules=self.paths.classes,
            **fields,
        )

    def _weights(self) -> Iterator[Weight]:
        seen: set[int] = set()
        for name, parameter in self._model.named_parameters():
            seen.add(id(parameter))
            yield Weight(name, parameter, "parameter")
        for name, buffer in self._model.named_buffers():
            if id(buffer) not in seen:
                yield Weight(name, buffer, "buffer")
        for name, tensor in tensors_of(self.packed):
            yield Weight(name, tensor, "parameter")


class _Builder:
    def __init__(self, weights: Iterable[Weight], read: Callable[[Any], Any] | None) -> None:
        self._read_size = read
        self.tensors: list[TensorSpec] = []
        self.ops: list[Op] = []
        self.weights: list[int] = []
        self._spec_of: dict[int, int] = {}  # id(torch tensor) -> its latest spec
        self._storages: dict[int, int] = {}  # torch storage -> spec that owns it
        self._writer: dict[int, int] = {}  # owning spec -> spec of the last in-place write
        self._alive: list[torch.Tensor] = []
        for name, tensor, kind in weights:
            self.weights.append(self._add(tensor, kind, False, name))

    def _add(self, tensor: torch.Tensor, kind: TensorKind, batched: bool, name: str = "") -> int:
        index = len(self.tensors)
        storage = self._storages.setdefault(_storage_of(tensor), index)
        shape, strides = self._layout(tensor)
        self.tensors.append(
            TensorSpec(
                index,
                shape,
                DTYPE_NAMES[tensor.dtype],
                kind,
                strides,
                storage,
                batched,
                name,
            )
        )
        self._spec_of[id(tensor)] = index
        self._alive.append(tensor)
        return index

    def _layout(self, tensor: torch.Tensor) -> tuple[tuple[Any, ...], tuple[Any, ...] | None]:
        if self._read_size is None:
            return tuple(tensor.shape), None if _is_contiguous(tensor) else tuple(tensor.stride())
        shape, strides = self._read_size(tensor.shape), self._read_size(tensor.stride())
        return shape, None if contiguous(shape, strides) else strides

    def add_state(self, state: Weight) -> int:
        return self._add(state.tensor, state.kind, False, state.name)

    def add_input(self, tensor: torch.Tensor) -> int:
        return self._add(tensor, "input", True, "input")

    def read(self, tensor: torch.Tensor) -> int:
        """The spec of a tensor as it is now, in-place writes through other views included."""
        index = self._spec_of.get(id(tensor))
        if index is None:
            return self._read_unknown(tensor)
        spec = self.tensors[index]
        writer = self._writer.get(spec.storage)
        if writer is None or writer <= index:
            return index
        # Somebody wrote into this memory through another view: join what was and what is.
        batched = spec.batched or self.tensors[writer].batched
        joined = self._add(tensor, "activation", batched)
        op = Op("aten::alias", (index, writer), (joined,), {}, self.ops[-1].module, is_view=True)
        self.ops.append(op)
        return joined

    def _read_unknown(self, tensor: torch.Tensor) -> int:
        """A tensor no event has made: new, or one that autograd saved and gave back by another
        object, which is then a view of the latest tensor in its memory."""
        owner = self._storages.get(_storage_of(tensor))
        if owner is None:
            return self._add(tensor, "constant", False)
        base = next(s for s in reversed(self.tensors) if s.storage == owner)
        seen = self._add(tensor, "activation", base.batched)
        last = self.ops[-1] if self.ops else None
        module, phase = (last.module, last.phase) if last else ("", "forward")
        self.ops.append(Op("aten::alias", (base.id,), (seen,), {}, module, True, phase))
        return seen

    def add(self, event: Event) -> None:
        inputs = tuple(None if t is None else self.read(t) for t in event.inputs)
        batched = any(i is not None and self.tensors[i].batched for i in inputs)
        outputs = []
        for tensor in event.outputs:
            overwritten = not event.is_view and _storage_of(tensor) in self._storages
            index = self._add(tensor, "activation", batched)
            if overwritten:
                self._writer[self.tensors[index].storage] = index
            outputs.append(index)
        read = self._read_size or jsonable
        attrs = {key: read(value) for key, value in event.attrs.items()}
        self.ops.append(
            Op(
                event.target,
                inputs,
                tuple(outputs),
                attrs,
                event.module,
                event.is_view,
                event.phase,
            )
        )


def _storage_of(tensor: torch.Tensor) -> int:
    try:
        return int(tensor.untyped_storage()._cdata)
    except NotImplementedError:  # sparse and other layouts without one storage
        return id(tensor)


def _is_contiguous(tensor: torch.Tensor) -> bool:
    try:
        return tensor.is_contiguous()
    except RuntimeError:
        return True


def contiguous(shape: Sequence[Any], strides: Sequence[Any]) -> bool:
    """Whether strides are those of a contiguous tensor; sizes may be expressions."""
    expected: Any = 1
    for size, step in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1:
            if step != expected and not _vanishes(step - expected):
                return False
            expected = expected * size
    return True


def _vanishes(difference: Any) -> bool:
    return hasattr(difference, "expand") and bool(difference.expand() == 0)


def jsonable(value: Any) -> Any:
    """An attribute value that survives JSON: torch types become their names."""
    if isinstance(value, (bool, int, str)) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, (list, tuple)):
        return [jsonable(v) for v in value]
    if isinstance(value, torch.dtype):
        return DTYPE_NAMES.get(value, str(value))
    return str(value)
