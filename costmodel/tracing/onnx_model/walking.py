"""Walking an ONNX graph: every node once, in order, to a flat list of steps with known shapes.

On the way local functions are inlined, control flow is resolved (see `control_flow`), and what
only computes sizes is worked out and leaves no step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from costmodel.errors import TraceError
from costmodel.graph import Dim
from costmodel.tracing.onnx_model.attributes import read_attributes, resolve
from costmodel.tracing.onnx_model.control_flow import CONTROL_FLOW
from costmodel.tracing.onnx_model.folding import fold
from costmodel.tracing.onnx_model.inference import infer_with_onnx
from costmodel.tracing.onnx_model.inputs import Inputs, dims_of
from costmodel.tracing.onnx_model.modules import module_of
from costmodel.tracing.onnx_model.reading import STANDARD_DOMAINS, opset_of
from costmodel.tracing.onnx_model.sequences import SEQUENCES
from costmodel.tracing.onnx_model.shapes import DATA_DEPENDENT, SHAPES, Call, shape_slice
from costmodel.tracing.onnx_model.step import Step
from costmodel.tracing.onnx_model.values import (
    INTEGERS,
    MAX_KNOWN,
    NodeError,
    Value,
    ValueList,
    as_shape,
    constant,
    dtype_of,
    followed,
    inline_array,
    is_symbolic,
)

MAX_NODES = 100_000
"""Most nodes that are walked, loops unrolled and functions inlined."""

MAX_DEPTH = 40
"""Deepest nesting of functions and subgraphs."""

MAX_KNOWN_FLOATS = 16
"""Stored floating-point tensors up to this size are followed: scales, factors, epsilons."""


Anything = Value | ValueList | None


@dataclass(slots=True)
class Scope:
    """Names that are defined: of one graph and of those around it."""

    names: dict[str, Value | ValueList] = field(default_factory=dict)
    outer: Scope | None = None
    depth: int = 0

    def find(self, name: str) -> Value | ValueList | None:
        """The value of a name, innermost first."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.outer
        return None


@dataclass(frozen=True, slots=True)
class Context:
    """Where nodes are walked: opset, scope, and the attributes of the function around."""

    scope: Scope
    opset: int
    bindings: Mapping[str, onnx.AttributeProto]
    declared: Mapping[str, onnx.TypeProto]
    calls: tuple[tuple[str, str, str], ...] = ()
    module: str = ""


