"""Fusion: what a compiler makes of a graph, as a graph.

Convolutions, matrix products, attention and look-ups stay operators of a library. What lies
between them (activations, norms, residuals, copies, casts) is generated code: operators of one
level that touch each other become one, and only what crosses the level's border is read and
written. The level of an operator is the largest number of library operators on a path that leads
to it.

Source: the scheduling rules of TorchInductor as documented in Ansel et al., PyTorch 2 (ASPLOS
2024), sections 4.2 and 4.4.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from costmodel.formulas.columns import Columns, columns_of
from costmodel.graph import Graph, Op, TensorSpec

LIBRARY_KINDS = frozenset(
    {
        "convolution",
        "grouped convolution",
        "depthwise convolution",
        "matmul",
        "attention",
        "embedding",
        "recurrent",
        "uncovered",
    }
)
"""Kinds that a compiler leaves to a library."""

FUSED = "costmodel::fused"
"""Target of an operator that stands for several."""


def compiled(graph: Graph) -> Graph:
    """The graph as `torch.compile` would run it: pointwise work fused, convolutions reordered.

    Views stay, for the dataflow. Biases of convolutions join the generated code behind them, and
    convolutions run channels-last where the compiler expects a gain.
    """
    columns = columns_of(graph)
    groups, reordered = _groups(graph, columns), prefers_channels_last(graph)
    readers = _readers(graph)
    flops = columns.evaluate().cost.other_flops
    unit_of = {index: tuple(group) for group in groups for index in group}
    maker = {tensor: i for i, op in enumerate(graph.ops) for tensor in op.outputs}
    emitted: set[tuple[int, ...]] = set()
    ops: list[Op] = []

    def emit(unit: tuple[int, ...]) -> None:
        """Append a unit of work, after the ones it reads from."""
        if unit in emitted:
            return
        emitted.add(unit)
        for index in unit:
            for tensor in graph.ops[index].inputs:
                if tensor in maker and maker[tensor] < index:
                    emit(unit_of.get(maker[tensor], (maker[tensor],)))
        first = graph.ops[unit[0]]
        if unit[0] in unit_of:
            work = sum(float(flops[columns.row_of_op[index]]) for index in unit)
            ops.append(_fused(graph, unit, readers, work))
        else:
            ops.append(first if first.is_view else _library(first, reordered))

    for index in range(len(graph.ops)):
        unit = unit_of.get(index, (index,))
        if index == unit[-1]:
            emit(unit)
    conditions = {**graph.conditions, "execution": "compiled"}
    return replace(graph, ops=tuple(ops), conditions=conditions)


def prefers_channels_last(graph: Graph) -> bool:
    """Whether the compiler stores images channels-last, by its estimate of what that gains.

    Each convolution's FLOPs are weighted by how its kind does channels-last compared with planar:
    grouped 1.358, shrinking at least twofold 0.725, few channels 0.783, others 0.823; below the
    unweighted sum the compiler reorders. Source: the weights in TorchInductor's
    `decide_layout_opt`.
    """
    total = weighted = 0.0
    for op in graph.ops:
        if op.target != "aten::convolution":
            continue
        weight, output = graph.tensors[op.inputs[1] or 0], graph.tensors[op.outputs[0]]
        if len(weight.shape) != 4:
            continue
        c_out, c_in, *kernel = weight.shape
        work = float(output.numel) * c_in * kernel[0] * kernel[1]
        if op.attrs.get("groups", 1) > 1 and c_in > 1:
            factor = 1.358
        elif c_out * 2 <= c_in and kernel[0] > 1:
            factor = 0.725
        elif c_out <= 64 and c_in <= 64:
            factor = 0.783
        else:
            factor = 0.823
        total += work
        weighted += factor * work
    return 0 < weighted <= total


def _library(op: Op, reordered: bool) -> Op:
    if op.target != "aten::convolution":
        return op
    attrs = {**op.attrs, "bias_fused": True}
    if reordered:
        attrs["layout"] = "nhwc"
    return op._replace(attrs=attrs)


def _groups(graph: Graph, columns: Columns) -> list[list[int]]:
    """Fusible operators by group: of one level, and linked by a tensor they pass on or share."""
    level_of_tensor: dict[int, int] = {}
    makers: dict[int, tuple[int, ...]] = {}  # tensor -> fusible operators it comes from
    last_reader: dict[tuple[int, int], int] = {}
    levels: dict[int, int] = {}
    parent: dict[int, int] = {}

    def find(member: int) -> int:
        while parent[member] != member:
            parent[member] = parent[parent[member]]
            member = parent[member]
        return member

    for index, op in enumerate(graph.ops):
        inputs = [t for t in op.inputs if t is not None]
        level = levels[index] = max((level_of_tensor.get(t, 0) for t in inputs), default=0)
        if op.is_view:
            through = tuple(m for t in inputs for m in makers.get(t, ()))
            for tensor in op.outputs:
                level_of_tensor[tensor], makers[tensor] = level, through
            continue
        library = columns.kinds[columns.row_of_op[index]] in LIBRARY_KINDS
        if not library:
            parent[index] = index
            for tensor in inputs:
                spec = graph.tensors[tensor]
                joined = [m for m in makers.get(tensor, ()) if levels[m] == level]
                if spec.batched:
                    sibling = last_reader.get((spec.storage, level))
                    joined += [] if sibling is None else [sibling]
                    last_reader[spec.storage, level] = index
                for other in joined:
                    parent[find(other)] = find(index)
        for tensor in op.outputs:
            level_of_tensor[tensor] = level + int(library)
            makers[tensor] = () if library else (index,)
    members: dict[int, list[int]] = {}
    for index in parent:
        members.setdefault(find(index), []).append(index)
    return [sorted(group) for group in members.values()]


def _readers(graph: Graph) -> dict[int, set[int]]:
    """Operators that read each storage; -1 stands for the caller of the model."""
    readers: dict[int, set[int]] = {}
    for index, op in enumerate(graph.ops):
        if not op.is_view:
            for tensor in op.inputs:
                if tensor is not None:
                    readers.setdefault(graph.tensors[tensor].storage, set()).add(index)
    for tensor in graph.outputs:
        readers.setdefault(graph.tensors[tensor].storage, set()).add(-1)
    return readers


def _fused(graph: Graph, group: tuple[int, ...], readers: dict[int, set[int]], flops: float) -> Op:
    """One operator for a group: it reads what comes from outside, writes what is needed outside."""
    inside = set(group)
    read: dict[int, TensorSpec] = {}
    written: dict[int, TensorSpec] = {}
    targets: list[str] = []
    elements: list[int] = []
    for index in group:
        op = graph.ops[index]
        targets.append(op.target)
        elements.append(graph.tensors[op.outputs[0]].numel if op.outputs else 0)
        for tensor in op.inputs:
            spec = None if tensor is None else graph.tensors[tensor]
            if spec is not None and spec.storage not in written:
                _keep_largest(read, spec)
        for tensor in op.outputs:
            _keep_largest(written, graph.tensors[tensor])
    leaving = [spec for storage, spec in written.items() if readers.get(storage, set()) - inside]
    last = graph.ops[group[-1]]
    outputs = tuple(spec.id for spec in leaving) or last.outputs
    return Op(
        target=FUSED,
        inputs=tuple(spec.id for spec in read.values()),
        outputs=outputs,
        attrs={"operators": targets, "elements": elements, "flops": flops},
        module=_common_module(graph.ops[i].module for i in group),
        phase=last.phase,
    )


def _keep_largest(found: dict[int, TensorSpec], spec: TensorSpec) -> None:
    before = found.get(spec.storage)
    if before is None or spec.distinct > before.distinct:
        found[spec.storage] = spec


def _common_module(paths: Iterable[str]) -> str:
    """The module that contains all of these."""
    split = [path.split(".") for path in paths]
    common = []
    for parts in zip(*split, strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return ".".join(common)
