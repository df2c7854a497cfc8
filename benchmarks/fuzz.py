"""Ten thousand generated cases of hostile input: files, command lines, links of the workbench.

    python benchmarks/fuzz.py [--scale 8]

Runs the tests that draw their input with so many times their usual number of cases, and prints
JSON: cases per group of tests, seconds, failures. Exits with 1 if one fails or if fewer than
10,000 were drawn.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
TESTS = HERE.parent / "tests"
LEAST = 10_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scale", type=float, default=8.0)
    options = parser.parse_args()
    files = sorted(str(path) for path in TESTS.glob("test_fuzz*.py"))
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "COSTMODEL_FUZZ_SCALE": str(options.scale),
            "COSTMODEL_FUZZ_COUNTS": folder,
        }
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files],
            cwd=HERE.parent, env=environment, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        seconds = time.perf_counter() - start
        drawn: Counter[str] = Counter()
        for path in Path(folder).iterdir():
            drawn.update(json.loads(path.read_text(encoding="utf-8")))
    print(
        json.dumps(
            {
                "cases": drawn.total(),
                "by_group": dict(drawn),
                "seconds": round(seconds, 1),
                "summary": done.stdout.strip().splitlines()[-1:],
            },
            indent=1,
        )
    )
    if done.returncode:
        print(done.stdout, file=sys.stderr)
    return 1 if done.returncode or drawn.total() < LEAST else 0


if __name__ == "__main__":
    sys.exit(main())
