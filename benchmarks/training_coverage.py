"""Training steps of a model zoo: which trace, which operators lack a formula, how long it takes.

    python benchmarks/training_coverage.py timm --every 6            one timm model in six
    python benchmarks/training_coverage.py timm:resnet50 zoo:fasternet_t0
    python benchmarks/training_coverage.py timm --every 6 -o out/training.json

Each model's step (forward, backward, AdamW on lists) is traced under autocast float16 at a batch
of 2. Prints JSON: models, failures, uncovered operators, operators by phase, backward over forward
multiply-accumulates, seconds. Exit 1 if a model failed or an operator was uncovered.
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

from costmodel.errors import CostModelError
from costmodel.formulas.columns import columns_of
from costmodel.graph import PHASES, Graph
from costmodel.tracing.source import load_graph


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


def training_coverage(names: Sequence[str]) -> dict[str, Any]:
    """Trace the training steps of these models and report on them."""
    failures: dict[str, str] = {}
    uncovered: Counter[str] = Counter()
    example: dict[str, str] = {}
    ratios: dict[str, float] = {}
    seconds: dict[str, float] = {}
    for name in names:
        start = time.perf_counter()
        try:
            found = judge(load_graph(name, 2, mode="train", autocast="float16"))
        except CostModelError as error:
            failures[name] = " ".join(str(error).split())
            continue
        seconds[name] = time.perf_counter() - start
        ratios[name] = found["backward_over_forward"]
        for target, count in found["uncovered"].items():
            uncovered[target] += count
            example.setdefault(target, name)
        print(f"{name}: {seconds[name]:.1f} s", file=sys.stderr)
    known = sorted((ratio, name) for name, ratio in ratios.items() if ratio is not None)
    return {
        "models": len(names),
        "traced": len(seconds),
        "failures": failures,
        "uncovered": {t: {"count": n, "first": example[t]} for t, n in uncovered.most_common()},
        "backward_over_forward": {
            "median": statistics.median(ratio for ratio, _ in known) if known else None,
            "lowest": known[:5],
            "highest": known[-5:],
        },
        "seconds": {"median": statistics.median(seconds.values()) if seconds else None},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--every", type=int, default=1, help="take one model in so many")
    parser.add_argument("-o", "--output", type=Path, help="write there")
    options = parser.parse_args()
    report = training_coverage(list(sources(options.sources, options.every)))
    text = json.dumps(report, indent=2)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text + "\n")
    else:
        print(text)
    return 1 if report["failures"] or report["uncovered"] else 0


if __name__ == "__main__":
    sys.exit(main())
