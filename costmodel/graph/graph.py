"""A traced model: operators in execution order over tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from costmodel.graph import document
from costmodel.graph.operators import Op, TensorSpec

if TYPE_CHECKING:
    import networkx

    from costmodel.estimation import Estimate
    from costmodel.formulas.cost import Cost


@dataclass(frozen=True, eq=False)
class Graph:
    """A traced model. Immutable; build one with `costmodel.trace` or `Graph.from_json`."""

    name: str
    tensors: tuple[TensorSpec, ...]
    """Indexed by tensor id."""
    ops: tuple[Op, ...]
    """In execution order."""
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    batch: int = 1
    """The batch size it was traced at."""
    modules: Mapping[str, str] = field(default_factory=dict)
    """Class name by qualified module path."""
    weights: tuple[int, ...] = ()
    """Ids of all parameters and buffers of the model, also those no operator touched."""
    rung: str = "eager"
    """Which front end traced it."""
    conditions: Mapping[str, Any] = field(default_factory=dict)
    """How it was traced: {"mode": "infer", "autocast": "float16", ...}."""
    guards: tuple[Any, ...] = ()
    """sympy relations that symbolic sizes must satisfy; a size the model pins is an equation."""

    @cached_property
    def parameters(self) -> int:
        """Number of parameters, frozen ones among them and buffers not; shared ones count once."""
        return sum(
            self.tensors[i].numel for i in self.weights if self.tensors[i].kind == "parameter"
        )

    @cached_property
    def weight_bytes(self) -> float:
        """Memory of parameters and buffers, in bytes."""
        return float(sum(self.tensors[i].bytes for i in self.weights))

    @cached_property
    def op_names(self) -> tuple[str, ...]:
        """A readable unique name per operator: its module path and its own name if needed."""
        owners: dict[str, int] = {}
        for op in self.ops:
            if not op.is_view:
                owners[op.module] = owners.get(op.module, 0) + 1
        seen: dict[str, int] = {}
        names = []
        for op in self.ops:
            short = op.target.rpartition("::")[2]
            alone = owners.get(op.module) == 1 and op.module and not op.is_view
            name = op.module if alone else f"{op.module}.{short}".lstrip(".")
            seen[name] = seen.get(name, 0) + 1
            names.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
        return tuple(names)

    def inputs_of(self, op: Op) -> list[TensorSpec | None]:
        """The input tensors of an operator, None where an optional one is absent."""
        tensors = self.tensors
        return [None if i is None else tensors[i] for i in op.inputs]

    def outputs_of(self, op: Op) -> list[TensorSpec]:
        """The output tensors of an operator."""
        tensors = self.tensors
        return [tensors[i] for i in op.outputs]

    def edges(self) -> Iterator[tuple[int, int, int]]:
        """Dataflow as (producing operator, consuming operator, tensor id)."""
        producer: dict[int, int] = {}
        for index, op in enumerate(self.ops):
            for tensor in op.inputs:
                if tensor in producer:
                    yield producer[tensor], index, tensor
            for tensor in op.outputs:
                producer[tensor] = index

    def to_networkx(self) -> networkx.MultiDiGraph[int]:
        """The dataflow as a networkx graph: a node per operator, an edge per tensor passed on."""
        import networkx

        result: networkx.MultiDiGraph[int] = networkx.MultiDiGraph(name=self.name)
        for index, (op, name) in enumerate(zip(self.ops, self.op_names, strict=True)):
            result.add_node(index, name=name, target=op.target, module=op.module, view=op.is_view)
        for source, sink, tensor in self.edges():
            spec = self.tensors[tensor]
            result.add_edge(source, sink, tensor=tensor, shape=spec.shape, dtype=spec.dtype)
        return result

    def renamed(self, name: str) -> Graph:
        """The same graph under another name."""
        return replace(self, name=name)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the sizes that are still symbolic; empty if all are numbers."""
        if all(type(size) is int for spec in self.tensors for size in spec.shape):
            return ()
        from costmodel.symbolic import symbols_of

        return tuple(symbols_of(self))

    def cost(self) -> Cost:
        """Cost of the whole run at the traced sizes, sympy expressions where they are symbolic.

        Raises:
            GraphError: if an operator's binding cannot work with symbolic sizes.
        """
        from costmodel.symbolic import cost

        return cost(self)

    def substitute(self, **sizes: int) -> Graph:
        """The graph with symbolic sizes replaced: `graph.substitute(batch=256)`.

        Raises:
            UsageError: for a name the graph does not have, or a size below 1.
            GraphError: if a size breaks a guard.
        """
        from costmodel.symbolic import substitute

        return substitute(self, sizes)

    def evaluate(self, **sizes: Any) -> Cost:
        """Cost at arrays of sizes, compiled once: `graph.evaluate(batch=np.arange(1, 257))`.

        Raises:
            UsageError: for a missing or unknown name, or a size below 1.
            GraphError: if a size breaks a guard.
        """
        from costmodel.symbolic import evaluate

        return evaluate(self, sizes)

    def estimate(self, devices: Any, **settings: Any) -> Estimate:
        """Predict time on one or more devices; see `costmodel.estimate`."""
        from costmodel.estimation import estimate

        return estimate(self, devices, **settings)

    def to_json(self) -> str:
        """A JSON document that `from_json` reads back to an equal graph.

        Raises:
            GraphError: if sizes are symbolic (substitute numbers first).
        """
        return document.written(self)

    @classmethod
    def from_json(cls, text: str) -> Graph:
        """Read what `to_json` wrote.

        Raises:
            GraphError: if the text is not such a document, naming the first offending place.
        """
        return cls(**document.fields_of(text))

    def _repr_html_(self) -> str:
        from costmodel.reports.display import graph_html

        return graph_html(self)

    def __repr__(self) -> str:
        return (
            f"Graph({self.name!r}, {sum(not o.is_view for o in self.ops)} operators, "
            f"{self.parameters:,} parameters, batch {self.batch})"
        )
