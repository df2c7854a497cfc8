"""The module tree of a model with what each module costs, as torchinfo shows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from costmodel.formulas.columns import Columns, columns_of
from costmodel.formulas.cost import Cost
from costmodel.graph import DTYPE_BYTES, Graph, TensorSpec
from costmodel.liveness import liveness_of
from costmodel.reports.report import Report
from costmodel.reports.table import Column, Table
from costmodel.reports.text import (
    count,
    exact,
    percent,
    show_bytes,
    show_flops,
    show_intensity,
    show_macs,
    show_params,
    show_shape,
)


@dataclass
class ModuleCost:
    """One module with everything below it; sizes in bytes, at the traced batch."""

    path: str
    class_name: str
    depth: int
    input_shape: tuple[int, ...] | None = None
    output_shape: tuple[int, ...] | None = None
    parameters: int = 0
    """Parameters of the module and those below it, shared ones once."""
    cost: Cost = field(default_factory=Cost)
    operators: int = 0

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rpartition(".")[2]

    @property
    def intensity(self) -> float | None:
        """FLOP per byte, None where nothing moves."""
        return float(self.cost.flops / self.cost.bytes) if self.cost.bytes else None


class DtypeMemory(NamedTuple):
    """Memory of one dtype in bytes."""

    dtype: str
    parameters: float
    buffers: float
    inputs: float
    activations: float
    """All that are ever written, views not counted; far more than live at once."""


def module_costs(graph: Graph) -> list[ModuleCost]:
    """Every module that runs or owns parameters, parents before children, in model order."""
    columns = columns_of(graph)
    costs = _operator_costs(columns)
    paths = _paths(graph)
    modules = {
        path: ModuleCost(path, graph.modules.get(path, ""), path.count(".") + 1 if path else 0)
        for path in paths
    }
    for index, op in enumerate(graph.ops):
        row = int(columns.row_of_op[index])
        for path in _ancestors(op.module):
            module = modules[path]
            if module.input_shape is None:
                module.input_shape = _first_data(graph.inputs_of(op))
            if op.outputs:
                module.output_shape = graph.tensors[op.outputs[0]].shape
            if row >= 0:
                module.cost = module.cost + costs[row]
                module.operators += 1
    for tensor in graph.weights:
        spec = graph.tensors[tensor]
        if spec.kind == "parameter":
            for path in _ancestors(spec.name.rpartition(".")[0]):
                if path in modules:
                    modules[path].parameters += int(spec.numel)
    return [m for m in modules.values() if m.operators or m.parameters or m.output_shape]


def _operator_costs(columns: Columns) -> list[Cost]:
    found = columns.evaluate().cost
    values = np.stack([np.asarray(getattr(found, name)) for name in Cost.__slots__])
    return [Cost(*map(float, column)) for column in values.T]


def _paths(graph: Graph) -> list[str]:
    """All module paths, parents before children, in the order the model registers them."""
    paths = dict.fromkeys(["", *graph.modules])
    for op in graph.ops:
        paths.update(dict.fromkeys(_ancestors(op.module)))
    children: dict[str, list[str]] = {}
    for path in paths:
        if path:
            children.setdefault(path.rpartition(".")[0], []).append(path)

    def walk(path: str) -> Iterator[str]:
        yield path
        for child in children.get(path, ()):
            yield from walk(child)

    return list(walk(""))


def _ancestors(path: str) -> list[str]:
    """The root, ..., the module itself."""
    parts = path.split(".") if path else []
    return ["", *(".".join(parts[: i + 1]) for i in range(len(parts)))]


def _first_data(inputs: list[TensorSpec | None]) -> tuple[int, ...] | None:
    return next((spec.shape for spec in inputs if spec is not None and not spec.is_weight), None)


def memory_by_dtype(graph: Graph) -> list[DtypeMemory]:
    """Memory of weights, inputs and activations by dtype, largest first."""
    totals: dict[str, dict[str, float]] = {}

    def add(spec: TensorSpec, role: str) -> None:
        entry = totals.setdefault(spec.dtype, {})
        entry[role] = entry.get(role, 0.0) + float(spec.bytes)

    for tensor in graph.weights:
        add(graph.tensors[tensor], graph.tensors[tensor].kind)
    for tensor in graph.inputs:
        add(graph.tensors[tensor], "input")
    for spec in graph.tensors:
        if spec.kind == "activation" and spec.storage == spec.id:
            add(spec, "activation")
    result = [
        DtypeMemory(
            dtype,
            roles.get("parameter", 0.0),
            roles.get("buffer", 0.0),
            roles.get("input", 0.0),
            roles.get("activation", 0.0),
        )
        for dtype, roles in totals.items()
    ]
    return sorted(result, key=lambda entry: -sum(entry[1:]))


def summary_report(graph: Graph, depth: int | None = 3) -> Report:
    """The tree down to a depth, totals, memory by dtype, and what has no formula."""
    modules = module_costs(graph)
    shown = [module for module in modules if depth is None or module.depth <= depth]
    hidden = len(modules) - len(shown)
    notes = []
    if hidden:
        notes.append(f"{count(hidden, 'module')} below depth {depth} are in their parents' sums")
    notes += _uncovered_notes(graph)
    if graph.rung != "eager":
        notes.append(f"traced by the {graph.rung} front end")
    notes += [str(assumption) for assumption in graph.conditions.get("assumptions", ())]
    document = {
        "model": graph.name,
        "batch": graph.batch,
        "modules": [_document(module) for module in modules],
        "memory_bytes": {
            entry.dtype: {
                "parameters": exact(entry.parameters),
                "buffers": exact(entry.buffers),
                "inputs": exact(entry.inputs),
                "activations": exact(entry.activations),
            }
            for entry in memory_by_dtype(graph)
        },
        "peak_activation_bytes": exact(liveness_of(graph).peak_bytes(graph.batch)),
    }
    tables = (_tree(graph, shown), _totals(graph, modules[0]), _memory(graph))
    return Report(document, tables, tuple(notes))


def _tree(graph: Graph, modules: list[ModuleCost]) -> Table:
    columns = (
        Column("module", "module", right=False, csv_only=True),
        Column("", "module", right=False),
        Column("class", "class", right=False),
        Column("input_shape", "input", right=False),
        Column("output_shape", "output", right=False),
        Column("params", "params", lambda value: show_params(value) if value else ""),
        Column("macs", "MACs", lambda value: show_macs(value) if value else ""),
        Column("flops", "FLOPs", show_flops, csv_only=True),
        Column("bytes_read", "read", show_bytes, csv_only=True),
        Column("bytes_written", "written", show_bytes, csv_only=True),
        Column("bytes", "bytes moved", show_bytes),
        Column("intensity_flop_per_byte", "FLOP/byte", lambda v: f"{v:.3g}" if v else ""),
        Column("operators", "operators", csv_only=True),
    )
    rows = tuple(
        (
            module.path,
            branch + (module.name or graph.name),
            module.class_name,
            _shape(module.input_shape),
            _shape(module.output_shape) if module.operators else "not run",
            module.parameters,
            exact(module.cost.macs),
            exact(module.cost.flops),
            exact(module.cost.bytes_read),
            exact(module.cost.bytes_written),
            exact(module.cost.bytes),
            module.intensity or 0.0,
            module.operators,
        )
        for branch, module in zip(_branches(modules), modules, strict=True)
    )
    return Table(f"{graph.name}, batch {graph.batch}", columns, rows)


def _branches(modules: list[ModuleCost]) -> list[str]:
    """The lines of a tree before each module's name."""
    result: list[str] = []
    open_below: set[int] = set()
    for module in reversed(modules):
        depth = module.depth
        bars = "".join("│  " if level in open_below else "   " for level in range(1, depth))
        corner = "" if depth == 0 else ("├─ " if depth in open_below else "└─ ")
        result.append(bars + corner)
        open_below = {level for level in open_below if level < depth} | {depth}
    return result[::-1]


