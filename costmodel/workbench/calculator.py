"""The FLOP calculator: one layer as a standard, depthwise, separable, partial or PAT convolution.

Counts come from the formula book, times from the same engine as everywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from costmodel.estimation import estimate
from costmodel.formulas import get_formula
from costmodel.graph import DTYPE_BYTES, Graph
from costmodel.reports.operators.variants import ASSUMPTIONS, Operator, parse_operator
from costmodel.reports.roofline.view import formula_text
from costmodel.reports.table import Column, Table
from costmodel.reports.text import (
    show_bytes,
    show_intensity,
    show_params,
    show_time,
)
from costmodel.roofline.precision import get_precision
from costmodel.workbench.state import State


class LayerCost(NamedTuple):
    """One way to build the layer."""

    name: str
    formula: str
    """The symbolic count of MACs."""
    macs: float
    parameters: float
    bytes: float
    time: float
    """Seconds for the batch."""
    bound: str

    @property
    def intensity(self) -> float:
        """FLOP per byte, from MACs alone."""
        return 2 * self.macs / self.bytes


@dataclass(frozen=True)
class CalculatorView:
    """The layer in all its forms, the standard convolution first."""

    state: State
    layers: tuple[LayerCost, ...]
    notes: tuple[str, ...]

    @property
    def standard(self) -> LayerCost:
        """What the others are compared with."""
        return self.layers[0]

    def table(self) -> Table:
        """Every form with its counts, and how many times fewer than the standard convolution."""
        columns = (
            Column("layer", "layer", right=False),
            Column("macs", "MACs", lambda value: f"{value:,}"),
            Column("standard_over_macs", "fewer than standard", _times),
            Column("parameters", "parameters", show_params),
            Column("bytes", "bytes moved", show_bytes),
            Column("intensity_flop_per_byte", "intensity", show_intensity),
            Column("time_s", f"time on {self.state.device}", show_time),
            Column("time_ratio", "faster than standard", _times),
            Column("bound", "bound by", right=False),
        )
        rows = tuple(
            (
                layer.name, round(layer.macs), self.standard.macs / layer.macs,
                layer.parameters, layer.bytes, layer.intensity, layer.time,
                self.standard.time / layer.time, layer.bound,
            )
            for layer in self.layers
        )  # fmt: skip
        return Table("", columns, rows)


def _times(ratio: float) -> str:
    return f"{ratio:.3g}x"


def calculator_view(state: State) -> CalculatorView:
    """Cost one layer of `channels` to `channels` on `size` x `size` positions in every form.

    Raises:
        UsageError: if the device cannot compute in that precision.
    """
    ratio = Fraction(state.part)
    forms = {"conv": "standard", "dwconv": "depthwise", "separable": "depthwise separable"}
    forms[f"pconv:{ratio}"] = f"PConv {ratio}"
    if ratio < 1:
        forms[f"patconv:{ratio}"] = f"PATConv {ratio}"
    width = DTYPE_BYTES[get_precision(state.precision).storage]
    sizes: dict[str, float] = {
        "n": state.batch, "c": state.channels, "h": state.size, "w": state.size,
        "k": state.kernel, "b_x": width, "b_w": width, "b_y": width,
    }  # fmt: skip
    layers, notes = [], []
    for text, name in forms.items():
        operator = parse_operator(text)
        graph = _graph(text, state.channels, state.size, state.kernel)
        timed = estimate(graph, state.device, state.batch, state.precision)
        cost = get_formula(_FORMULAS[operator.name])(**_symbols(operator, sizes))
        layers.append(
            LayerCost(
                name=name,
                formula=formula_text(_FORMULAS[operator.name]),
                macs=float(cost.macs),
                parameters=float(cost.parameters),
                bytes=float(cost.bytes),
                time=timed.latency,
                bound=timed.bound,
            )
        )
        if operator.name in ASSUMPTIONS:
            notes.append(ASSUMPTIONS[operator.name])
    return CalculatorView(state, tuple(layers), tuple(notes))


_FORMULAS = {
    "conv": "conv", "dwconv": "dwconv", "separable": "separable", "pconv": "pconv",
    "patconv": "pat_ch",
}  # fmt: skip
"""The formula of each operator."""


def _symbols(operator: Operator, sizes: Mapping[str, float]) -> dict[str, float]:
    """The sizes as the formula names them."""
    values = {**sizes, "c_p": operator.active(int(sizes["c"]))}
    values |= {"c_in": sizes["c"], "c_out": sizes["c"]}
    return {name: values[name] for name in get_formula(_FORMULAS[operator.name]).symbols}


@lru_cache(maxsize=512)
def _graph(operator: str, channels: int, size: int, kernel: int) -> Graph:
    return parse_operator(operator).graph(channels, size, kernel)
