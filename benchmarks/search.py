"""Design search: a million designs on one core, and what a budget on a V100 buys.

    python benchmarks/search.py [--designs 1000000] [--repeats 5]

Prints JSON. `million` has the seconds to cost designs of the FasterNet space on one device from
nothing (cells traced) and again (cells known), and the ratio of the latter to bare NumPy, which
looks up and adds the same columns with the same indices. `v100` takes the predicted
latency of FasterNet-T2 as the budget and compares what the search finds with PartialNet-T2, both
predicted by tracing. `agreement` compares random designs of every space with traces of their whole
networks: how many agree exactly in parameters, MACs, FLOPs, bytes, operators and peak memory, and
the largest relative difference in latency and in energy on three devices. Exits with 1 if the
designs take more than 10 s, the budget is broken, or a design disagrees by more than the evaluator
states.
"""

# ruff: noqa: E402
from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import numpy as np

import costmodel as cm
from costmodel.search import Evaluator, list_spaces, load_space
from costmodel.search.cells import ADDITIVE
from costmodel.search.goals import Budget
from costmodel.search.problem import Problem, traced_design
from costmodel.search.searching import search

DEVICE = "v100-sxm2"
AGREED = ("v100-sxm2", "rtx-4090", "epyc-73f3")
BATCH = 256
"""Of the published throughputs on a V100."""


def seconds(function: Callable[[], Any]) -> float:
    """Seconds of one core: threads are off, and other work on the machine does not count."""
    start = time.process_time()
    function()
    return time.process_time() - start


def million(designs: int, repeats: int) -> dict[str, Any]:
    cm.estimate(cm.load_graph("zoo:fasternet_t0"), DEVICE)  # imports and first calls
    space = load_space("fasternet")
    codes = space.sample(designs, seed=0)
    evaluator = Evaluator(space, [DEVICE])
    first = seconds(lambda: evaluator(codes))
    tables = list(evaluator._slots)
    names = list(space.choices)
    columns = [evaluator.table.costs[name] for name in ADDITIVE]
    times = evaluator.table.times(
        evaluator.targets[0], np.arange(len(evaluator.table)), (1e6, 1e9)
    ).coefficients
    columns += list(times)

    def bare() -> list[np.ndarray]:
        totals = [np.zeros(len(codes)) for _ in columns]
        for slot, table in zip(space.family.slots, tables, strict=True):
            index = np.zeros(len(codes), dtype=np.int64)
            for name in slot.needs:
                index = index * len(space.choices[name]) + codes[:, names.index(name)]
            rows, counts = table._row[index], table._count[index]
            for total, column in zip(totals, columns, strict=True):
                total += counts * column[rows]
        return totals

    ours, theirs = [], []
    for _ in range(repeats):
        ours.append(seconds(lambda: evaluator(codes)))
        theirs.append(seconds(bare))
    again, plain = statistics.median(ours), statistics.median(theirs)
    return {
        "designs": designs,
        "cells": len(evaluator.table),
        "first_seconds": round(first, 2),
        "again_seconds": round(again, 2),
        "numpy_seconds": round(plain, 2),
        "ratio": round(again / plain, 2),
    }


