"""The operator graph: what a traced model is, in framework-free and immutable form.

A `Graph` is a list of operators in execution order over a list of tensors. Every front end
(PyTorch eager, torch.export, ONNX) produces it; formulas, passes and the engine read it.

Operators carry ATen names ("aten::convolution", "aten::linear"), the best documented vocabulary
of the field; other front ends translate to it. In-place and out variants carry the functional
name ("aten::relu_" is "aten::relu"), since they cost the same; what they overwrite shows in the
storage of their output.

Views are operators too (they keep the dataflow connected) but move nothing: their output shares
the `storage` of their input.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import isfinite, prod
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from costmodel.errors import GraphError

if TYPE_CHECKING:
    import networkx

    from costmodel.estimation import Estimate
    from costmodel.formulas.cost import Cost

Dim = Any
"""A size: an int, or a sympy expression when the graph was traced symbolically."""

TensorKind = Literal["input", "parameter", "buffer", "constant", "state", "activation"]
"""A state is what an optimiser keeps from step to step, gradients that are added to among it."""

DTYPE_BYTES: Mapping[str, float] = {
    "float64": 8,
    "float32": 4,
    "tf32": 4,
    "float16": 2,
    "bfloat16": 2,
    "float8_e4m3fn": 1,
    "float8_e5m2": 1,
    "complex64": 8,
    "complex128": 16,
    "int64": 8,
    "int32": 4,
    "int16": 2,
    "int8": 1,
    "uint8": 1,
    "qint8": 1,
    "quint8": 1,
    "qint32": 4,
    "int4": 0.5,
    "bool": 1,
}
"""Bytes per element in memory (tf32 is stored as float32)."""

PHASES = ("forward", "recompute", "backward", "optimizer")
"""Of a training step; recompute is the forward that checkpointing runs again."""

FORMAT_VERSION = 1


class TensorSpec(NamedTuple):
    """A tensor of the graph: its shape and where its memory is, never its values."""

    id: int
    shape: tuple[Dim, ...]
    dtype: str
    kind: TensorKind
    strides: tuple[Dim, ...] | None
    """In elements, or None for contiguous; a stride of 0 marks an expanded dimension."""
    storage: int
    """The id of the tensor that owns the memory; a view has that of its base."""
    batched: bool
    """Whether the values depend on a model input, so that the size follows the batch."""
    name: str = ""
    """Qualified name of a parameter, buffer or input; empty for activations."""

    @property
    def numel(self) -> Dim:
        """Number of elements, expanded ones included."""
        return prod(self.shape)

    @property
    def distinct(self) -> Dim:
        """Number of different elements in memory: expanded (stride 0) dimensions count once."""
        if self.strides is None or 0 not in self.strides:
            return prod(self.shape)
        return prod(s for s, step in zip(self.shape, self.strides, strict=True) if step != 0)

    @property
    def bytes(self) -> Dim:
        """Size of the distinct elements in memory, in bytes."""
        return self.distinct * DTYPE_BYTES[self.dtype]

    @property
    def is_weight(self) -> bool:
        """Whether this is a parameter or buffer of the model."""
        return self.kind in ("parameter", "buffer")


class Op(NamedTuple):
    """One operator of the graph."""

    target: str
    """ATen name without overload: "aten::convolution"."""
    inputs: tuple[int | None, ...]
    """Tensor ids in argument order, lists flattened; None where an optional one is absent."""
    outputs: tuple[int, ...]
    attrs: Mapping[str, Any]
    """Arguments that are not tensors, by their schema name."""
    module: str
    """Qualified path of the innermost module that ran it, "" for the root."""
    is_view: bool = False
    phase: str = "forward"
    """One of `PHASES`."""


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
        """Number of trainable parameters, shared ones counted once."""
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

    # ---------------------------------------------------------------- JSON

    def to_json(self) -> str:
        """A JSON document that `from_json` reads back to an equal graph.

        Raises:
            GraphError: if sizes are symbolic (substitute numbers first).
        """
        document = {
            "format": "costmodel-graph",
            "version": FORMAT_VERSION,
            "name": self.name,
            "batch": self.batch,
            "rung": self.rung,
            "conditions": dict(self.conditions),
            "modules": dict(self.modules),
            "inputs": self.inputs,
            "outputs": self.outputs,
            "weights": self.weights,
            "tensors": [t._asdict() for t in self.tensors],
            "ops": [o._asdict() for o in self.ops],
        }
        try:
            return json.dumps(document, separators=(",", ":"), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise GraphError(f"graph {self.name!r} cannot be written as JSON: {error}") from error

    @classmethod
    def from_json(cls, text: str) -> Graph:
        """Read what `to_json` wrote.

        Raises:
            GraphError: if the text is not such a document, naming the first offending place.
        """
        try:
            document = json.loads(text, parse_constant=_finite, parse_float=_finite)
        except (ValueError, RecursionError) as error:
            raise GraphError(f"not a JSON document: {error}") from error
        if not isinstance(document, dict) or document.get("format") != "costmodel-graph":
            raise GraphError('not a costmodel graph: expected {"format": "costmodel-graph", ...}')
        if document.get("version") != FORMAT_VERSION:
            raise GraphError(
                f"graph format version {document.get('version')!r} is not supported; "
                f"this release reads version {FORMAT_VERSION}"
            )
        try:
            count = len(document["tensors"])
            tensors = tuple(_read_tensor(i, t, count) for i, t in enumerate(document["tensors"]))
            ops = tuple(_read_op(i, o, len(tensors)) for i, o in enumerate(document["ops"]))
            _check_order(ops)
            graph = cls(
                name=str(document["name"]),
                tensors=tensors,
                ops=ops,
                inputs=_read_ids("inputs", document["inputs"], len(tensors)),
                outputs=_read_ids("outputs", document["outputs"], len(tensors)),
                weights=_read_ids("weights", document["weights"], len(tensors)),
                batch=_read_batch(document["batch"]),
                modules={str(k): str(v) for k, v in document["modules"].items()},
                rung=str(document["rung"]),
                conditions=dict(document["conditions"]),
            )
        except KeyError as error:
            raise GraphError(f"graph document lacks the key {error}") from error
        except (TypeError, AttributeError, ValueError) as error:
            raise GraphError(f"graph document is malformed: {error}") from error
        return graph

    # ------------------------------------------------------------- display

    def _repr_html_(self) -> str:
        from costmodel.reports.display import graph_html

        return graph_html(self)

    def __repr__(self) -> str:
        return (
            f"Graph({self.name!r}, {sum(not o.is_view for o in self.ops)} operators, "
            f"{self.parameters:,} parameters, batch {self.batch})"
        )


_MAX_DIM = 2**53  # beyond it float64 columns are no longer exact
_MAX_RANK = 64  # what the frameworks allow


def _finite(text: str) -> float:
    if not isfinite(value := float(text)):
        raise ValueError(f"{text:.80} is not a finite number")
    return value


def _read_size(where: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _MAX_DIM:
        raise GraphError(f"{where}: expected a size from 0 to 2^53, got {value!r:.80}")
    return value


def _read_batch(value: Any) -> int:
    if _read_size("batch", value) < 1:
        raise GraphError(f"batch: expected at least 1, got {value}")
    return int(value)


def _read_ids(where: str, values: Any, count: int) -> tuple[int, ...]:
    if type(values) is not list:
        raise GraphError(f"{where}: expected a list of tensors, got {values!r:.80}")
    for value in values:
        if type(value) is not int or not 0 <= value < count:
            raise GraphError(f"{where}: no tensor {value!r:.80} (there are {count})")
    return tuple(values)


def _read_tensor(index: int, fields: dict[str, Any], count: int) -> TensorSpec:
    try:
        if len(fields) > len(TensorSpec._fields):
            raise GraphError(f": malformed, unknown keys in {sorted(fields)}")
        shape, strides, storage = fields["shape"], fields["strides"], fields["storage"]
        dtype, kind, name = fields["dtype"], fields["kind"], fields.get("name", "")
        if fields["id"] != index:
            raise GraphError(f": id is {fields['id']!r:.80}, expected {index}")
        if type(dtype) is not str or dtype not in DTYPE_BYTES:
            raise GraphError(f": unknown dtype {dtype!r:.80}")
        if kind not in _KINDS:
            raise GraphError(f": unknown kind {kind!r:.80}")
        if type(name) is not str:
            raise GraphError(f": expected a text as name, got {name!r:.80}")
        if type(storage) is not int or not 0 <= storage < count:
            raise GraphError(f".storage: no tensor {storage!r:.80} (there are {count})")
        if type(shape) is not list or len(shape) > _MAX_RANK:
            raise GraphError(f": expected a shape of at most {_MAX_RANK} dimensions")
        for size in shape:
            _read_size(".shape", size)
        if prod(shape) > _MAX_DIM:
            raise GraphError(f": {shape} has more than 2^53 elements")
        if strides is not None:
            if type(strides) is not list or any(type(step) is not int for step in strides):
                raise GraphError(": expected whole numbers as strides")
            if len(strides) != len(shape):
                raise GraphError(f": {len(strides)} strides for {len(shape)} dimensions")
            strides = tuple(strides)
        batched = bool(fields["batched"])
        return TensorSpec(index, tuple(shape), dtype, kind, strides, storage, batched, name)
    except GraphError as error:
        raise GraphError(f"tensors[{index}]{error}") from None


def _read_op(index: int, fields: dict[str, Any], count: int) -> Op:
    try:
        if not fields.keys() <= _OP_FIELDS:
            raise GraphError(f": malformed, unknown keys in {sorted(fields)}")
        target, inputs, attrs = fields["target"], fields["inputs"], fields["attrs"]
        module, is_view, phase = fields["module"], fields["is_view"], fields["phase"]
        if type(target) is not str or not target or type(attrs) is not dict:
            raise GraphError(": expected a target name and an attribute object")
        if type(module) is not str or type(phase) is not str:
            raise GraphError(
                f": expected texts as module and phase, got {module!r:.80}, {phase!r:.80}"
            )
        if type(is_view) is not bool:
            raise GraphError(f".is_view: expected true or false, got {is_view!r:.80}")
        if type(inputs) is not list:
            raise GraphError(f".inputs: expected a list of tensors, got {inputs!r:.80}")
        _read_ids(".inputs", [i for i in inputs if i is not None], count)
        outputs = _read_ids(".outputs", fields["outputs"], count)
        return Op(target, tuple(inputs), outputs, attrs, module, is_view, phase)
    except GraphError as error:
        raise GraphError(f"ops[{index}]{error}") from None


_OP_FIELDS = frozenset(Op._fields)
_KINDS = frozenset(get_args(TensorKind))


def _check_order(ops: tuple[Op, ...]) -> None:
    """Every tensor is made once, and used after that."""
    maker: dict[int, int] = {}
    for index, op in enumerate(ops):
        for tensor in op.outputs:
            if tensor in maker:
                raise GraphError(f"ops[{index}]: tensor {tensor} is made by ops[{maker[tensor]}]")
            maker[tensor] = index
    for index, op in enumerate(ops):
        for used in op.inputs:
            if used is not None and maker.get(used, -1) >= index:
                raise GraphError(f"ops[{index}]: uses tensor {used} before it is made")
