"""All benchmarks in one go, results as JSON beside a description of the machine.

    python benchmarks/run.py [NAME...]

Writes benchmarks/results/NAME.json. Everything that is compared is measured in the same run, so
that a ratio means the same on any machine. A ratio that is more than 20% worse than the committed
one fails, and so does a script that misses a limit of its own; the committed file is then left as
it was, and the new one lies beside it as NAME.worse.json.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"
BENCHMARKS: dict[str, list[str]] = {
    "tracing_speed": [],
    "engine_speed": [],
    "import_time": [],
    "largest_model": [],
    "zoo_speed": [],
    "formulas": [],
    "mutation": ["--sample", "150"],
    "symbolic_check": [],
    "onnx_agreement": [],
    "fuzz": [],
    "search": [],
}
"""Arguments of each script; others run when they are named, as `workbench_latency`, which needs a
Chromium."""

SLACK = 1.2
"""How much worse than the committed one a ratio may be."""

PACKAGES = (
    "torch", "numpy", "sympy", "timm", "torchvision", "onnx", "transformers", "fvcore", "ptflops",
    "calflops", "thop", "torchinfo",
)  # fmt: skip


def ratios(value: Any, path: str = "", inside: bool = False) -> Iterator[tuple[str, float]]:
    """Every number under a key that names a ratio ("costmodel_over", "ratio_over_numpy")."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from ratios(inner, f"{path}/{key}", inside or "_over" in key or "ratio" in key)
    elif inside and isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path, float(value)


def worse(before: Any, after: Any) -> list[str]:
    """Ratios that are worse than they were by more than the slack; a new one has nothing to be."""
    known = dict(ratios(before))
    return [
        f"{path}: {ratio:.3g}, was {known[path]:.3g}"
        for path, ratio in ratios(after)
        if path in known and ratio > SLACK * known[path]
    ]


def machine() -> dict[str, Any]:
    """What a time depends on, besides the code."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "load": [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else [],
        "system": platform.system(),
        "python": platform.python_version(),
        "packages": versions,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def run(name: str, arguments: Sequence[str], results: Path = RESULTS) -> list[str]:
    """Run one benchmark and keep its result; returns what is wrong with it."""
    here = machine()
    done = subprocess.run(
        [sys.executable, str(HERE / f"{name}.py"), *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        result = json.loads(done.stdout)
    except ValueError:
        return [f"{name}: exit code {done.returncode} and no JSON"]
    path = results / f"{name}.json"
    before = json.loads(path.read_text(encoding="utf-8"))["result"] if path.exists() else {}
    wrong = [f"{name}{line}" for line in worse(before, result)]
    kept = path.with_suffix(".worse.json") if wrong else path
    if done.returncode:
        wrong.append(f"{name}: exit code {done.returncode}")
    kept.write_text(json.dumps({"machine": here, "result": result}, indent=1) + "\n")
    print(done.stdout)
    return wrong


def main(names: list[str]) -> int:
    RESULTS.mkdir(exist_ok=True)
    wrong: list[str] = []
    for name in names or BENCHMARKS:
        print(f"{name} ...", file=sys.stderr)
        wrong += run(name, BENCHMARKS.get(name, []))
    for line in wrong:
        print(f"worse: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
