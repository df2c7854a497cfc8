"""The module tree of a model with what each part costs, and how long it takes in several runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from costmodel.estimation import Estimate
from costmodel.graph import Graph


@dataclass
class ModuleTime:
    """A module with everything below it, or the operators of one name that it runs itself.

    Sizes are those of the first run.
    """

    path: str
    """Qualified path; that of a module's own operators ends in their name in brackets."""
    name: str
    what: str
    """Class of the module, or the operator."""
    depth: int
    times: np.ndarray
    """(runs,) seconds."""
    parameters: int = 0
    macs: float = 0.0
    flops: float = 0.0
    bytes: float = 0.0
    operators: int = 0
    kind: str | None = None
    """Kind of its operators if all are of one and it holds no other module."""
    children: list[ModuleTime] = field(default_factory=list)

    def walk(self) -> Iterator[ModuleTime]:
        """Itself and all below, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


def module_times(estimates: Sequence[Estimate]) -> ModuleTime:
    """The tree of a model.

    Args:
        estimates: runs of one graph; modules stand in the order they first ran.
    """
    graph, runs = estimates[0].graph, len(estimates)
    root = ModuleTime("", graph.name, graph.modules.get("", ""), 0, np.zeros(runs))
    modules, leaves = {"": root}, dict[tuple[str, str], ModuleTime]()
    cost, workload = estimates[0].row_cost, estimates[0].workload
    row_times = np.stack([estimate.row_times for estimate in estimates])
    for index, op in enumerate(graph.ops):
        row = int(workload.row_of_op[index])
        if row < 0:
            continue
        chain = _chain(op.module, graph, modules, runs)
        leaf = leaves.get((op.module, op.target))
        if leaf is None:
            name = op.target.rpartition("::")[2]
            leaf = ModuleTime(
                f"{op.module}[{name}]", name, op.target, chain[-1].depth + 1, np.zeros(runs),
                kind=workload.kinds[row],
            )  # fmt: skip
            leaves[op.module, op.target] = leaf
            chain[-1].children.append(leaf)
        elif leaf.kind != workload.kinds[row]:
            leaf.kind = None
        for node in (*chain, leaf):
            node.times += row_times[:, row]
            node.macs += float(cost.macs[row])
            node.flops += float(cost.flops[row])
            node.bytes += float(cost.bytes[row])
            node.operators += 1
    _add_parameters(graph, modules)
    for node in list(root.walk()):
        _merge_only_leaf(node)
    return root


def _chain(path: str, graph: Graph, modules: dict[str, ModuleTime], runs: int) -> list[ModuleTime]:
    """The root, ..., the module itself, made where they are missing."""
    chain, so_far = [modules[""]], ""
    for part in path.split(".") if path else ():
        so_far = f"{so_far}.{part}".lstrip(".")
        node = modules.get(so_far)
        if node is None:
            what = graph.modules.get(so_far, "")
            node = ModuleTime(so_far, part, what, chain[-1].depth + 1, np.zeros(runs))
            modules[so_far] = node
            chain[-1].children.append(node)
        chain.append(node)
    return chain


def _add_parameters(graph: Graph, modules: dict[str, ModuleTime]) -> None:
    for index in graph.weights:
        spec = graph.tensors[index]
        if spec.kind != "parameter":
            continue
        owner = spec.name.rpartition(".")[0]
        while True:
            if owner in modules:
                modules[owner].parameters += int(spec.numel)
            if not owner:
                break
            owner = owner.rpartition(".")[0]


def _merge_only_leaf(node: ModuleTime) -> None:
    """A module whose operators all have one name needs no row beside its own for them."""
    if len(node.children) == 1 and node.path and node.children[0].path.endswith("]"):
        (leaf,) = node.children
        node.kind, node.children = leaf.kind, []
