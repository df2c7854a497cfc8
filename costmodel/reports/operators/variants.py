"""The operators that `compare-ops` knows: how each is written, run and costed.

An operator is asked for by name and, where it has one, a ratio of channels or a number of groups:
"conv", "gconv:8", "pconv:1/4". It gives a graph that runs only this operator, for the engine, and a
formula in the symbols n, c, h, w, k that all of them share, for the crossovers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from costmodel.errors import UnknownNameError, UsageError
from costmodel.formulas import Cost, Formula, get_formula
from costmodel.graph import Graph
from costmodel.tracing.builder import GraphBuilder

ASSUMPTIONS = {
    "pconv": "pconv is written in place: the untouched channels cost nothing",
    "patconv": "patconv is written in place: joining its two parts costs nothing; its attention is "
    "PAT_ch, the norm after it is not folded",
    "separable": "separable runs as two operators, the tensor between them goes through memory",
}

OPERATORS: Mapping[str, str] = {
    "conv": "regular convolution",
    "dwconv": "depthwise convolution",
    "gconv": "grouped convolution, gconv:GROUPS",
    "patconv": "partial attention convolution, patconv:1/4 convolves a quarter of the channels and "
    "attends to the rest (PAT_ch)",
    "pconv": "partial convolution, pconv:1/4 for a quarter of the channels",
    "pwconv": "pointwise (1x1) convolution",
    "separable": "depthwise, then pointwise convolution",
}
"""What each operator is, by the name it is asked for."""

_DEFAULTS = {"pconv": Fraction(1, 4), "patconv": Fraction(1, 4), "gconv": Fraction(8)}


@dataclass(frozen=True)
class Operator:
    """An operator as written on the command line: "conv", "pconv:1/4"."""

    label: str
    name: str
    value: Fraction | None
    """What follows the colon: a ratio of channels, or a number of groups."""

    def graph(self, channels: int, size: int, kernel: int) -> Graph:
        """A graph that runs only this operator, from and to (1, channels, size, size).

        Raises:
            UsageError: if channels do not divide into groups, or the kernel is even.
        """
        c = self.active(channels)
        builder = GraphBuilder(f"{self.label}, {channels} channels")
        x = builder.input((1, c, size, size))
        if self.name in ("conv", "pconv"):
            return builder.graph(builder.conv2d(x, c, kernel=kernel, module=self.name))
        if self.name == "pwconv":
            return builder.graph(builder.conv2d(x, c, kernel=1, module=self.name))
        if self.name == "gconv":
            groups = int(self.value or 1)
            y = builder.conv2d(x, c, kernel=kernel, groups=groups, module=self.name)
            return builder.graph(y)
        if self.name == "patconv":
            convolved = builder.conv2d(x, c, kernel=kernel, module="convolution")
            return builder.graph(convolved, _attended(builder, channels - c, size))
        y = builder.conv2d(x, c, kernel=kernel, groups=c, module="depthwise")
        if self.name == "separable":
            y = builder.conv2d(y, c, kernel=1, module="pointwise")
        return builder.graph(y)

    @property
    def formula(self) -> Formula:
        """Its cost in the symbols n, c, h, w, k, b_x, b_w and b_y."""

        def cost(n: Any, c: Any, h: Any, w: Any, k: Any, b_x: Any, b_w: Any, b_y: Any) -> Cost:
            common = {"n": n, "h": h, "w": w, "b_x": b_x, "b_w": b_w, "b_y": b_y}
            own: dict[str, Any] = {"c": c, "k": k}
            if self.name == "pwconv":
                own["k"] = 1
            elif self.name == "gconv":
                del common["h"], common["w"]
                own = {
                    "c_in": c, "c_out": c, "h_in": h, "h_out": h, "w_in": w, "w_out": w,
                    "k_h": k, "k_w": k, "g": int(self.value or 1), "bias": 0,
                }  # fmt: skip
            elif self.name == "separable":
                own = {"c_in": c, "c_out": c, "k": k}
            elif self.name == "pconv":
                own = {"c_p": c * self.value, "k": k}
            elif self.name == "patconv":
                own["c_p"] = c * self.value
            return registered.function(**common, **own)

        registered = get_formula(_FORMULAS.get(self.name, self.name))
        return Formula(self.label, registered.kind, cost, registered.source)

    @property
    def multiple(self) -> int:
        """What its channels must be a multiple of for it to come out even."""
        if self.value is None:
            return 1
        return int(self.value) if self.name == "gconv" else self.value.denominator

    def active(self, channels: int) -> int:
        """How many of the channels it convolves."""
        if self.name in ("pconv", "patconv") and self.value is not None:
            return max(1, int(channels * self.value))
        return channels


_FORMULAS = {"pwconv": "conv", "gconv": "conv2d", "patconv": "pat_ch"}


def _attended(builder: GraphBuilder, c: int, size: int) -> int:
    """Gaussian channel attention and batch norm of c channels, as `zoo.PATch` runs them."""
    x = builder.input((1, c, size, size))
    whole, means, one = (1, c, size, size), (1, c, 1), (1, c, 1, 1)

    def norm(tensor: int, shape: tuple[int, ...], module: str) -> int:
        learnt = {"weight": True, "bias": True, "running_mean": False, "running_var": False}
        weights = [
            builder.parameter((c,), f"{module}.{name}", trained=trained)
            for name, trained in learnt.items()
        ]
        return builder.operator("aten::batch_norm", (tensor, *weights), shape, module=module)

    mean = builder.operator("aten::mean", (x,), means, module="mean")
    deviation = builder.operator("aten::std", (x,), means, module="deviation")
    both = builder.operator("aten::cat", (mean, deviation), (1, c, 1, 2), module="statistics")
    weight = builder.parameter((c, c, 1, 2), "mix.weight")
    attrs = {"stride": [1, 1], "padding": [0, 0], "groups": 1, "transposed": False}
    y = builder.operator("aten::convolution", (both, weight, None), one, module="mix", **attrs)
    y = norm(y, one, "attention norm")
    y = builder.operator("aten::hardsigmoid", (y,), one, module="gate")
    y = builder.operator("aten::mul", (x, y), whole, module="scale")
    return norm(y, whole, "norm")


def parse_operator(text: str) -> Operator:
    """An operator from its text.

    Raises:
        UnknownNameError: with the nearest names.
        UsageError: for a ratio that is not a share, or a number of groups that is none.
    """
    name, colon, given = text.partition(":")
    if name not in OPERATORS:
        known = ", ".join(OPERATORS)
        raise UnknownNameError("operator", name, OPERATORS, f"known: {known}")
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
    if name == "patconv" and not 0 < value < 1:
        raise UsageError(f"operator {text!r}: expected a ratio above 0 and below 1")
    if name == "gconv" and (value < 1 or value.denominator != 1):
        raise UsageError(f"operator {text!r}: expected a whole number of groups")
    return Operator(f"{name}:{value}", name, value)
