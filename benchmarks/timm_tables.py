"""MACs and parameters against those that timm's measured tables state (columns infer_gmacs and
param_count), for every model and image size in them.

    python benchmarks/timm_tables.py FOLDER      FOLDER/benchmark-infer-*.csv
    COSTMODEL_MEASURED=FOLDER python benchmarks/timm_tables.py --every 10
    python benchmarks/timm_tables.py --report    only write the page from what was found

The tables were written by fvcore, which counts more than products: each model is traced once and
counted twice, by our formulas and by fvcore's rules (`fvcore_rules.py`), which are the same for
every model. A line per row goes to out/zoo/timm_tables.jsonl, and rows that have one are not done
again; the page is timm_tables.md beside this file. Counts agree within 1% and the table's rounding.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from agreement import macs_of
from fvcore_rules import fvcore_macs, told_by

from costmodel.errors import CostModelError
from costmodel.tracing.eager import trace
from costmodel.tracing.source import load_source

HERE = Path(__file__).parent
RECORDS = HERE.parent / "out" / "zoo" / "timm_tables.jsonl"

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


# ------------------------------------------------------------------------ a row


def compare(row: TableRow) -> dict[str, Any]:
    """One line of the comparison: of the model, or of its reparameterised form if that fits."""
    record: dict[str, Any] = row._asdict()
    for form in ("as it is", "reparameterised"):
        try:
            counts = _counts(row, reparameterized=form == "reparameterised")
        except CostModelError as error:
            return record if "form" in record else record | {"error": str(error)[:300]}
        if form == "as it is" or same_parameters(row, counts["parameters"]):
            record |= {"form": form, **counts}
        if same_parameters(row, counts["parameters"]):
            break
    return record


def _counts(row: TableRow, *, reparameterized: bool) -> dict[str, Any]:
    from timm.utils.model import reparameterize_model

    name, model, inputs = load_source(f"timm:{row.model}", 1, (3, row.size, row.size))
    if reparameterized:
        with torch.device("meta"):
            model = reparameterize_model(model)
    graph = trace(model, *inputs, name=name)
    return {
        "macs": macs_of(graph).total,
        "fvcore": fvcore_macs(graph, told_by(model)),
        "parameters": graph.parameters,
    }


def same_parameters(row: TableRow, parameters: int) -> bool:
    """Whether a table's parameter count is this one, rounded."""
    return abs(parameters / 1e6 - row.mparams) <= ROUNDING * 1.01


def agrees(record: Mapping[str, Any], macs: float, tolerance: float = TOLERANCE) -> bool:
    """Whether a count is the table's, within a share of it and its rounding."""
    stated = record["gmacs"]
    return bool(abs(macs / 1e9 - stated) <= tolerance * stated + ROUNDING * 1.01)


def cause(record: Mapping[str, Any]) -> str:
    """Why a row does not agree by fvcore's rules."""
    if not record["same_parameters"]:
        return ANOTHER
    attention = record["fvcore"].get("attention", 0.0)
    if attention and agrees(record, sum(record["fvcore"].values()) - attention):
        return FUSED
    return UNEXPLAINED


ANOTHER = "another version of the model, as its number of parameters shows"
FUSED = "the table lacks attention's products: the model fused them whatever it was told"
UNEXPLAINED = "unexplained"


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Records of a file of JSON lines; none if there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


# ---------------------------------------------------------------------- report


def report(records: list[dict[str, Any]]) -> str:
    """The page: how many rows agree, by which count, and every row that does not."""
    traced = [r for r in records if "error" not in r]
    for r in traced:
        r["same_parameters"] = same_parameters(_row(r), r["parameters"])
    compared = [r for r in traced if r["gmacs"]]
    by_rules = [r for r in compared if agrees(r, sum(r["fvcore"].values()))]
    shares = {
        "products alone, as `costmodel` counts MACs: within 1%": [
            r for r in compared if agrees(r, r["macs"])
        ],
        "fvcore's rules: within 1%": by_rules,
        "fvcore's rules: to the table's last decimal": [
            r for r in compared if agrees(r, sum(r["fvcore"].values()), 0.0)
        ],
    }
    equal = sum(r["same_parameters"] for r in traced)
    lines = [
        "# MACs and parameters against timm's measured tables",
        "",
        f"{len(records):,} rows (model, image size); {len(records) - len(traced):,} could not be "
        f"traced; {len(compared):,} state MACs. Parameters are the table's, rounded, in "
        f"{equal:,} of {len(traced):,} ({equal / len(traced):.1%}).",
        "",
        "The tables were counted by fvcore, which adds norms, adaptive pooling and resizing to the "
        "products and knows neither recurrent layers nor convolutions padded by a word. Its rules, "
        "per kind of operator and the same for every model, are in `fvcore_rules.py`; the tests "
        "hold them equal to fvcore itself.",
        "",
        "| counted by | rows | share |",
        "| --- | ---: | ---: |",
        *(
            f"| {name} | {len(rows):,} | {len(rows) / len(compared):.1%} |"
            for name, rows in shares.items()
        ),
        "",
        "Every row that is not within 1% by fvcore's rules, or has other parameters:",
        "",
        "| model | size | table GMACs | by fvcore's rules | table Mparams | ours | why |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    agreeing = {id(r) for r in by_rules}
    for r in sorted(traced, key=lambda r: (id(r) in agreeing, r["model"], r["size"])):
        if id(r) in agreeing and r["same_parameters"]:
            continue
        if not r["gmacs"]:
            why = "the table states no MACs"
        elif id(r) in agreeing:
            why = "MACs agree; another number of parameters"
        else:
            why = cause(r)
        lines.append(
            f"| {r['model']} | {r['size']} | {r['gmacs']:g} | "
            f"{sum(r['fvcore'].values()) / 1e9:.2f} | {r['mparams']:g} | "
            f"{r['parameters'] / 1e6:.2f} | {why} |"
        )
    failed = [r for r in records if "error" in r]
    if failed:
        lines += ["", "Not traced:", ""]
        lines += [f"- {r['model']} at {r['size']}: {r['error'][:160]}" for r in failed]
    return "\n".join(lines) + "\n"


def _row(record: Mapping[str, Any]) -> TableRow:
    return TableRow(*(record[field] for field in TableRow._fields))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    measured = os.environ.get("COSTMODEL_MEASURED")
    parser.add_argument("folder", type=Path, nargs="?", default=measured)
    parser.add_argument("--every", type=int, default=1, help="take one row in so many")
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument("--report", action="store_true", help="only write the page")
    options = parser.parse_args()
    if options.folder is None and not options.report:
        parser.error("name a folder of tables, or set COSTMODEL_MEASURED")
    warnings.filterwarnings("ignore")
    records = {(r["model"], r["size"]): r for r in read_lines(options.records)}
    if not options.report:
        folder = Path(options.folder)
        folder = folder / "timm" if (folder / "timm").is_dir() else folder
        options.records.parent.mkdir(parents=True, exist_ok=True)
        with options.records.open("a") as file:
            for row in table_rows(folder)[:: options.every]:
                if (row.model, row.size) not in records:
                    record = records[row.model, row.size] = compare(row)
                    print(json.dumps(record), file=file, flush=True)
    (HERE / "timm_tables.md").write_text(report(list(records.values())))
    stated = [r for r in records.values() if "error" not in r and r["gmacs"]]
    odd = [r for r in stated if not agrees(r, sum(r["fvcore"].values()))]
    return int(any(cause(r) == UNEXPLAINED for r in odd))


if __name__ == "__main__":
    sys.exit(main())
