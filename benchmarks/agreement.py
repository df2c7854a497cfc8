"""MACs and parameters against other counts: torch's FlopCounterMode, and timm's measured tables.

    python benchmarks/agreement.py FOLDER           timm tables: every (model, size) of FOLDER/*.csv
    COSTMODEL_MEASURED=FOLDER python benchmarks/agreement.py

Prints JSON. `coverage.py` compares every model with FlopCounterMode on its way.

Where two counts differ, the difference is computed from rules, never waved away: what the other
counter leaves out, or counts differently, is worked out operator by operator from the graph, and
only if the corrected numbers agree is the difference called explained.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from costmodel.errors import CostModelError
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
    from costmodel.tracing.recorder import Recorder
    from costmodel.tracing.tape import Tape

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


# ---------------------------------------------------------------- timm tables


class TableRow(NamedTuple):
    """What timm's tables state of a model at an image size."""

    model: str
    size: int
    gmacs: float
    mparams: float


def table_rows(folder: Path) -> list[TableRow]:
    """Every (model, size) with its billions of MACs and millions of parameters, each once."""
    rows: dict[tuple[str, int], TableRow] = {}
    for path in sorted(folder.glob("benchmark-infer-*.csv")):
        with path.open() as file:
            for row in csv.DictReader(file):
                size = int(row["infer_img_size"])
                found = TableRow(
                    row["model"], size, float(row["infer_gmacs"] or 0), float(row["param_count"])
                )
                rows.setdefault((found.model, size), found)
    return list(rows.values())


def profiler_extras(graph: Graph) -> dict[str, float]:
    """What fvcore, which made the tables, counts beside products, in its operations.

    Its handles (fvcore/nn/flop_count.py): batch norm at inference 2 per element, the other norms
    5 (4 without weights), adaptive average pooling 1 per input, bilinear and bicubic resizing 4
    per output. Attention is matrix products to it; fused attention it cannot see.
    """
    extras: dict[str, float] = {}
    for op in graph.ops:
        name = op.target.removeprefix("aten::")
        x = graph.inputs_of(op)[0] if op.inputs else None
        if name == "batch_norm" and x is not None:
            extras["batch norm"] = extras.get("batch norm", 0) + 2 * x.numel
        elif name in ("layer_norm", "group_norm", "native_layer_norm") and x is not None:
            affine = len(op.inputs) > 1 and op.inputs[1] is not None
            extras["other norms"] = extras.get("other norms", 0) + (5 if affine else 4) * x.numel
        elif name in ("_adaptive_avg_pool2d",) and x is not None:
            extras["adaptive pooling"] = extras.get("adaptive pooling", 0) + x.numel
        elif name.startswith("upsample_") and "nearest" not in name:
            y = graph.outputs_of(op)[0]
            extras["resizing"] = extras.get("resizing", 0) + 4 * y.numel
        elif name == "scaled_dot_product_attention":
            extras["attention"] = extras.get("attention", 0) + _attention(graph, op)
    return extras


def _attention(graph: Graph, op: Any) -> float:
    query, key, value = graph.inputs_of(op)[:3]
    assert query is not None
    assert key is not None
    assert value is not None
    rows = float(np.prod(query.shape[:-1]))
    return rows * key.shape[-2] * (query.shape[-1] + value.shape[-1])


def compare_table_row(row: TableRow) -> dict[str, Any]:
    """One line of the comparison with timm's tables."""
    from costmodel.tracing.source import load_graph

    record: dict[str, Any] = row._asdict()
    for label, options in (("plain", {}), ("reparameterized", {"reparameterized": True})):
        try:
            graph = load_graph(f"timm:{row.model}", 1, (3, row.size, row.size), **options)
        except CostModelError as error:
            record.setdefault("error", str(error)[:300])
            continue
        total = macs_of(graph)
        record[label] = {
            "macs": total.total,
            "unknown": total.unknown,
            "parameters": graph.parameters,
            "buffers": sum(
                graph.tensors[i].numel for i in graph.weights if graph.tensors[i].kind == "buffer"
            ),
            "extras": profiler_extras(graph),
        }
        if abs(graph.parameters / 1e6 - row.mparams) <= 0.006:
            break
    return record


def table_records(folder: Path, every: int) -> Iterator[dict[str, Any]]:
    for row in table_rows(folder)[::every]:
        yield compare_table_row(row)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "folder", type=Path, nargs="?", default=os.environ.get("COSTMODEL_MEASURED")
    )
    parser.add_argument("--every", type=int, default=1, help="take one row in so many")
    parser.add_argument("--only", default="", help="models whose name starts so")
    options = parser.parse_args()
    if options.folder is None:
        parser.error("name a folder of tables, or set COSTMODEL_MEASURED")
    folder = Path(options.folder)
    folder = folder / "timm" if (folder / "timm").is_dir() else folder
    for row in table_rows(folder)[:: options.every]:
        if row.model.startswith(options.only):
            print(json.dumps(compare_table_row(row)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
