"""MACs and parameters against those that timm's measured tables state (columns infer_gmacs and
param_count), for every model and image size in them.

    python benchmarks/timm_tables.py FOLDER      FOLDER/benchmark-infer-*.csv
    COSTMODEL_MEASURED=FOLDER python benchmarks/timm_tables.py --every 10

Graphs that `coverage.py` traced at the size of a row are not traced again. A line per row goes to
out/zoo/tables.jsonl, and rows that have one are not done again; the page is timm_tables.md beside
this file. Counts agree within 1% and the table's rounding; all others are put to the rules of
`RULES`, and what no rule explains is listed as such.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from agreement import macs_of

from costmodel.errors import CostModelError
from costmodel.graph import Graph, Op

HERE = Path(__file__).parent
RECORDS = HERE.parent / "out" / "zoo" / "tables.jsonl"
COVERAGE = HERE.parent / "out" / "zoo" / "records.jsonl"

TOLERANCE = 0.01
ROUNDING = 0.005
"""Billions of MACs, millions of parameters: the tables have two decimals."""


class TableRow(NamedTuple):
    """What the tables state of a model at an image size."""

    model: str
    size: int
    gmacs: float
    mparams: float


def table_rows(folder: Path) -> list[TableRow]:
    """Every (model, size), each once."""
    rows: dict[tuple[str, int], TableRow] = {}
    for path in sorted(folder.glob("benchmark-infer-*.csv")):
        with path.open() as file:
            for row in csv.DictReader(file):
                found = TableRow(
                    row["model"],
                    int(row["infer_img_size"]),
                    float(row["infer_gmacs"] or 0),
                    float(row["param_count"]),
                )
                rows.setdefault((found.model, found.size), found)
    return list(rows.values())


# ----------------------------------------------------- what another counter sees


def profiler_extras(graph: Graph) -> dict[str, float]:
    """Operations that fvcore, which made the tables, counts beside products; and attention's.

    Its rules (fvcore/nn/flop_count.py, jit_handles.py): batch norm at inference 2 per element, on
    statistics of its own and all other norms 5 (4 without weights), adaptive average pooling 1 per
    input, bilinear and bicubic resizing 4 per output. Convolutions whose padding is the word
    "same" it does not know; in timm those are depthwise.
    """
    extras: Counter[str] = Counter()
    for op in graph.ops:
        name = op.target.removeprefix("aten::")
        x = graph.inputs_of(op)[0] if op.inputs else None
        if x is None:
            continue
        if name == "batch_norm":
            extras["norms"] += 2 * x.numel
        elif name in _OTHER_NORMS:
            affine = len(op.inputs) > 1 and op.inputs[1] is not None
            extras["norms"] += (5 if affine else 4) * x.numel
        elif name == "convolution" and op.attrs.get("groups", 1) == x.shape[1] > 1:
            weight, y = graph.inputs_of(op)[1], graph.outputs_of(op)[0]
            assert weight is not None
            extras["depthwise"] += y.numel * float(np.prod(weight.shape[1:]))
        elif name == "_adaptive_avg_pool2d":
            extras["pooling"] += x.numel
        elif name.startswith("upsample_") and "nearest" not in name:
            extras["resizing"] += 4 * graph.outputs_of(op)[0].numel
        elif name == "scaled_dot_product_attention":
            extras["attention"] += _attention(graph, op)
    return {name: float(value) for name, value in extras.items()}


_OTHER_NORMS = frozenset(
    {
        "layer_norm", "group_norm", "native_layer_norm", "native_group_norm", "native_batch_norm",
        "_native_batch_norm_legit", "instance_norm",
    }
)  # fmt: skip


def _attention(graph: Graph, op: Op) -> float:
    query, key, value = (spec for spec in graph.inputs_of(op)[:3] if spec is not None)
    rows = float(np.prod(query.shape[:-1]))
    return rows * key.shape[-2] * (query.shape[-1] + value.shape[-1])


Count = Mapping[str, Any]
"""Of one graph: macs, extras, parameters."""


def _norms(count: Count) -> float:
    return sum(count["extras"].get(name, 0.0) for name in ("norms", "pooling", "resizing"))


def _products(count: Count, name: str) -> float:
    return float(count["extras"].get(name, 0.0))


RULES: Mapping[str, Callable[[Count], float]] = {
    "agrees": lambda c: c["macs"],
    "the table counts norms, pooling and resizing too": lambda c: c["macs"] + _norms(c),
    "the table leaves out fused attention": lambda c: c["macs"] - _products(c, "attention"),
    "the table leaves out fused attention, and counts norms, pooling and resizing": (
        lambda c: c["macs"] + _norms(c) - _products(c, "attention")
    ),
    'the table leaves out convolutions with padding="same", and counts norms': (
        lambda c: c["macs"] + _norms(c) - _products(c, "depthwise")
    ),
}
"""What the table should state, by the reason for which it is not what we count."""


ANOTHER = "another version of the model, as its number of parameters shows"


def judge(row: TableRow, count: Count) -> str:
    """The first rule by which a row and our count agree."""
    for rule, expected in RULES.items():
        gmacs = expected(count) / 1e9
        if abs(gmacs - row.gmacs) <= TOLERANCE * row.gmacs + ROUNDING:
            return rule
    return "unexplained" if same_parameters(row, count["parameters"]) else ANOTHER


def same_parameters(row: TableRow, parameters: int) -> bool:
    """Whether a table's parameter count is this one, rounded."""
    return abs(parameters / 1e6 - row.mparams) <= ROUNDING * 1.01


