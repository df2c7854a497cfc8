"""Operators against each other over a range of channels: when are fewer FLOPs not faster?

Each operator is built as the convolutions that run it, and goes through the same `sweep` as any
model, so that every law of the engine holds for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from costmodel.errors import UnknownNameError, UsageError
from costmodel.estimate import OperatorEstimate, sweep
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

    def build(self, builder: GraphBuilder, channels: int, size: int, kernel: int) -> None:
        """Add it to a graph, from and to (1, channels, size, size)."""
        path = module_of(self, channels)
        x = builder.input((1, self.active(channels), size, size))
        c = self.active(channels)
        if self.name in ("conv", "pconv"):
            builder.conv2d(x, c, kernel=kernel, module=path)
        elif self.name == "pwconv":
            builder.conv2d(x, c, kernel=1, module=path)
        elif self.name == "gconv":
            builder.conv2d(x, c, kernel=kernel, groups=int(self.value or 1), module=path)
        else:
            x = builder.conv2d(x, c, kernel=kernel, groups=c, module=path)
            if self.name == "separable":
                builder.conv2d(x, c, kernel=1, module=path)

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


def module_of(operator: Operator, channels: int) -> str:
    """The module path its convolutions are filed under."""
    return f"{operator.label}/{channels}"


def operators_graph(
    operators: Sequence[Operator], channels: Sequence[int], size: int, kernel: int
) -> Graph:
    """All operators at all numbers of channels, side by side in one graph."""
    builder = GraphBuilder("operators")
    for operator in operators:
        for count in channels:
            operator.build(builder, count, size, kernel)
    return builder.graph()


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
) -> list[OperatorComparison]:
    """Cost and time of each operator at each number of channels, on an image of size x size.

    Raises:
        UsageError: if channels do not divide into groups, or the kernel is even.
    """
    graph = operators_graph(operators, channels, size, kernel)
    assumed = tuple(dict.fromkeys(ASSUMPTIONS[o.name] for o in operators if o.name in ASSUMPTIONS))
    results = []
    for estimate in sweep(graph, devices, batches, precisions):
        by_module: dict[str, list[OperatorEstimate]] = {}
        for part in estimate.operators:
            by_module.setdefault(part.module, []).append(part)
        points = [
            _point(operator, count, by_module[module_of(operator, count)])
            for count in channels
            for operator in operators
        ]
        results.append(
            OperatorComparison(
                target=estimate.target,
                batch=estimate.batch,
                precision=estimate.precision.name,
                size=size,
                kernel=kernel,
                operators=tuple(operator.label for operator in operators),
                channels=tuple(channels),
                points=tuple(_judged(points)),
                notes=(*assumed, *estimate.notes),
            )
        )
    return results


def _point(operator: Operator, channels: int, parts: Sequence[OperatorEstimate]) -> Point:
    def total(of: Callable[[OperatorEstimate], float]) -> float:
        return sum(map(of, parts))

    return Point(
        operator=operator.label,
        channels=channels,
        macs=total(lambda part: part.macs),
        flops=total(lambda part: part.flops),
        bytes=total(lambda part: part.bytes_read + part.bytes_written),
        time=total(lambda part: part.time),
        bound=max(parts, key=lambda part: part.time).bound,
    )


def _judged(points: Sequence[Point]) -> list[Point]:
    """The points with the operators that beat them in spite of more FLOPs."""
    from dataclasses import replace

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
