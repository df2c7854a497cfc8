"""A family of networks: parameters choose a network, a network is a sequence of cells.

Cells are what repeats: a block of given channels on a map of given size. They are fed by one
another only, one after the other, so what a network costs is the sum of what its cells cost. A
family says which cells a choice of parameters gives, and chains them into a module. A cell may
keep something from run to run, as attention does its keys and values: that is its own, and the
network takes it after its input.

    >>> network = family("fasternet").build(width=96, depth3=8)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from costmodel.errors import UnknownNameError, UsageError
from costmodel.zoo.families.keeping import Keeping

Value = int | float | str | bool
"""What a parameter can be."""


class Cell(NamedTuple):
    """A part of a network that can be built alone; equal cells cost the same."""

    build: Callable[..., nn.Module]
    arguments: tuple[Any, ...]
    shape: tuple[int, ...]
    """Of one sample of its input, without the batch."""
    dtype: str = "float32"
    """Of its input: "int64" for token ids."""
    kept: tuple[tuple[int, ...], ...] = ()
    """Shapes, of one sample, of what it keeps from run to run: its module takes them after its
    input, as float32, reads them and writes into them."""

    def module(self, device: str = "cpu") -> nn.Module:
        """The cell, in evaluation mode; on the device "meta" it has no weights."""
        with torch.device(device):
            return self.build(*self.arguments).eval()

    def inputs(self, batch: int, device: str = "meta") -> tuple[Tensor, ...]:
        """Zeros as its module takes them: its input, then what it keeps."""
        first = torch.zeros((batch, *self.shape), dtype=getattr(torch, self.dtype), device=device)
        return first, *(torch.zeros((batch, *shape), device=device) for shape in self.kept)


class Slot(NamedTuple):
    """A place in the networks of a family, filled by a number of equal cells."""

    name: str
    needs: tuple[str, ...]
    """The parameters that decide what stands there."""
    place: Callable[..., tuple[Cell, int]]
    """From their values, in this order: the cell and how often it repeats."""


@dataclass(frozen=True)
class Parameter:
    """What a family lets one choose."""

    default: Value
    meaning: str
    names: tuple[str, ...] = ()
    """Of a parameter that is a name: those it can be."""
    low: float = -math.inf
    high: float = math.inf
    multiple: int = 1
    """Of a whole number: what divides it."""

    def check(self, name: str, value: Any) -> Value:
        """`value`, if the parameter can be that.

        Raises:
            UnknownNameError: for a name it cannot be.
            UsageError: for a number that is not finite, whole or within its bounds.
        """
        if self.names:
            if value not in self.names:
                known = ", ".join(self.names)
                raise UnknownNameError(name, str(value), self.names, f"known: {known}")
            return str(value)
        if isinstance(self.default, bool):
            if not isinstance(value, bool):
                raise UsageError(f"{name} {value!r}: expected true or false")
            return value
        whole = isinstance(self.default, int)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise UsageError(f"{name} {value!r}: expected a number")
        if not math.isfinite(value) or (whole and value != int(value)):
            kind = "whole" if whole else "finite"
            raise UsageError(f"{name} {value!r}: expected a {kind} number")
        if not self.low <= value <= self.high:
            raise UsageError(f"{name} {value!r}: expected {self.low:g} to {self.high:g}")
        if whole and value % self.multiple:
            raise UsageError(f"{name} {value!r}: expected a multiple of {self.multiple}")
        return int(value) if whole else float(value)


@dataclass(frozen=True)
class Family:
    """Networks that differ in parameters only."""

    name: str
    source: str
    """The paper whose networks these are."""
    parameters: Mapping[str, Parameter]
    slots: tuple[Slot, ...]
    """Front to back; each cell reads what the one before it wrote."""
    known: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    """Parameters of published members, by model source such as "zoo:fasternet_t0"."""

    def complete(self, parameters: Mapping[str, Any]) -> dict[str, Value]:
        """All parameters, those not given at their defaults.

        Raises:
            UnknownNameError: for a parameter the family does not have.
            UsageError: for a value it cannot have.
        """
        for name in parameters:
            if name not in self.parameters:
                known = ", ".join(self.parameters)
                raise UnknownNameError(
                    f"parameter of {self.name}", name, self.parameters, f"it has {known}"
                )
        return {
            name: parameter.check(name, parameters.get(name, parameter.default))
            for name, parameter in self.parameters.items()
        }

    def cells(self, **parameters: Any) -> list[tuple[str, Cell, int]]:
        """The network's cells, front to back: slot, cell, how often; empty slots left out."""
        values = self.complete(parameters)
        placed = (
            (slot.name, *slot.place(*(values[name] for name in slot.needs))) for slot in self.slots
        )
        return [(name, cell, count) for name, cell, count in placed if count]

    def input_shape(self, **parameters: Any) -> tuple[int, ...]:
        """Shape of one sample, without the batch."""
        return self.cells(**parameters)[0][1].shape

    def inputs(self, batch: int, device: str = "meta", /, **parameters: Any) -> tuple[Tensor, ...]:
        """Zeros as the network takes them: its input, then what its cells keep, front to back."""
        cells = self.cells(**parameters)
        made = [cell.inputs(batch, device) for _, cell, count in cells for _ in range(count)]
        return made[0][0], *(tensor for tensors in made for tensor in tensors[1:])

    def build(self, **parameters: Any) -> nn.Module:
        """The network, in evaluation mode: every cell a module of its own."""
        cells = self.cells(**parameters)
        keeps = [len(cell.kept) for _, cell, count in cells for _ in range(count)]
        network = Keeping(keeps) if any(keeps) else nn.Sequential()
        for name, cell, count in cells:
            built = [cell.build(*cell.arguments) for _ in range(count)]
            network.add_module(name, built[0] if count == 1 else nn.Sequential(*built))
        return network.eval()


def on_meta() -> AbstractContextManager[Any]:
    """A context in which modules are built without weights."""
    return torch.device("meta")


_families: dict[str, Family] = {}


def register(family: Family) -> Family:
    """Add a family. Raises UsageError if its name is taken."""
    if family.name in _families:
        raise UsageError(f"family {family.name!r} exists already; choose another name")
    _families[family.name] = family
    return family


def family(name: str) -> Family:
    """A family by name. Raises UnknownNameError, with the nearest names."""
    if name not in _families:
        raise UnknownNameError(
            "family of networks", name, _families, f"known: {', '.join(sorted(_families))}"
        )
    return _families[name]


def families() -> Sequence[str]:
    """All names that `family` knows, sorted."""
    return sorted(_families)
