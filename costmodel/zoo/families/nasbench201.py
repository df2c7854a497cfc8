"""Cells of NAS-Bench-201's kind: four nodes, an operation on each of the six edges between them.

Source: Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture
Search" (ICLR 2020). A 3x3 stem, three stages of the cell at 16, 32 and 64 channels with residual
blocks of stride 2 between them, and a classifier, for 32 x 32 images. Node j is the sum of the
operations on its edges; edges that are `none` are left out, as they would be when deployed, so a
node without any is left out too.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from costmodel.zoo.families.family import Cell, Family, Parameter, Slot, register

OPERATIONS = ("none", "skip", "conv1", "conv3", "pool")
NODES = 4
EDGES = tuple((i, j) for j in range(NODES) for i in range(j))
"""From node to node, in the order the paper writes a cell."""
NAMES = tuple(f"edge{i}{j}" for i, j in EDGES)


class ReluConvolution(nn.Sequential):
    """Relu, k x k convolution, batch norm."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(out_channels),
        )


def edge(operation: str, channels: int) -> nn.Module:
    """The module of an edge that is not `none`."""
    match operation:
        case "skip":
            return nn.Identity()
        case "pool":
            return nn.AvgPool2d(3, 1, 1, count_include_pad=False)
        case _:
            return ReluConvolution(channels, channels, int(operation[-1]))


class SearchCell(nn.Module):
    """A cell of four nodes, (n, channels, h, w) unchanged."""

    def __init__(self, channels: int, operations: tuple[str, ...]) -> None:
        super().__init__()
        self.edges = nn.ModuleDict(
            {
                name: edge(operation, channels)
                for name, operation in zip(NAMES, operations, strict=True)
                if operation != "none"
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        nodes: list[Tensor | None] = [x]
        for j in range(1, NODES):
            total: Tensor | None = None
            for i in range(j):
                source, name = nodes[i], f"edge{i}{j}"
                if source is not None and name in self.edges:
                    y = self.edges[name](source)
                    total = y if total is None else total + y
            nodes.append(total)
        last = nodes[-1]
        return x * 0 if last is None else last


class Reduction(nn.Module):
    """Residual block of stride 2: (n, c, h, w) to (n, 2 c, h / 2, w / 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ReluConvolution(channels, 2 * channels, 3, 2)
        self.second = ReluConvolution(2 * channels, 2 * channels, 3)
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, 2), nn.Conv2d(channels, 2 * channels, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.shortcut(x) + self.second(self.first(x))
        return y


class Stem(nn.Sequential):
    """3x3 convolution and batch norm."""

    def __init__(self, channels: int) -> None:
        super().__init__(nn.Conv2d(3, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))


class Head(nn.Sequential):
    """Batch norm, relu, global pool, linear."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(1),
            nn.Linear(channels, classes),
        )


def _stem(channels: int, resolution: int) -> tuple[Cell, int]:
    return Cell(Stem, (channels,), (3, resolution, resolution)), 1


def _cell(
    stage: int, channels: int, repeats: int, resolution: int, *operations: str
) -> tuple[Cell, int]:
    width, size = channels * 2**stage, resolution // 2**stage
    return Cell(SearchCell, (width, effective(operations)), (width, size, size)), repeats


def effective(operations: tuple[str, ...]) -> tuple[str, ...]:
    """The operations with those edges `none` that carry nothing to the last node."""
    kind = dict(zip(EDGES, operations, strict=True))
    fed, wanted = {0}, {NODES - 1}
    for i, j in EDGES:
        if i in fed and kind[i, j] != "none":
            fed.add(j)
    for i, j in reversed(EDGES):
        if j in wanted and kind[i, j] != "none":
            wanted.add(i)
    return tuple(kind[i, j] if i in fed and j in wanted else "none" for i, j in EDGES)


def _reduction(stage: int, channels: int, resolution: int) -> tuple[Cell, int]:
    width, size = channels * 2**stage, resolution // 2**stage
    return Cell(Reduction, (width,), (width, size, size)), 1


def _head(channels: int, resolution: int, classes: int) -> tuple[Cell, int]:
    return Cell(Head, (4 * channels, classes), (4 * channels, resolution // 4, resolution // 4)), 1


def _slots() -> tuple[Slot, ...]:
    slots = [Slot("stem", ("channels", "resolution"), _stem)]
    for stage in range(3):
        if stage:
            needs: tuple[str, ...] = ("channels", "resolution")
            slots.append(Slot(f"reduction{stage}", needs, partial(_reduction, stage - 1)))
        needs = ("channels", "repeats", "resolution", *NAMES)
        slots.append(Slot(f"stage{stage + 1}", needs, partial(_cell, stage)))
    return (*slots, Slot("head", ("channels", "resolution", "classes"), _head))


NASBENCH201 = register(
    Family(
        "nasbench201",
        "Dong and Yang, NAS-Bench-201 (ICLR 2020)",
        {
            **{
                name: Parameter("conv3", f"operation from node {i} to node {j}", OPERATIONS)
                for name, (i, j) in zip(NAMES, EDGES, strict=True)
            },
            "channels": Parameter(16, "of the first stage", low=1, high=1024),
            "repeats": Parameter(5, "cells in a stage", low=1, high=64),
            "resolution": Parameter(32, "height and width", low=4, high=4096, multiple=4),
            "classes": Parameter(10, "that the classifier tells apart", low=1, high=10**6),
        },
        _slots(),
    )
)
