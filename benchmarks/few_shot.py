"""Few-shot refinement over many draws of the measured models: what it gains, how often it harms.

    python benchmarks/few_shot.py DATA                    spec-only runs of accuracy.toml, seeds
    python benchmarks/few_shot.py DATA --only '*4090*'    some

Each run of benchmarks/accuracy.toml that knows its device by the data sheet alone is judged with
ten measured models, and each published column of times with five; the models that refine are never
judged. One draw says little, since ten models can be lucky: the table gives the mean over draws.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from costmodel.estimation import resolve_target
from costmodel.measurement.fitting.fit import read_constants
from costmodel.measurement.reproduction.conditions import condition_of
from costmodel.measurement.reproduction.networks import Networks as TracedNetworks
from costmodel.measurement.validation.device_factors import (
    NEUTRAL,
    DeviceFactors,
    network_times,
    sum_rows,
)
from costmodel.measurement.validation.few_shot import pick_models, refine
from costmodel.measurement.validation.measured_files import validate_file
from costmodel.measurement.validation.networks import Case, Networks, stack_networks
from costmodel.measurement.validation.request import Request
from costmodel.measurement.validation.validation import family_of, take
from costmodel.published import model, table
from costmodel.roofline.ceilings import Target
from costmodel.roofline.constants import DEFAULT, Constants
from costmodel.tracing.cache import cached_graph

HERE = Path(__file__).parent
COLUMNS = ("throughput_v100", "throughput_mi250", "latency_epyc_73f3")


class Test(NamedTuple):
    """Measured networks on a device that the constants were not fitted to."""

    name: str
    networks: Networks
    target: Target
    constants: Constants
    shots: int


def measured_tests(data: Path, only: str) -> Iterator[Test]:
    """The spec-only runs of accuracy.toml that are of whole networks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-d")
    parser.add_argument("--fast-norm", action="store_true")
    parser.add_argument("--compiled", action="store_true", default=None)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--precision")
    parser.add_argument("--mode", default="infer")
    parser.add_argument("--constants")
    for run in tomllib.loads((HERE / "accuracy.toml").read_text(encoding="utf-8"))["run"]:
        kernels = run["file"].startswith("kernels")
        if run["kind"] != "spec-only" or kernels or not fnmatch(run["test"], only):
            continue
        words = parser.parse_args(shlex.split(run["options"]))
        constants = DEFAULT if not words.constants else read_constants(Path(words.constants))
        request = Request(
            precision=words.precision,
            fast_norm=words.fast_norm,
            limit=words.limit,
            mode=words.mode,
            compiled=words.compiled,
        )
        ours = run["file"].startswith("benchmarks/")
        path = (HERE.parent if ours else data) / run["file"]
        for one in validate_file(path, resolve_target(words.d), request, cached_graph).runs:
            if len(one.networks) >= 30:
                yield Test(run["test"], one.networks, one.target, constants, 10)


def published_tests(only: str) -> Iterator[Test]:
    """The columns of times of the ImageNet table."""
    traced = TracedNetworks(lambda message: print(message, file=sys.stderr))
    for column in COLUMNS:
        condition = condition_of("imagenet", column)
        if condition is None or not fnmatch(column, only):
            continue
        cases = []
        for row, value in table("imagenet").column(column).items():
            known = model("imagenet", row)
            source = known.macs_source if condition.merged else known.source
            if source is None:
                continue
            graph = traced.graph(
                source, known.input_shape, folded=condition.folded, fused=condition.fused
            )
            latency = column.startswith("latency")
            seconds = value / 1e3 if latency else condition.batch / value
            cases.append(Case(row, graph, condition.batch, seconds))
        networks = stack_networks(cases)
        yield Test(column, networks, resolve_target(condition.device), DEFAULT, 5)


def errors_of(test: Test, chosen: Any, factors: DeviceFactors) -> Any:
    part = take(test.networks, chosen)
    rows = network_times(part, test.target, test.constants, factors=factors).total[0, 0]
    return np.abs(sum_rows(part, rows) / part.measured - 1)


def judged(test: Test, draws: int) -> dict[str, Any]:
    """Means over the draws of both errors on the models that did not refine."""
    families = [family_of(name) for name in test.networks.names]
    found = []
    for seed in range(draws):
        chosen = pick_models(families, test.shots, seed)
        rest = np.setdiff1d(np.arange(len(test.networks)), chosen)
        refinement = refine(take(test.networks, chosen), test.target, test.constants)
        before = errors_of(test, rest, NEUTRAL)
        after = errors_of(test, rest, refinement.factors)
        found.append((before.mean(), after.mean(), np.median(before), np.median(after),
                      refinement.refined, after.mean() > before.mean() * 1.001))  # fmt: skip
    mean = np.mean(np.array(found, dtype=float), axis=0)
    names = ("mape_spec_only", "mape", "median_spec_only", "median", "refined", "worse")
    values = {name: round(float(value), 4) for name, value in zip(names, mean, strict=True)}
    return {"test": test.name, "n": len(test.networks), "shots": test.shots, **values}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder of measured files")
    parser.add_argument("--only", default="*", metavar="GLOB")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "few_shot.json")
    chosen = parser.parse_args()
    rows = []
    for source in (published_tests(chosen.only), measured_tests(chosen.data, chosen.only)):
        for test in source:
            rows.append(judged(test, chosen.draws))
            print(json.dumps(rows[-1]), flush=True)
            chosen.output.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
