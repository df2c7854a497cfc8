"""MACs against torch's FlopCounterMode; `coverage.py` compares every model on its way.

Where the two differ, the difference is computed from rules, never waved away: what the other
counter leaves out, or counts differently, is worked out operator by operator from the graph, and
only if the corrected numbers agree to the last MAC is the difference called explained.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from costmodel.formulas.columns import columns_of
from costmodel.graph import Graph

COUNTED = frozenset(
    f"aten::{name}"
    for name in (
        "convolution", "_convolution", "linear", "mm", "addmm", "bmm", "baddbmm", "matmul",
        "einsum", "scaled_dot_product_attention",
    )
)  # fmt: skip
"""Operators that FlopCounterMode knows, or takes apart into those it knows."""


class Macs(NamedTuple):
    """MACs of a graph, by what another counter would say of them."""

    total: float
    """As ours counts."""
    causal: float
    """What attention saves by seeing only earlier keys, which other counters never leave out."""
    unknown: dict[str, float]
    """Those of operators that FlopCounterMode does not know, by name."""

    @property
    def elsewhere(self) -> float:
        """What FlopCounterMode should find."""
        return self.total + self.causal - sum(self.unknown.values())


def macs_of(graph: Graph) -> Macs:
    """MACs of a graph as traced, with what sets them apart."""
    total, by_target = _macs(graph)
    causal = 0.0
    if any(op.attrs.get("is_causal") for op in graph.ops):
        open_ops = tuple(
            op._replace(attrs={**op.attrs, "is_causal": False}) if op.attrs.get("is_causal") else op
            for op in graph.ops
        )
        causal = _macs(replace(graph, ops=open_ops))[0] - total
    unknown = {t: m for t, m in by_target.items() if t not in COUNTED and m}
    return Macs(total, causal, unknown)


def _macs(graph: Graph) -> tuple[float, dict[str, float]]:
    columns = columns_of(graph)
    macs = np.asarray(columns.evaluate().cost.macs) * columns.counts
    by_target: dict[str, float] = {}
    for row, value in zip(columns.table, macs, strict=True):
        by_target[row.target] = by_target.get(row.target, 0.0) + float(value)
    return float(macs.sum()), by_target


# ------------------------------------------------------------ FlopCounterMode


def counter_macs(model: Any, inputs: tuple[Any, ...]) -> float:
    """MACs that FlopCounterMode finds in one forward pass of a model on meta tensors."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from costmodel.tracing.detection import detection_bounds
    from costmodel.tracing.eager import _is_on_meta, _meta_copy
    from costmodel.tracing.recorder import Recorder
    from costmodel.tracing.tape import Tape

    model = model if _is_on_meta(model) else _meta_copy(model)
    model.eval().requires_grad_(False)  # the counter follows gradients where there are any
    tape = Tape(model)
    counter = FlopCounterMode(display=False)
    with (
        torch.no_grad(),
        torch.device("meta"),
        detection_bounds(model, tape.bounds),
        Recorder(tape),  # answers what depends on values, as it did in the trace
        counter,
    ):
        model(*inputs)
    return float(counter.get_total_flops()) / 2


def floating_point(source: str) -> tuple[Any, tuple[Any, ...]]:
    """The model that a quantised one of torchvision is made from: what the counter can count."""
    import torch
    from torchvision import models

    name = source.partition(":")[2]
    options = {"init_weights": False} if "inception" in name or "googlenet" in name else {}
    size = 299 if "inception" in name else 224
    with torch.device("meta"):
        model = models.get_model(name, weights=None, quantize=False, **options)
        return model, (torch.empty(1, 3, size, size),)


def verdict(macs: Macs, counter: float) -> str:
    """How two counts of MACs compare: "equal", the rule that explains, or "unexplained"."""
    if _same(macs.total, counter):
        return "equal"
    if _same(macs.elsewhere, counter):
        reasons = ["causal attention halved"] if macs.causal else []
        if macs.unknown:
            reasons.append("unknown to the counter: " + ", ".join(sorted(macs.unknown)))
        return "; ".join(reasons)
    return "unexplained"


def _same(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-9 * max(a, b)