class Walk:
    """Walks one model."""

    def __init__(self, model: onnx.ModelProto, path: Path, inputs: Inputs) -> None:
        self.path = path
        self.model = model
        self.sizes = inputs.sizes
        self.assumptions: list[str] = []
        self.classes: dict[str, str] = {}
        self.weights: list[Value] = []
        self._inputs = inputs
        self._walked = 0
        self._functions: dict[tuple[str, str, str], onnx.FunctionProto] = {}
        for function in model.functions:
            key = (function.domain, function.name, getattr(function, "overload", ""))
            if key in self._functions:
                raise TraceError(f"{path}: function {function.domain}::{function.name} twice")
            self._functions[key] = function

    def run(self) -> tuple[list[Step], list[Value]]:
        """All steps of the main graph, and its outputs."""
        graph = self.model.graph
        context = Context(
            Scope(dict(self._inputs.values)),
            opset_of(self.model.opset_import, str(self.path)),
            {},
            _declared_types(graph),
        )
        steps, outputs = self.run_graph(graph, context)
        return steps, [v for o in outputs for v in (o.items if isinstance(o, ValueList) else [o])]

    def assume(self, text: str) -> None:
        """Say once what was assumed."""
        if text not in self.assumptions:
            self.assumptions.append(text)

    # ------------------------------------------------------------------ graphs

    def run_graph(
        self, graph: onnx.GraphProto, context: Context
    ) -> tuple[list[Step], list[Value | ValueList]]:
        """Steps and outputs of a graph whose inputs are in the scope."""
        if context.scope.depth > MAX_DEPTH:
            raise TraceError(f"{self.path}: graphs and functions nest deeper than {MAX_DEPTH}")
        names = context.scope.names
        for tensor in graph.initializer:
            if tensor.name in names:
                raise TraceError(f"{self.path}: two tensors are named {tensor.name!r}")
            try:
                names[tensor.name] = self._initializer(tensor)
            except NodeError as error:
                raise TraceError(f"{self.path}: tensor {tensor.name!r}: {error}") from None
        for sparse in graph.sparse_initializer:
            shape = as_shape(sparse.dims)
            dtype = dtype_of(sparse.values.data_type)
            names[sparse.values.name] = Value(shape, dtype, "parameter", sparse.values.name)
        steps = self.run_nodes(graph.node, context)
        outputs = []
        for entry in graph.output:
            found = context.scope.find(entry.name)
            if found is None:
                raise TraceError(f"{self.path}: output {entry.name!r} is never produced")
            outputs.append(found)
        return steps, outputs

    def run_nodes(self, nodes: Sequence[onnx.NodeProto], context: Context) -> list[Step]:
        """Steps of nodes, which must be in execution order."""
        steps: list[Step] = []
        for index, node in enumerate(nodes):
            self._walked += 1
            if self._walked > MAX_NODES:
                raise TraceError(
                    f"{self.path}: more than {MAX_NODES:,} nodes once loops are unrolled and "
                    "functions inlined"
                )
            label = f"node {node.name or f'#{index}'} ({node.op_type})"
            inputs: list[Anything] = []
            for name in node.input:
                found = context.scope.find(name) if name else None
                if name and found is None:
                    later = any(name in other.output for other in nodes[index:])
                    reason = (
                        "is only produced later: a cycle, or nodes out of execution order"
                        if later
                        else "is never produced"
                    )
                    raise TraceError(f"{self.path}: {label}: its input {name!r} {reason}")
                inputs.append(found)
            try:
                made = self._node(node, label, inputs, context, steps)
                self._define(node, made, context)
            except TraceError:
                raise
            except NodeError as error:
                raise TraceError(f"{self.path}: {label}: {error}") from error
            except KeyError as error:
                raise TraceError(f"{self.path}: {label}: attribute {error} is missing") from error
            except Exception as error:  # malformed attributes and sizes fail in many ways
                text = " ".join(str(error).split())[:200]
                raise TraceError(
                    f"{self.path}: {label}: cannot be worked out: {type(error).__name__}: {text}"
                ) from error
        return steps

    def _define(
        self, node: onnx.NodeProto, made: Sequence[Value | ValueList], context: Context
    ) -> None:
        if len(made) < sum(bool(name) for name in node.output):
            raise NodeError(f"{len(node.output)} outputs are named, it has {len(made)}")
        for name, value in zip(node.output, made, strict=False):
            if not name:
                continue
            if name in context.scope.names:
                raise NodeError(f"a second tensor named {name!r}")
            context.scope.names[name] = value
            if isinstance(value, Value) and not value.name:
                value.name = name

    # ------------------------------------------------------------------- nodes

    def _node(
        self,
        node: onnx.NodeProto,
        label: str,
        inputs: list[Anything],
        context: Context,
        steps: list[Step],
    ) -> Sequence[Value | ValueList]:
        standard = node.domain in STANDARD_DOMAINS
        key = (node.domain, node.op_type, getattr(node, "overload", ""))
        if key in self._functions and not (standard and node.op_type in SHAPES):
            return self._call(key, node, inputs, context, steps)
        attrs = read_attributes(node, context.bindings)
        if standard and node.op_type in CONTROL_FLOW:
            return CONTROL_FLOW[node.op_type](self, attrs, inputs, context, steps, label)
        if standard and node.op_type in SEQUENCES:
            return SEQUENCES[node.op_type](self, attrs, inputs, steps, len(node.output), label)
        tensors: list[Value | None] = []
        for value in inputs:
            if isinstance(value, ValueList):
                raise NodeError("a sequence where a tensor is expected")
            tensors.append(value)
        return self.operator(node, tensors, attrs, context, steps, label)

    def operator(
        self,
        node: onnx.NodeProto,
        inputs: list[Value | None],
        attrs: dict[str, Any],
        context: Context,
        steps: list[Step],
        label: str,
    ) -> list[Value]:
        """Outputs of an ordinary operator; appends a step unless it only computes sizes."""
        standard = node.domain in STANDARD_DOMAINS
        name = node.op_type if standard else f"{node.domain}::{node.op_type}"
        if standard and name == "Constant":
            return [_constant(attrs)]
        call = Call(inputs, attrs, len(node.output), context.opset)
        if standard:
            done = _without_work(name, call)
            if done is not None:
                return done
        # The contributed operators of ONNX Runtime share the table of the standard ones.
        rule = SHAPES.get(node.op_type) if standard or node.domain == "com.microsoft" else None
        if rule is not None:
            result = rule(call)
        else:
            result = infer_with_onnx(node, inputs, context.opset, self.sizes) or self._declared(
                node, context
            )
        outputs = [Value(as_shape(shape), dtype) for shape, dtype in result]
        if standard and name in DATA_DEPENDENT:
            self.assume(f"{label}: the size of its output depends on data; charged at its largest")
        if standard and name == "ConstantOfShape":
            outputs[0].kind = "constant"
        module, classes = module_of(node, [v.name for v in inputs if v and v.is_weight])
        self.classes.update(classes)
        module = ".".join(part for part in (context.module, module) if part)
        steps.append(Step(name, inputs, outputs, attrs, module, label))
        return outputs

    def _declared(self, node: onnx.NodeProto, context: Context) -> list[tuple[list[Dim], str]]:
        """Shapes the file states for a node's outputs."""
        result = []
        for name in node.output:
            stated = context.declared.get(name)
            dims = None
            if stated is not None and stated.tensor_type.HasField("shape"):
                dims = dims_of(stated.tensor_type.shape, self.sizes)
            if stated is None or dims is None or any(d is None for d in dims):
                domain = node.domain or "ai.onnx"
                raise NodeError(
                    f"no shape rule for {domain}::{node.op_type}, and the file states no shape "
                    f"for its output {name!r}"
                )
            result.append((dims, dtype_of(stated.tensor_type.elem_type)))
        return result

    def _call(
        self,
        key: tuple[str, str, str],
        node: onnx.NodeProto,
        inputs: list[Anything],
        context: Context,
        steps: list[Step],
    ) -> list[Value | ValueList]:
        """Inline a local function."""
        function = self._functions[key]
        if key in context.calls:
            raise NodeError(f"function {key[0]}::{key[1]} calls itself")
        if len(inputs) > len(function.input):
            raise NodeError(f"{len(inputs)} inputs for a function of {len(function.input)}")
        scope = Scope(depth=context.scope.depth + 1)
        if scope.depth > MAX_DEPTH:
            raise NodeError(f"graphs and functions nest deeper than {MAX_DEPTH}")
        for name, value in zip(function.input, inputs, strict=False):
            if value is not None:
                scope.names[name] = value
        bindings = {a.name: a for a in function.attribute_proto}
        for attribute in node.attribute:
            resolved = resolve(attribute, context.bindings)
            if resolved is not None:
                bindings[attribute.name] = resolved
        module, classes = module_of(node, [])
        self.classes.update(classes)
        inner = Context(
            scope,
            opset_of(function.opset_import, f"{self.path}: function {key[1]}"),
            bindings,
            {v.name: v.type for v in getattr(function, "value_info", ())},
            (*context.calls, key),
            ".".join(part for part in (context.module, module) if part),
        )
        # Optional inputs that are absent are names without a value.
        absent = set(function.input[len(inputs) :]) | {
            name for name, v in zip(function.input, inputs, strict=False) if v is None
        }
        steps.extend(self.run_nodes([_without(n, absent) for n in function.node], inner))
        outputs = []
        for name in function.output:
            found = scope.find(name)
            if found is None and name in node.output:
                raise NodeError(f"output {name!r} of the function is never produced")
            outputs.append(found if found is not None else Value((), "float32"))
        return outputs

    # ------------------------------------------------------------------ tensors

    def _initializer(self, tensor: onnx.TensorProto) -> Value:
        dtype = dtype_of(tensor.data_type)
        whole = dtype in INTEGERS
        kind: Any = "buffer" if whole else "parameter"
        value = Value(as_shape(tensor.dims), dtype, kind, tensor.name, content=tensor)
        if value.numel == 1 and not whole and "." not in tensor.name.partition("::")[0]:
            # A factor an exporter lifted out; a module's own number has a qualified name.
            value.kind = "constant"
        array = inline_array(tensor, MAX_KNOWN if whole else MAX_KNOWN_FLOATS)
        if array is not None:
            value.known = followed(array, dtype)
        self.weights.append(value)
        return value


