"""What a roofline chart shows, before anyone draws it: roofs, diagonals and dots.

All rates come from the engine's own ceilings, so that the chart and the estimate agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from costmodel.estimation import Estimate
from costmodel.formulas import get_formula
from costmodel.formulas.notation import text
from costmodel.graph import Op, TensorSpec
from costmodel.reports.roofline.roofs import SAME, Diagonal, Roof, peak_roofs
from costmodel.reports.text import show_shape
from costmodel.roofline.ceilings import Target, ceilings
from costmodel.roofline.engine import BOUNDS
from costmodel.roofline.operators import MATRIX_KINDS, compute_dtypes

HEADROOM = 0.17
"""Of the height below the highest roof, what the names of memory levels take above it."""


class Dot(NamedTuple):
    """One distinct operator; equal ones share a dot."""

    names: tuple[str, ...]
    """Readable names of all the operators it stands for."""
    op: str
    kind: str
    shapes: str
    formula: str
    """The symbolic cost: "MACs = ..."."""
    macs: float
    flops: float
    bytes: float
    time: float
    """Seconds for one of them; their mean, which differs in the third digit at most."""
    share: float
    """Share of the latency that all of them take together."""
    bound: str
    roof: Roof
    """The peak that its arithmetic runs against."""

    @property
    def intensity(self) -> float:
        """FLOP per byte."""
        return self.flops / self.bytes if self.bytes else math.inf

    @property
    def achieved(self) -> float:
        """FLOP/s."""
        return self.flops / self.time if self.time else 0.0

    @property
    def drawable(self) -> bool:
        """Whether it has a place on logarithmic axes: it computes and it moves something."""
        return self.flops > 0 and self.bytes > 0 and self.time > 0


@dataclass(frozen=True)
class RooflineView:
    """Everything on the chart of one estimate."""

    estimate: Estimate
    roofs: tuple[Roof, ...]
    diagonals: tuple[Diagonal, ...]
    dots: tuple[Dot, ...]
    others: tuple[Roof, ...] = ()
    """Peaks of the device that nothing here runs against: other precisions and engines."""

    @property
    def drawn(self) -> list[Dot]:
        """Dots with a place on logarithmic axes, largest share first."""
        return sorted((d for d in self.dots if d.drawable), key=lambda dot: -dot.share)

    @property
    def left_out(self) -> list[Dot]:
        """Operators without arithmetic, which have no place on logarithmic axes."""
        return sorted((d for d in self.dots if not d.drawable), key=lambda dot: -dot.share)

    @cached_property
    def main(self) -> Diagonal:
        """The main memory."""
        return next(diagonal for diagonal in self.diagonals if diagonal.main)

    @property
    def highest(self) -> float:
        """The highest peak of the device that is drawn, in FLOP/s."""
        return max(roof.peak for roof in (*self.roofs, *self.others))

    def x_range(self) -> tuple[float, float]:
        """FLOP per byte from and to, wide enough for all dots and ridge points."""
        ridges = [roof.peak / self.main.bandwidth for roof in (*self.roofs, *self.others)]
        values = [dot.intensity for dot in self.drawn] + ridges
        return 10 ** math.floor(math.log10(min(values) / 1.5)), max(values) * 15

    def y_range(self) -> tuple[float, float]:
        """FLOP/s from and to."""
        low = self.main.bandwidth * self.x_range()[0]
        least = min([dot.achieved for dot in self.drawn] + [low]) / 1.5
        return least, self.highest * max(8.0, (self.highest / least) ** HEADROOM)


def roofline_view(estimate: Estimate) -> RooflineView:
    """Work out what the roofline chart of an estimate shows."""
    target, workload, precision = estimate.target, estimate.workload, estimate.precision
    limits = ceilings((target,), compute_dtypes(workload, precision))
    cost = estimate.row_cost
    roofs: dict[tuple[bool, str], Roof] = {}
    members: dict[object, list[int]] = {}
    for index, row in enumerate(workload.row_of_op):
        if (
            row >= 0
        ):  # rows of one cost that take equally long are one dot, whatever sets them apart
            alike = (workload.base[row], f"{estimate.row_times[row]:.3g}", estimate.row_bounds[row])
            members.setdefault(alike, []).append(index)
    dots = []
    for indices in members.values():
        row = int(workload.row_of_op[indices[0]])
        entry = workload.columns.table[workload.base[row]]
        matrix = entry.kind in MATRIX_KINDS
        stored = precision.matrix if matrix else precision.storage
        dtype = stored if entry.dtype == "float32" else entry.dtype
        key = (matrix, dtype)
        if key not in roofs:
            column = limits.dtypes.index(dtype)
            peaks = limits.matrix_peak if matrix else limits.vector_peak
            roofs[key] = Roof(_roof_label(target, dtype, matrix), float(peaks[0, column]))
        first = estimate.graph.ops[indices[0]]
        times = [float(estimate.row_times[workload.row_of_op[i]]) for i in indices]
        time = sum(times) / len(times)
        dots.append(
            Dot(
                names=tuple(estimate.graph.op_names[i] for i in indices),
                op=entry.target,
                kind=entry.kind,
                shapes=_shapes(estimate, first),
                formula=formula_text(entry.binding.formula),
                macs=float(cost.macs[row]),
                flops=float(cost.flops[row]),
                bytes=float(cost.bytes[row]),
                time=time,
                share=sum(times) / estimate.latency,
                bound=BOUNDS[int(estimate.row_bounds[row])],
                roof=roofs[key],
            )
        )
    used = {dot.roof for dot in dots if dot.drawable} or set(roofs.values())
    ordered = sorted(used, key=lambda roof: roof.peak)
    main = float(limits.bandwidth[0])
    others = _other_roofs(target, ordered)
    return RooflineView(estimate, tuple(ordered), _diagonals(target, main), tuple(dots), others)


def _other_roofs(target: Target, used: Sequence[Roof]) -> tuple[Roof, ...]:
    """The device's peaks, for the cores in use, that are not drawn as used."""
    found = [Roof(r.label, r.peak * target.share) for r in peak_roofs(target.profile)]
    return tuple(
        r for r in found if all(max(r.peak / u.peak, u.peak / r.peak) > SAME for u in used)
    )


