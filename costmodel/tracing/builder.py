"""A graph built by hand, operator by operator, without a framework.

>>> builder = GraphBuilder("two convolutions")
>>> x = builder.input((1, 64, 56, 56))
>>> x = builder.conv2d(x, 64, kernel=3, module="spatial")
>>> builder.graph(builder.conv2d(x, 128, kernel=1, module="pointwise"))
Graph('two convolutions', 2 operators, 45,056 parameters, batch 1)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from costmodel.errors import UsageError
from costmodel.graph import Graph, Op, TensorKind, TensorSpec


class GraphBuilder:
    """Collects operators; tensors are handed from one to the next by id."""

    def __init__(self, name: str, dtype: str = "float32") -> None:
        self.name = name
        self.dtype = dtype
        self._tensors: list[TensorSpec] = []
        self._ops: list[Op] = []
        self._inputs: list[int] = []

    def input(self, shape: Sequence[int]) -> int:
        """An input of the model; its first dimension is the batch."""
        self._inputs.append(self._tensor(shape, "input", batched=True, name="input"))
        return self._inputs[-1]

    def conv2d(self, x: int, c_out: int, *, kernel: int, groups: int = 1, module: str = "") -> int:
        """Convolve (n, c_in, h, w) to (n, c_out, h, w): stride 1, padded, without bias.

        Raises:
            UsageError: if the channels do not divide into the groups, or the kernel is even.
        """
        n, c_in, h, w = self._tensors[x].shape
        if c_in % groups or c_out % groups:
            raise UsageError(f"{module}: {c_in} to {c_out} channels do not divide by {groups}")
        if kernel % 2 == 0:
            raise UsageError(f"{module}: kernel {kernel}: expected an odd size, to keep the shape")
        shape = (c_out, c_in // groups, kernel, kernel)
        weight = self._tensor(shape, "parameter", batched=False, name=f"{module}.weight")
        y = self._tensor((n, c_out, h, w), "activation", batched=True)
        attrs = {"stride": [1, 1], "padding": [kernel // 2] * 2, "groups": groups}
        self._ops.append(
            Op("aten::convolution", (x, weight, None), (y,), {**attrs, "transposed": False}, module)
        )
        return y

    def parameter(self, shape: Sequence[int], name: str, *, trained: bool = True) -> int:
        """A weight of the model; a buffer if it is not trained."""
        kind: TensorKind = "parameter" if trained else "buffer"
        return self._tensor(shape, kind, batched=False, name=name)

    def operator(
        self,
        target: str,
        inputs: Sequence[int | None],
        shape: Sequence[int],
        *,
        module: str = "",
        **attrs: Any,
    ) -> int:
        """Append any operator that works on the batch.

        Args:
            target: its ATen name, "aten::mul".
            inputs: tensors in the order of its arguments, None where one is absent.
            shape: of its output.
            module: path of the module it belongs to.
            attrs: its other arguments, by their schema name.
        """
        y = self._tensor(shape, "activation", batched=True)
        self._ops.append(Op(target, tuple(inputs), (y,), attrs, module))
        return y

    def graph(self, *outputs: int) -> Graph:
        """The graph of what was built."""
        weights = tuple(t.id for t in self._tensors if t.is_weight)
        batch = self._tensors[self._inputs[0]].shape[0] if self._inputs else 1
        return Graph(
            name=self.name,
            tensors=tuple(self._tensors),
            ops=tuple(self._ops),
            inputs=tuple(self._inputs),
            outputs=outputs,
            batch=batch,
            weights=weights,
            rung="builder",
        )

    def _tensor(self, shape: Sequence[int], kind: TensorKind, batched: bool, name: str = "") -> int:
        index = len(self._tensors)
        spec = TensorSpec(index, tuple(shape), self.dtype, kind, None, index, batched, name)
        self._tensors.append(spec)
        return index