def _without_work(name: str, call: Call) -> list[Value] | None:
    """Outputs of what costs nothing: sizes, known contents, and operators that pass through."""
    if name == "Shape":
        sizes = shape_slice(call)
        plain = np.int64 if not any(is_symbolic(s) for s in sizes) else object
        return [constant(np.array(sizes, dtype=plain), "int64")]
    if name == "Size":
        count = call.need(0).numel
        return [constant(np.array(count, object if is_symbolic(count) else np.int64), "int64")]
    if name in ("Identity", "Dropout") and call.outputs == 1:
        return [call.need(0)]
    if name == "Cast" and dtype_of(call.attrs["to"]) == call.need(0).dtype:
        return [call.need(0)]
    if name == "CastLike" and call.need(0).dtype == call.need(1).dtype:
        return [call.need(0)]
    if any(v is not None and v.kind == "parameter" for v in call.inputs):
        return None  # weights that happen to be small are still computed with
    known = [None if v is None else v.known for v in call.inputs]
    if any(v is not None and k is None for v, k in zip(call.inputs, known, strict=True)):
        return None
    arrays = fold(name, known, call.attrs)
    if arrays is None:
        return None
    rule = SHAPES[name]
    dtypes = [dtype for _, dtype in rule(call)]
    return [
        constant(followed(array, dtype), dtype) for array, dtype in zip(arrays, dtypes, strict=True)
    ]