# ----------------------------------------------------------------------- a row


def compare(row: TableRow, known: Count | None) -> dict[str, Any]:
    """One line of the comparison; `known` is what a coverage run found at this size."""
    record: dict[str, Any] = row._asdict()
    if known is not None and judge(row, known) in (ANOTHER, "unexplained"):
        known = None  # look again: the rules may have learnt since
    forms: dict[str, Callable[[], Count]] = {
        "as it is": lambda: known or _traced(row),
        "reparameterised": lambda: _traced(row, reparameterized=True),
    }
    for form, count_of in forms.items():
        try:
            count = count_of()
        except CostModelError as error:
            return record | {"error": str(error)[:300]}
        if form == "as it is" or same_parameters(row, count["parameters"]):
            record |= {"form": form, **count, "verdict": judge(row, count)}
            record["same_parameters"] = same_parameters(row, count["parameters"])
        if record["same_parameters"]:
            break
    return record


def _traced(row: TableRow, **options: bool) -> Count:
    from costmodel.tracing.source import load_graph

    graph = load_graph(f"timm:{row.model}", 1, (3, row.size, row.size), **options)
    return {
        "macs": macs_of(graph).total,
        "extras": profiler_extras(graph),
        "parameters": graph.parameters,
    }


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Records of a file of JSON lines; none if there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def known_counts(path: Path) -> dict[tuple[str, int], Count]:
    """What a coverage run found, by model and size."""
    found = {}
    for record in read_lines(path):
        if "extras" in record and "error" not in record:
            found[record["source"].removeprefix("timm:"), record["size"]] = {
                key: record[key] for key in ("macs", "extras", "parameters")
            }
    return found


# ---------------------------------------------------------------------- report


def report(records: list[dict[str, Any]]) -> str:
    """The page: how many agree, under which rule, and every row that does not by itself."""
    compared = [r for r in records if "error" not in r and r["gmacs"]]
    stated = [r for r in records if "error" not in r]
    verdicts = Counter(r["verdict"] for r in compared)
    equal = sum(r["same_parameters"] for r in stated)
    lines = [
        "# MACs and parameters against timm's measured tables",
        "",
        f"{len(records):,} rows (model, image size); {len(records) - len(stated):,} could not be "
        f"traced; {len(compared):,} state MACs. MACs within 1% and the rounding of two decimals; "
        f"parameters equal when rounded in {equal:,} of {len(stated):,}.",
        "",
        "| MACs | rows | share |",
        "| --- | ---: | ---: |",
    ]
    for rule in (*RULES, ANOTHER, "unexplained"):
        if verdicts[rule]:
            lines.append(f"| {rule} | {verdicts[rule]:,} | {verdicts[rule] / len(compared):.1%} |")
    odd = [r for r in compared if r["verdict"] != "agrees" or not r["same_parameters"]]
    lines += [
        "",
        "Every row that does not agree by itself:",
        "",
        "| model | size | table GMACs | ours | table Mparams | ours | why |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for r in sorted(odd, key=lambda r: (r["verdict"], r["model"], r["size"])):
        why = [] if r["verdict"] == "agrees" else [r["verdict"]]
        if not r["same_parameters"]:
            why.append("another number of parameters than this version's")
        lines.append(
            f"| {r['model']} | {r['size']} | {r['gmacs']:g} | {r['macs'] / 1e9:.2f} | "
            f"{r['mparams']:g} | {r['parameters'] / 1e6:.2f} | {'; '.join(why)} |"
        )
    failed = [r for r in records if "error" in r]
    if failed:
        lines += ["", "Not traced:", ""]
        lines += [f"- {r['model']} at {r['size']}: {r['error'][:160]}" for r in failed]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    measured = os.environ.get("COSTMODEL_MEASURED")
    parser.add_argument("folder", type=Path, nargs="?", default=measured)
    parser.add_argument("--every", type=int, default=1, help="take one row in so many")
    parser.add_argument("--known", action="store_true", help="only rows that need no new trace")
    parser.add_argument("--coverage", type=Path, default=COVERAGE)
    parser.add_argument("--records", type=Path, default=RECORDS)
    options = parser.parse_args()
    if options.folder is None:
        parser.error("name a folder of tables, or set COSTMODEL_MEASURED")
    warnings.filterwarnings("ignore")
    folder = Path(options.folder)
    folder = folder / "timm" if (folder / "timm").is_dir() else folder
    known = known_counts(options.coverage)
    lines = read_lines(options.records)
    records = {(r["model"], r["size"]): r for r in lines if r.get("verdict") != "unexplained"}
    options.records.parent.mkdir(parents=True, exist_ok=True)
    with options.records.open("a") as file:
        for row in table_rows(folder)[:: options.every]:
            at = row.model, row.size
            if at in records or (options.known and at not in known):
                continue
            records[at] = compare(row, known.get(at))
            print(json.dumps(records[at]), file=file, flush=True)
    (HERE / "timm_tables.md").write_text(report(list(records.values())))
    return int(any(r.get("verdict") == "unexplained" for r in records.values()))


if __name__ == "__main__":
    sys.exit(main())