def agreement(designs: int) -> dict[str, Any]:
    """Random designs of every space, their sums over cells against traces of whole networks.

    Decoders also in a batch, since what they keep from step to step grows with it.
    """
    found: dict[str, Any] = {}
    for name, batch in (*((name, 1) for name in list_spaces()), ("decoder", 8)):
        space = load_space(name)
        codes = space.sample(designs, seed=len(name))
        evaluator = Evaluator(space, AGREED, batch)
        columns = evaluator(codes)
        exact, worst, joules = 0, 0.0, 0.0
        for index, code in enumerate(codes):
            graph = traced_design(space, space.design(code), min(batch, 2))
            estimates = [cm.estimate(graph, device, batch) for device in AGREED]
            total = estimates[0].total
            exact += (
                columns.parameters[index] == graph.parameters
                and columns.macs[index] == total.macs
                and columns.flops[index] == total.flops
                and columns.operators[index] == estimates[0].workload.counts.sum()
                and columns.bytes[index] == total.bytes
                and columns.memory[index] == estimates[0].peak_memory
            )
            off = [abs(columns.latency[i, index] / e.latency - 1) for i, e in enumerate(estimates)]
            worst = max(worst, *off)
            for row, estimate in enumerate(estimates):
                assert estimate.energy is not None
                drawn = columns.energy[row, index] / estimate.energy.joules
                joules = max(joules, abs(drawn - 1))
        case = name if batch == 1 else f"{name}, batch {batch}"
        found[case] = {
            "designs": designs,
            "exact": int(exact),
            "worst_latency": float(worst),
            "worst_energy": float(joules),
            "stated_error": float(max(evaluator.error)),
        }
        print(case, found[case], file=sys.stderr)
    return found


def described(estimate: cm.Estimate) -> dict[str, Any]:
    return {
        "network": estimate.graph.name,
        "latency_ms": round(estimate.latency * 1e3, 2),
        "images_per_s": round(estimate.throughput),
        "gmacs_per_image": round(float(estimate.total.macs) / estimate.batch / 1e9, 3),
        "gib_moved": round(float(estimate.total.bytes) / 2**30, 2),
        "parameters_m": round(estimate.graph.parameters / 1e6, 2),
    }


def v100() -> dict[str, Any]:
    budget = cm.estimate(cm.load_graph("zoo:fasternet_t2", 2), DEVICE, BATCH)
    partial = cm.estimate(cm.load_graph("zoo:partialnet_t2_merged", 2), DEVICE, BATCH)
    report: dict[str, Any] = {
        "budget": described(budget),
        "partialnet_t2": described(partial),
    }
    space = load_space("fasternet")
    problem = Problem(space, [DEVICE], budgets=(Budget("latency", budget.latency),), batch=BATCH)
    result = search(problem, top=1)
    pat = space.restricted(**{f"kind{i}": ["patconv"] for i in (1, 2, 3, 4)})
    only = Problem(pat, [DEVICE], budgets=(Budget("latency", budget.latency),), batch=BATCH)
    split = space.restricted(**{f"kind{i}": ["pconv", "patconv"] for i in (1, 2, 3, 4)})
    both = Problem(split, [DEVICE], budgets=(Budget("latency", budget.latency),), batch=BATCH)
    for name, found in (
        ("any_block", result),
        ("pconv_or_patconv", search(both, top=1)),
        ("patconv", search(only, top=1)),
    ):
        best = found.recommended
        assert best is not None
        (traced,) = best.estimates
        entry = described(traced)
        entry["design"] = ", ".join(f"{key}={best.design[key]}" for key in space.free)
        entry["designs"] = found.summary.seen
        entry["feasible"] = found.summary.feasible
        entry["over_partialnet_t2"] = {
            "macs": round(float(traced.total.macs / partial.total.macs), 3),
            "bytes": round(float(traced.total.bytes / partial.total.bytes), 3),
            "latency": round(traced.latency / partial.latency, 3),
        }
        entry["meets_budget"] = bool(traced.latency <= budget.latency)
        report[name] = entry
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--designs", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--agreement", type=int, default=200)
    options = parser.parse_args()
    report = {
        "million": million(options.designs, options.repeats),
        "v100": v100(),
        "agreement": agreement(options.agreement),
    }
    print(json.dumps(report, indent=2))
    slow = report["million"]["first_seconds"] > 10
    broken = not all(
        report["v100"][name]["meets_budget"]
        for name in ("any_block", "pconv_or_patconv", "patconv")
    )
    wrong = any(
        entry["exact"] < entry["designs"]
        or max(entry["worst_latency"], entry["worst_energy"]) > 1e-9 + 2 * entry["stated_error"]
        for entry in report["agreement"].values()
    )
    return int(slow or broken or wrong)


if __name__ == "__main__":
    sys.exit(main())