def formula_text(name: str) -> str:
    """The symbolic MACs, or other FLOPs where there are no MACs, as one line of text."""
    cost = get_formula(name).cost
    quantity, value = ("MACs", cost.macs) if cost.macs != 0 else ("FLOPs", cost.other_flops)
    return f"{quantity} = {text(value)}"


def _diagonals(target: Target, main: float) -> tuple[Diagonal, ...]:
    profile = target.profile
    result = []
    for level in profile.levels:
        is_main = level == profile.main_memory
        bandwidth = main if is_main else _bandwidth(target, level)
        if bandwidth is not None:
            result.append(Diagonal(level, bandwidth, is_main))
    return tuple(result)


def _bandwidth(target: Target, level: str) -> float | None:
    """Bandwidth of a cache as seen by the cores in use: those of the instances they sit on."""
    profile = target.profile
    each = profile.bandwidth(level, per="instance")
    if each is None:
        return None
    return each * max(1, math.ceil(profile.instances(level) * target.share))


def _roof_label(target: Target, dtype: str, matrix: bool) -> str:
    profile = target.profile
    best = profile.find_peak(dtype) if matrix else profile.find_peak(dtype, "vector")
    if best is None:
        best = profile.find_peak("float32", None if matrix else "vector")
        name = "float32" if best is None else f"{best.dtype} {best.engine}"
        return f"{name} (no {dtype} peak)"
    return f"{best.dtype} {best.engine}"


def _shapes(estimate: Estimate, op: Op) -> str:
    graph = estimate.graph

    def shape(spec: TensorSpec) -> str:
        sizes = list(spec.shape)
        if spec.batched and sizes and sizes[0] % graph.batch == 0:
            sizes[0] = sizes[0] // graph.batch * estimate.batch
        return show_shape(sizes)

    inputs = [shape(spec) for spec in graph.inputs_of(op) if spec is not None]
    outputs = [shape(spec) for spec in graph.outputs_of(op)]
    return f"{', '.join(inputs)} → {', '.join(outputs)}"
