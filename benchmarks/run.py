"""All benchmarks in one go, results as JSON beside a description of the machine.

    python benchmarks/run.py [NAME...]

Writes benchmarks/results/NAME.json. Everything that is compared is measured in the same run; a
ratio that is more than 20% worse than the committed one fails.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"
BENCHMARKS = {
    "tracing_speed": [],
    "formulas": [],
    "mutation": ["--sample", "150"],
    "symbolic_check": [],
    "onnx_agreement": [],
}
"""Arguments of each script."""

SLACK = 1.2


def ratios(value: Any, path: str = "") -> dict[str, float]:
    """Every number under a key that is a ratio, by its path."""
    found: dict[str, float] = {}
    if isinstance(value, dict):
        for key, inner in value.items():
            here = f"{path}/{key}"
            if isinstance(inner, (int, float)) and ("over" in path or "ratio" in key):
                found[here] = float(inner)
            found.update(ratios(inner, here))
    return found


def main(names: list[str]) -> int:
    RESULTS.mkdir(exist_ok=True)
    worse: list[str] = []
    for name in names or BENCHMARKS:
        print(f"{name} ...", file=sys.stderr)
        done = subprocess.run(
            [sys.executable, str(HERE / f"{name}.py"), *BENCHMARKS[name]],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            result = json.loads(done.stdout)
        except ValueError:
            result = {"text": done.stdout}
        path = RESULTS / f"{name}.json"
        if done.returncode:
            worse.append(f"{name}: exit code {done.returncode}")
        before = ratios(json.loads(path.read_text())["result"]) if path.exists() else {}
        for key, ratio in ratios(result).items():
            if key in before and ratio > SLACK * before[key]:
                worse.append(f"{name}{key}: {ratio:.3g}, was {before[key]:.3g}")
        machine = {"machine": platform.machine(), "python": platform.python_version()}
        path.write_text(json.dumps({**machine, "result": result}, indent=1) + "\n")
        print(done.stdout)
    for line in worse:
        print(f"worse: {line}", file=sys.stderr)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