def _shape(shape: tuple[int, ...] | None) -> str:
    return "" if shape is None else show_shape(shape)


def _totals(graph: Graph, root: ModuleCost) -> Table:
    cost = root.cost
    weights = graph.weight_bytes
    peak = liveness_of(graph).peak_bytes(graph.batch)
    return Table(
        "Total",
        (Column("quantity", "", right=False), Column("value", "")),
        (
            ("parameters", f"{graph.parameters:,}"),
            ("MACs", f"{show_macs(cost.macs)} ({cost.macs:,.0f})"),
            ("FLOPs (2 x MACs + other)", show_flops(cost.flops)),
            ("bytes read", show_bytes(cost.bytes_read)),
            ("bytes written", show_bytes(cost.bytes_written)),
            ("arithmetic intensity", show_intensity(root.intensity or 0.0)),
            ("operators", f"{root.operators:,}"),
            ("peak memory", f"{show_bytes(weights)} weights + {show_bytes(peak)} activations"),
        ),
    )


def _memory(graph: Graph) -> Table:
    columns = (
        Column("dtype", "dtype", right=False),
        Column("width", "bytes per element", lambda value: f"{value:g}"),
        Column("parameters_bytes", "parameters", show_bytes),
        Column("buffers_bytes", "buffers", show_bytes),
        Column("inputs_bytes", "inputs", show_bytes),
        Column("activations_bytes", "activations, all", show_bytes),
    )
    rows = tuple(
        (entry.dtype, DTYPE_BYTES[entry.dtype], *entry[1:]) for entry in memory_by_dtype(graph)
    )
    return Table("Memory by dtype, as traced", columns, rows)


def _uncovered_notes(graph: Graph) -> list[str]:
    columns = columns_of(graph)
    cost = columns.evaluate().cost
    moved = np.asarray(cost.bytes) * columns.counts
    found: dict[str, list[float]] = {}
    for row, number, size in zip(columns.table, columns.counts, moved, strict=True):
        if row.kind == "uncovered":
            entry = found.setdefault(row.target, [0, 0.0])
            entry[0] += int(number)
            entry[1] += float(size)
    total = float(moved.sum())
    return [
        f"no formula for {target} ({count(int(number), 'time')}, {percent(size / total)} of the "
        "bytes); its FLOPs are not counted"
        for target, (number, size) in sorted(found.items())
    ]


def _document(module: ModuleCost) -> dict[str, object]:
    return {
        "module": module.path,
        "class": module.class_name,
        "depth": module.depth,
        "input_shape": None if module.input_shape is None else list(module.input_shape),
        "output_shape": None if module.output_shape is None else list(module.output_shape),
        "params": module.parameters,
        "macs": exact(module.cost.macs),
        "flops": exact(module.cost.flops),
        "bytes_read": exact(module.cost.bytes_read),
        "bytes_written": exact(module.cost.bytes_written),
        "intensity_flop_per_byte": module.intensity,
        "operators": module.operators,
    }
