"""Steps of the walk become operators of a `Graph`: ids, storages, strides and dataflow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from costmodel.graph import Dim, Graph, Op, TensorKind, TensorSpec
from costmodel.tracing.onnx_model.layout import (
    Strides,
    channels_last,
    explicit,
    in_order_of,
    is_channels_last,
    normalized,
    reshaped,
)
from costmodel.tracing.onnx_model.values import Value, product


class OpBuilder:
    """Collects operators; tensors are handed on by id."""

    def __init__(self) -> None:
        self.tensors: list[TensorSpec] = []
        self.ops: list[Op] = []
        self.weights: list[int] = []
        self.module = ""
        self._ids: dict[Value, int] = {}

    def graph(
        self,
        name: str,
        inputs: Iterable[Value],
        outputs: Iterable[Value],
        batch: Any,
        modules: Mapping[str, str],
        conditions: Mapping[str, Any],
    ) -> Graph:
        """The graph of what was emitted."""
        output_ids = tuple(dict.fromkeys(self.id_of(v) for v in outputs))
        return Graph(
            name=name,
            tensors=tuple(self.tensors),
            ops=tuple(self.ops),
            inputs=tuple(self.id_of(v) for v in inputs),
            outputs=output_ids,
            weights=tuple(self.weights),
            batch=batch,
            modules=dict(modules),
            rung="onnx",
            conditions=dict(conditions),
        )

    # ------------------------------------------------------------------ tensors

    def id_of(self, value: Value) -> int:
        """The tensor of a value; weights, inputs and constants appear when first read."""
        found = self._ids.get(value)
        if found is None:
            batched = value.kind == "input"
            found = self._tensor(value.shape, value.dtype, value.kind, batched, name=value.name)
            self._ids[value] = found
            if value.kind in ("parameter", "buffer"):
                self.weights.append(found)
        return found

    def optional(self, value: Value | None) -> int | None:
        """The tensor of a value that may be absent."""
        return None if value is None else self.id_of(value)

    def bind(self, value: Value, tensor: int) -> None:
        """Say that a value is this tensor."""
        self._ids[value] = tensor

    def _tensor(
        self,
        shape: Sequence[Dim],
        dtype: str,
        kind: TensorKind,
        batched: bool,
        strides: Strides = None,
        storage: int | None = None,
        name: str = "",
    ) -> int:
        index = len(self.tensors)
        owner = index if storage is None else storage
        label = name if kind != "activation" else ""
        self.tensors.append(
            TensorSpec(index, tuple(shape), dtype, kind, strides, owner, batched, label)
        )
        return index

    # ---------------------------------------------------------------- operators

    def emit(
        self,
        target: str,
        inputs: Sequence[int | None],
        outputs: Sequence[tuple[Sequence[Dim], str]],
        attrs: Mapping[str, Any] | None = None,
        strides: Strides = None,
    ) -> list[int]:
        """An operator that does work; one whose outputs are all empty does none."""
        batched = any(i is not None and self.tensors[i].batched for i in inputs)
        made = [
            self._tensor(shape, dtype, "activation", batched, strides if n == 0 else None)
            for n, (shape, dtype) in enumerate(outputs)
        ]
        if any(product(self.tensors[i].shape) != 0 for i in made):
            self.ops.append(Op(target, tuple(inputs), tuple(made), dict(attrs or {}), self.module))
        return made

    def view(
        self,
        target: str,
        x: int,
        shape: Sequence[Dim],
        strides: Strides,
        attrs: Mapping[str, Any] | None = None,
        *,
        count: int = 1,
    ) -> int:
        """A view of a tensor."""
        return self.views(target, x, [(shape, strides)], attrs)[0]

    def views(
        self,
        target: str,
        x: int,
        views: Sequence[tuple[Sequence[Dim], Strides]],
        attrs: Mapping[str, Any] | None = None,
    ) -> list[int]:
        """Several views of a tensor made by one operator."""
        spec = self.tensors[x]
        made = [
            self._tensor(
                shape, spec.dtype, "activation", spec.batched, normalized(shape, strides),
                spec.storage,
            )
            for shape, strides in views
        ]  # fmt: skip
        self.ops.append(Op(target, (x,), tuple(made), dict(attrs or {}), self.module, True))
        return made

    # ---------------------------------------------------------- common movements

    def reshape(self, x: int, shape: Sequence[Dim], target: str = "aten::reshape") -> int:
        """A reshape: a view where the memory allows it, else a copy."""
        spec = self.tensors[x]
        if tuple(shape) == spec.shape:
            return x
        strides = reshaped(spec.shape, spec.strides, shape)
        if strides is False:
            return self.emit("aten::clone", (x,), [(shape, spec.dtype)])[0]
        assert not isinstance(strides, bool)
        return self.view(target, x, shape, strides)

    def permute(self, x: int, order: Sequence[int]) -> int:
        """A view with dimensions in another order."""
        spec = self.tensors[x]
        if list(order) == list(range(len(spec.shape))):
            return x
        strides = explicit(spec.shape, spec.strides)
        shape = [spec.shape[i] for i in order]
        return self.view(
            "aten::permute", x, shape, tuple(strides[i] for i in order), {"dims": list(order)}
        )

    def transpose(self, x: int) -> int:
        """A view with the last two dimensions exchanged."""
        rank = len(self.tensors[x].shape)
        return self.permute(x, [*range(rank - 2), rank - 1, rank - 2])

    def expand(self, x: int, shape: Sequence[Dim]) -> int:
        """A view that repeats dimensions of size 1."""
        spec = self.tensors[x]
        if tuple(shape) == spec.shape:
            return x
        lead = len(shape) - len(spec.shape)
        strides = [0] * lead + [
            0 if old != new else step
            for old, new, step in zip(
                spec.shape, shape[lead:], explicit(spec.shape, spec.strides), strict=True
            )
        ]
        return self.view("aten::expand", x, shape, tuple(strides), {"size": list(shape)})

    # ------------------------------------------------------------------- layouts

    def layout_of(self, inputs: Sequence[int | None], shape: Sequence[Dim]) -> Strides:
        """Strides of a pointwise result: those of the first operand that has its shape."""
        for index in inputs:
            if index is not None and self.tensors[index].shape == tuple(shape):
                return in_order_of(shape, self.tensors[index].strides)
        return None

    def image_layout(self, x: int, shape: Sequence[Dim]) -> Strides:
        """Strides of a result that keeps channels innermost if its input has them so."""
        spec = self.tensors[x]
        if is_channels_last(spec.shape, spec.strides) and len(shape) == len(spec.shape):
            return normalized(shape, channels_last(shape))
        return None
