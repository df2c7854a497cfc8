"""Where the time goes, block by block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from costmodel.estimation import Estimate

CONTAINERS = ("Sequential", "ModuleList", "")
"""Classes of modules that only hold others."""


@dataclass
class BlockTime:
    """A block of a network, in the order in which it runs."""

    path: str
    what: str
    """Class of the module."""
    seconds: dict[str, float] = field(default_factory=dict)
    """By kind of operator."""

    @property
    def total(self) -> float:
        """Seconds."""
        return sum(self.seconds.values())


def block_times(estimate: Estimate) -> list[BlockTime]:
    """The blocks of a network with their time by kind of operator; they add up to the latency."""
    modules = estimate.graph.modules
    found: dict[str, BlockTime] = {}
    for operator in estimate.operators:
        path = block_of(operator.module, modules)
        block = found.setdefault(path, BlockTime(path or operator.op, modules.get(path, "")))
        block.seconds[operator.kind] = block.seconds.get(operator.kind, 0.0) + operator.time
    return list(found.values())


def block_of(module: str, modules: Mapping[str, str]) -> str:
    """The outermost module around a module that is no mere container of others."""
    parts = module.split(".") if module else []
    for end in range(1, len(parts) + 1):
        path = ".".join(parts[:end])
        if modules.get(path, "") not in CONTAINERS:
            return path
    return module