def _constant(attrs: Mapping[str, Any]) -> Value:
    """The value of a Constant node."""
    value = attrs.get("value", attrs.get("sparse_value"))
    if isinstance(value, onnx.TensorProto):
        return Value(as_shape(value.dims), dtype_of(value.data_type), "constant", content=value)
    if isinstance(value, onnx.SparseTensorProto):
        return Value(as_shape(value.dims), dtype_of(value.values.data_type), "constant")
    if isinstance(value, np.ndarray):
        dtype = str(value.dtype)
        known = followed(value, dtype) if value.size <= MAX_KNOWN else None
        return Value(value.shape, dtype, "constant", known=known)
    for key, dtype in (("float", "float32"), ("int", "int64")):
        for name in (f"value_{key}", f"value_{key}s"):
            if name in attrs:
                kind = np.float64 if key == "float" else np.int64
                return constant(np.array(attrs[name], dtype=kind), dtype)
    raise NodeError("a constant without a value (strings are not supported)")


def _without(node: onnx.NodeProto, absent: set[str]) -> onnx.NodeProto:
    """A node whose absent inputs are left empty."""
    if not absent.intersection(node.input):
        return node
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    for i, name in enumerate(copy.input):
        if name in absent:
            copy.input[i] = ""
    return copy


def _declared_types(graph: onnx.GraphProto) -> dict[str, onnx.TypeProto]:
    return {v.name: v.type for v in (*graph.value_info, *graph.output)}
