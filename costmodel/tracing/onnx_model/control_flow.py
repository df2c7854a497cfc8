"""Control flow: branches and loops become the operators that would run.

If      the branch a known condition picks; else the more expensive one, which the graph says.
Loop    its body once per trip, shapes followed from trip to trip; a trip count that depends on
        data is charged once, which the graph says.
Scan    its body once per slice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from costmodel.errors import TraceError
from costmodel.tracing.onnx_model.values import (
    NodeError,
    Value,
    ValueList,
    as_shape,
    constant,
    is_symbolic,
)

if TYPE_CHECKING:
    from costmodel.tracing.onnx_model.step import Step
    from costmodel.tracing.onnx_model.walking import Context, Walk

Anything = Value | ValueList | None
Handler = Callable[..., Sequence[Value | ValueList]]


def _body(
    walk: Walk, graph: onnx.GraphProto, context: Context, arguments: Sequence[Anything]
) -> tuple[list[Step], list[Value | ValueList]]:
    """Steps and outputs of a subgraph for some arguments."""
    from dataclasses import replace

    from costmodel.tracing.onnx_model.walking import Scope, _declared_types

    if len(arguments) != len(graph.input):
        raise NodeError(f"{len(arguments)} arguments for a body of {len(graph.input)} inputs")
    scope = Scope(outer=context.scope, depth=context.scope.depth + 1)
    for entry, value in zip(graph.input, arguments, strict=True):
        if value is None:
            raise NodeError(f"argument {entry.name!r} is missing")
        scope.names[entry.name] = value
    return walk.run_graph(graph, replace(context, scope=scope, declared=_declared_types(graph)))


def _graph(attrs: dict[str, Any], name: str) -> onnx.GraphProto:
    graph = attrs.get(name)
    if not isinstance(graph, onnx.GraphProto):
        raise NodeError(f"attribute {name!r} must be a graph")
    return graph


def run_if(
    walk: Walk,
    attrs: dict[str, Any],
    inputs: Sequence[Anything],
    context: Context,
    steps: list[Step],
    label: str,
) -> list[Value | ValueList]:
    """The branch that a known condition picks, or the more expensive one."""
    from costmodel.tracing.onnx_model.translating import work_of

    condition = inputs[0] if inputs else None
    if not isinstance(condition, Value):
        raise NodeError("the condition is missing")
    branches = {name: _graph(attrs, f"{name}_branch") for name in ("then", "else")}
    decided = condition.scalar()
    if decided is not None:
        chosen = "then" if decided else "else"
        made, outputs = _body(walk, branches[chosen], context, ())
        steps.extend(made)
        return outputs
    results: dict[str, tuple[list[Step], list[Value | ValueList]]] = {}
    failures: list[TraceError] = []
    for name, graph in branches.items():
        try:
            results[name] = _body(walk, graph, context, ())
        except TraceError as error:
            failures.append(error)
    if not results:
        raise failures[0]
    chosen = max(results, key=lambda name: work_of(results[name][0]))
    why = "the other one cannot be worked out" if failures else "the more expensive one"
    walk.assume(f"{label}: the condition depends on data; charged the {chosen} branch, {why}")
    steps.extend(results[chosen][0])
    return results[chosen][1]


def run_loop(
    walk: Walk,
    attrs: dict[str, Any],
    inputs: Sequence[Anything],
    context: Context,
    steps: list[Step],
    label: str,
) -> list[Value | ValueList]:
    """The body once per trip."""
    from costmodel.tracing.onnx_model.walking import MAX_NODES

    body = _graph(attrs, "body")
    given: list[Anything] = [*inputs, *[None] * (2 - len(inputs))]
    most, condition, carried = given[0], given[1], given[2:]
    count: int | None = None
    if isinstance(most, Value):
        trips = most.scalar()
        count = None if trips is None else max(int(trips), 0)
    flag: Value = condition if isinstance(condition, Value) else constant(np.array(True), "bool")
    collected: list[list[Value]] = []
    variables = list(carried)
    number_collected = len(body.output) - 1 - len(variables)
    if number_collected < 0:
        raise NodeError("the body returns fewer values than it carries")
    trip = 0
    while count is None or trip < count:
        going = flag.scalar()
        if going == 0:
            break
        unknown = going is None or (count is None and not isinstance(condition, Value))
        if trip and (count is None or count > MAX_NODES) and unknown:
            break
        iteration = constant(np.array(trip, dtype=np.int64), "int64")
        made, outputs = _body(walk, body, context, (iteration, flag, *variables))
        steps.extend(made)
        if not outputs or not isinstance(outputs[0], Value):
            raise NodeError("the body must return a condition first")
        flag = outputs[0]
        variables = list(outputs[1 : 1 + len(variables)])
        scanned = outputs[1 + len(variables) :]
        if any(isinstance(v, ValueList) for v in scanned):
            raise NodeError("a loop cannot collect sequences")
        collected.append([v for v in scanned if isinstance(v, Value)])
        trip += 1
        if going is None or flag.scalar() is None:
            if count is None or count > MAX_NODES:
                walk.assume(f"{label}: the number of trips depends on data; charged once")
                break
            walk.assume(
                f"{label}: it may end early, which depends on data; charged all {count:,} trips"
            )
            flag = constant(np.array(True), "bool")
        elif count is None and not isinstance(condition, Value):
            walk.assume(f"{label}: the number of trips depends on data; charged once")
            break
    if number_collected and not collected:
        raise NodeError("a loop without trips collects nothing, so its outputs have no shape")
    results: list[Value | ValueList] = []
    for value in variables:
        if value is None:
            raise NodeError("a carried value is missing")
        results.append(value)
    for items in zip(*collected, strict=True):
        results.append(_stacked(list(items), steps, label))
    return results


def _stacked(items: list[Value], steps: list[Step], label: str, axis: int = 0) -> Value:
    from costmodel.tracing.onnx_model.step import Step

    first = items[0]
    shape = as_shape([*first.shape[:axis], len(items), *first.shape[axis:]])
    result = Value(shape, first.dtype)
    steps.append(Step("Stack", list(items), [result], {"axis": axis}, "", label))
    return result


def run_scan(
    walk: Walk,
    attrs: dict[str, Any],
    inputs: Sequence[Anything],
    context: Context,
    steps: list[Step],
    label: str,
) -> list[Value | ValueList]:
    """The body once per slice of the scanned inputs."""
    from costmodel.tracing.onnx_model.step import Step
    from costmodel.tracing.onnx_model.walking import MAX_NODES

    body = _graph(attrs, "body")
    scans = int(attrs["num_scan_inputs"])
    values = [v for v in inputs if isinstance(v, Value)]
    if not 0 < scans <= len(values) or len(values) != len(inputs):
        raise NodeError(f"{scans} scanned inputs of {len(values)} tensors")
    variables: list[Value | ValueList] = list(values[: len(values) - scans])
    scanned = values[len(values) - scans :]
    axes = [int(a) for a in attrs.get("scan_input_axes", [0] * scans)]
    axes = [a + v.rank if a < 0 else a for a, v in zip(axes, scanned, strict=True)]
    lengths = {v.shape[a] for a, v in zip(axes, scanned, strict=True)}
    if len(lengths) != 1:
        raise NodeError(f"scanned inputs have different lengths {sorted(map(str, lengths))}")
    length = lengths.pop()
    if is_symbolic(length):
        walk.assume(f"{label}: its length {length} is not known; charged once")
        length = 1
    if length > MAX_NODES or length < 1:
        raise NodeError(f"a scan over {length:,} slices; 1 to {MAX_NODES:,} are supported")
    slices: list[list[Value]] = []
    for value, axis in zip(scanned, axes, strict=True):
        shape = (*value.shape[:axis], *value.shape[axis + 1 :])
        parts = [Value(shape, value.dtype) for _ in range(length)]
        steps.append(Step("Unbind", [value], parts, {"axis": axis}, "", label))
        slices.append(parts)
    collected: list[list[Value]] = []
    for trip in range(length):
        made, outputs = _body(walk, body, context, (*variables, *(s[trip] for s in slices)))
        steps.extend(made)
        variables = list(outputs[: len(variables)])
        collected.append([v for v in outputs[len(variables) :] if isinstance(v, Value)])
    where = [int(a) for a in attrs.get("scan_output_axes", [0] * len(collected[0]))]
    return [
        *variables,
        *(
            _stacked(list(items), steps, label, max(axis, 0))
            for items, axis in zip(zip(*collected, strict=True), where, strict=True)
        ),
    ]


CONTROL_FLOW: dict[str, Handler] = {"If": run_if, "Loop": run_loop, "Scan": run_scan}
"""Handler by operator name: (walk, attrs, inputs, context, steps, label) to outputs."""
