"""What `import costmodel` takes beyond a bare Python.

    python benchmarks/import_time.py [--runs 20]

Prints JSON: processor milliseconds of both (the least of the runs, taken in turns), the difference,
and the slowest modules as `-X importtime` tells them. Exits with 1 above 150 ms.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys

LIMIT_MS = 150.0


def processor_ms(statement: str) -> float:
    """Processor time of a fresh interpreter that runs a statement."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", statement], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1e3 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def slowest(count: int = 5) -> dict[str, float]:
    """Cumulative milliseconds of the modules that take longest."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import costmodel"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = {}
    for line in done.stderr.splitlines()[1:]:
        _, cumulative, name = line.removeprefix("import time:").split("|")
        found[name.strip()] = int(cumulative) / 1e3
    return dict(sorted(found.items(), key=lambda entry: -entry[1])[:count])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    least = {"pass": float("inf"), "import costmodel": float("inf")}
    for _ in range(options.runs):
        for statement in least:
            least[statement] = min(least[statement], processor_ms(statement))
    added = least["import costmodel"] - least["pass"]
    print(
        json.dumps(
            {
                "bare_ms": round(least["pass"], 1),
                "with_costmodel_ms": round(least["import costmodel"], 1),
                "added_ms": round(added, 1),
                "slowest_modules_ms": slowest(),
            },
            indent=1,
        )
    )
    return 1 if added > LIMIT_MS else 0


if __name__ == "__main__":
    sys.exit(main())
