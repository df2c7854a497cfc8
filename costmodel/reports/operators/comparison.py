"""Operators against each other over a range of channels: when are fewer FLOPs not faster?

Each operator is built as a graph of what runs it, and goes through the same `sweep` as any model,
so that every law of the engine holds for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import NamedTuple

from costmodel.estimation import Estimate, sweep
from costmodel.reports.operators.variants import ASSUMPTIONS, Operator
from costmodel.roofline.ceilings import Target


@dataclass(frozen=True)
class Point:
    """One operator at one number of channels on one device."""

    operator: str
    channels: int
    macs: float
    flops: float
    bytes: float
    time: float
    """Seconds for the batch."""
    bound: str
    beaten_by: tuple[str, ...] = ()
    """Operators that have more FLOPs at these channels and still take no longer."""

    @property
    def intensity(self) -> float:
        """FLOP per byte."""
        return self.flops / self.bytes

    @property
    def achieved_flops(self) -> float:
        """FLOP/s."""
        return self.flops / self.time


class Tie(NamedTuple):
    """Two operators change places: one is faster at `low` channels, the other at `high`."""

    before: str
    after: str
    low: int
    high: int


@dataclass(frozen=True)
class OperatorComparison:
    """Operators over channels on one device at one batch size and precision."""

    target: Target
    batch: int
    precision: str
    size: int
    kernel: int
    variants: tuple[Operator, ...]
    channels: tuple[int, ...]
    points: tuple[Point, ...]
    """In order of channels, then operators."""
    notes: tuple[str, ...]

    @property
    def operators(self) -> tuple[str, ...]:
        """Labels of the operators."""
        return tuple(operator.label for operator in self.variants)

    def of(self, operator: str) -> list[Point]:
        """The points of one operator, by channels."""
        return [point for point in self.points if point.operator == operator]

    def fastest(self, channels: int) -> Point:
        """The fastest operator at a number of channels that was looked at."""
        return min((p for p in self.points if p.channels == channels), key=lambda p: p.time)

    def ties(self) -> Iterator[Tie]:
        """Where two operators change places between neighbouring numbers of channels."""
        for one, other in combinations(self.operators, 2):
            pairs = list(zip(self.of(one), self.of(other), strict=True))
            for (a, b), (c, d) in pairwise(pairs):
                if a.time < b.time and c.time > d.time:
                    yield Tie(one, other, a.channels, c.channels)
                elif a.time > b.time and c.time < d.time:
                    yield Tie(other, one, a.channels, c.channels)


def compare_operators(
    operators: Sequence[Operator],
    channels: Sequence[int],
    size: int,
    kernel: int,
    devices: Sequence[str | Target],
    batches: Sequence[int] = (1,),
    precisions: Sequence[str] = ("fp32",),
    *,
    without: Sequence[str] = (),
) -> list[OperatorComparison]:
    """Cost and time of each operator at each number of channels, on an image of size x size.

    Each is run by itself, as often as it likes: nothing that ran before it warms a cache for it.

    Args:
        operators: from `parse_operator`.
        channels: numbers of channels, in rising order.
        size: height and width of input and output.
        kernel: kernel size, odd.
        devices: as `sweep` takes them.
        batches: batch sizes.
        precisions: as `sweep` takes them.
        without: laws to switch off, as `sweep` takes them.

    Raises:
        UsageError: if channels do not divide into groups, or the kernel is even.
    """
    sweeps = [
        (operator, count, sweep(graph, devices, batches, precisions, without=without))
        for count in channels
        for operator in operators
        for graph in [operator.graph(count, size, kernel)]
    ]
    assumed = tuple(dict.fromkeys(ASSUMPTIONS[o.name] for o in operators if o.name in ASSUMPTIONS))
    results = []
    for case, first in enumerate(sweeps[0][2]):
        points = [_point(operator, count, found[case]) for operator, count, found in sweeps]
        results.append(
            OperatorComparison(
                target=first.target,
                batch=first.batch,
                precision=first.precision.name,
                size=size,
                kernel=kernel,
                variants=tuple(operators),
                channels=tuple(channels),
                points=tuple(_judged(points)),
                notes=(*assumed, *first.notes),
            )
        )
    return results


def _point(operator: Operator, channels: int, estimate: Estimate) -> Point:
    total = estimate.total
    return Point(
        operator=operator.label,
        channels=channels,
        macs=float(total.macs),
        flops=float(total.flops),
        bytes=float(total.bytes),
        time=estimate.latency,
        bound=estimate.bound,
    )


def _judged(points: Sequence[Point]) -> list[Point]:
    """The points with the operators that beat them in spite of more FLOPs."""
    return [
        replace(
            point,
            beaten_by=tuple(
                other.operator
                for other in points
                if other.channels == point.channels
                and other.flops > point.flops
                and other.time <= point.time
            ),
        )
        for point in points
    ]
