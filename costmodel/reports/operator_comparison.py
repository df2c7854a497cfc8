"""Operators against each other over a range of channels: when are fewer FLOPs not faster?

Each operator is built as a graph of the convolutions that run it, and goes through the same `sweep`
as any model, so that every law of the engine holds for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from costmodel.errors import UnknownNameError, UsageError
from costmodel.estimation import Estimate, sweep
from costmodel.graph import Graph
from costmodel.roofline.ceilings import Target
from costmodel.tracing.builder import GraphBuilder

ASSUMPTIONS = {
    "pconv": "pconv is written in place: the untouched channels cost nothing",
    "separable": "separable runs as two operators, the tensor between them goes through memory",
}


@dataclass(frozen=True)
class Operator:
    """An operator as written on the command line: "conv", "pconv:1/4"."""

    label: str
    name: str
    value: Fraction | None
    """What follows the colon: a ratio of channels, or a number of groups."""

    def graph(self, channels: int, size: int, kernel: int) -> Graph:
        """A graph that runs only this operator, from and to (1, channels, size, size)."""
        c = self.active(channels)
        builder = GraphBuilder(f"{self.label}, {channels} channels")
        x = builder.input((1, c, size, size))
        if self.name in ("conv", "pconv"):
            y = builder.conv2d(x, c, kernel=kernel, module=self.name)
        elif self.name == "pwconv":
            y = builder.conv2d(x, c, kernel=1, module=self.name)
        elif self.name == "gconv":
            y = builder.conv2d(x, c, kernel=kernel, groups=int(self.value or 1), module=self.name)
        else:
            y = builder.conv2d(x, c, kernel=kernel, groups=c, module="depthwise")
            if self.name == "separable":
                y = builder.conv2d(y, c, kernel=1, module="pointwise")
        return builder.graph(y)

    @property
    def multiple(self) -> int:
        """What its channels must be a multiple of for it to come out even."""
        if self.value is None:
            return 1
        return int(self.value) if self.name == "gconv" else self.value.denominator

    def active(self, channels: int) -> int:
        """How many of the channels it works on."""
        if self.name == "pconv" and self.value is not None:
            return max(1, int(channels * self.value))
        return channels


OPERATORS: Mapping[str, str] = {
    "conv": "regular convolution",
    "dwconv": "depthwise convolution",
    "gconv": "grouped convolution, gconv:GROUPS",
    "pconv": "partial convolution, pconv:1/4 for a quarter of the channels",
    "pwconv": "pointwise (1x1) convolution",
    "separable": "depthwise, then pointwise convolution",
}
"""What each operator is, by the name it is asked for."""

_DEFAULTS = {"pconv": Fraction(1, 4), "gconv": Fraction(8)}


def parse_operator(text: str) -> Operator:
    """An operator from its text.

    Raises:
        UnknownNameError: with the nearest names.
        UsageError: for a ratio outside (0, 1] or a number of groups that is none.
    """
    name, colon, given = text.partition(":")
    if name not in OPERATORS:
        known = ", ".join(OPERATORS)
        raise UnknownNameError("operator", name, OPERATORS, f"(known: {known})")
    if name not in _DEFAULTS:
        if colon:
            raise UsageError(f"operator {text!r}: {name} takes nothing after a colon")
        return Operator(name, name, None)
    try:
        value = Fraction(given) if colon else _DEFAULTS[name]
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"operator {text!r}: expected a number such as 1/4 or 8") from None
    if name == "pconv" and not 0 < value <= 1:
        raise UsageError(f"operator {text!r}: expected a ratio above 0 and up to 1")
    if name == "gconv" and (value < 1 or value.denominator != 1):
        raise UsageError(f"operator {text!r}: expected a whole number of groups")
    return Operator(f"{name}:{value}", name, value)


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


@dataclass(frozen=True)
class OperatorComparison:
    """Operators over channels on one device at one batch size and precision."""

    target: Target
    batch: int
    precision: str
    size: int
    kernel: int
    operators: tuple[str, ...]
    channels: tuple[int, ...]
    points: tuple[Point, ...]
    """In order of channels, then operators."""
    notes: tuple[str, ...]

    def of(self, operator: str) -> list[Point]:
        """The points of one operator, by channels."""
        return [point for point in self.points if point.operator == operator]


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
                operators=tuple(operator.label for operator in operators),
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
