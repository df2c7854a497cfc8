"""Training steps of a model zoo: which trace, which operators lack a formula, how long it takes.

    python benchmarks/training_coverage.py                 the models of the last report again
    python benchmarks/training_coverage.py timm --every 6  one timm model in six
    python benchmarks/training_coverage.py timm:resnet50 zoo:fasternet_t0

Each model's step (forward, backward, AdamW on lists) is traced under autocast float16 at a batch
of 2. A line per model goes to out/zoo/training.jsonl, and models that have one are not run again
(--fresh starts over); the report, training_coverage.json beside this file, is written at the end.
Exit 1 if a model failed or an operator was uncovered.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from timm_tables import read_lines

from costmodel.errors import CostModelError
from costmodel.formulas.columns import columns_of
from costmodel.graph import PHASES, Graph
from costmodel.tracing.source import load_graph

HERE = Path(__file__).parent
REPORT = HERE / "training_coverage.json"
RECORDS = HERE.parent / "out" / "zoo" / "training.jsonl"


def sources(wanted: Sequence[str], every: int) -> Iterator[str]:
    """Model sources: of the whole of timm, or as given."""
    for name in wanted:
        if name == "timm":
            import timm

            yield from (f"timm:{model}" for model in timm.list_models()[::every])
        else:
            yield name


def judge(graph: Graph) -> dict[str, Any]:
    """Operators by phase, what is uncovered, and MACs of backward over forward."""
    columns = columns_of(graph)
    macs = columns.evaluate().cost.macs
    work: Counter[str] = Counter()
    operators: Counter[str] = Counter()
    uncovered: Counter[str] = Counter()
    for op, row in zip(graph.ops, columns.row_of_op, strict=True):
        if row >= 0:
            work[op.phase] += float(macs[row])
            operators[op.phase] += 1
            uncovered[op.target] += columns.kinds[row] == "uncovered"
    return {
        "operators": {phase: operators[phase] for phase in PHASES if operators[phase]},
        "uncovered": {target: count for target, count in uncovered.items() if count},
        "backward_over_forward": work["backward"] / work["forward"] if work["forward"] else None,
    }


def examine(name: str) -> dict[str, Any]:
    """Trace the training step of one model: a line of the records."""
    start = time.process_time()
    record: dict[str, Any] = {"source": name}
    try:
        record |= judge(load_graph(name, 2, mode="train", autocast="float16"))
    except CostModelError as error:
        record["error"] = " ".join(str(error).split())
    return record | {"cpu_s": round(time.process_time() - start, 2)}


def report(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What was found: failures, uncovered operators, and a row per model."""
    traced = sorted((r for r in records if "error" not in r), key=lambda r: r["source"])
    uncovered: Counter[str] = Counter()
    for record in traced:
        uncovered.update(record["uncovered"])
    ratios = [r["backward_over_forward"] for r in traced if r["backward_over_forward"]]
    return {
        "models": len(records),
        "traced": len(traced),
        "failures": {r["source"]: r["error"] for r in records if "error" in r},
        "uncovered": dict(uncovered.most_common()),
        "median": {
            "backward_over_forward": statistics.median(ratios) if ratios else None,
            "cpu_s": statistics.median(r["cpu_s"] for r in traced) if traced else None,
        },
        "columns": ["source", *PHASES, "backward_over_forward", "cpu_s"],
        "steps": [
            [
                r["source"],
                *(r["operators"].get(phase, 0) for phase in PHASES),
                r["backward_over_forward"] and round(r["backward_over_forward"], 3),
                r["cpu_s"],
            ]
            for r in traced
        ],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sources", nargs="*")
    parser.add_argument("--every", type=int, default=1, help="take one model in so many")
    parser.add_argument("--fresh", action="store_true", help="run what has a record again")
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument("-o", "--output", type=Path, default=REPORT)
    options = parser.parse_args()
    lines = [] if options.fresh else read_lines(options.records)
    records = {record["source"]: record for record in lines}
    wanted = options.sources or [row[0] for row in json.loads(REPORT.read_text())["steps"]]
    options.records.parent.mkdir(parents=True, exist_ok=True)
    with options.records.open("w" if options.fresh else "a") as file:
        for name in sources(wanted, options.every):
            if name not in records:
                records[name] = examine(name)
                print(json.dumps(records[name]), file=file, flush=True)
                print(f"{name}: {records[name]['cpu_s']} s", file=sys.stderr)
    found = report(list(records.values()))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=None, separators=(",", ":")).replace('],["', '],\n["')
    options.output.write_text(text + "\n")
    return 1 if found["failures"] or found["uncovered"] else 0


if __name__ == "__main__":
    sys.exit(main())
