"""A whole zoo on all devices: traced cold, and again from the trace cache.

    python benchmarks/zoo_speed.py [--every N]

Runs `costmodel sweep 'timm:*' -d all --engine loky` twice with a cache folder of its own, as a user
would, and prints JSON: seconds on the clock, everything included. Of the first run, what the second
finds in the cache. `--every N` takes one model in N, for a look in between. Exits with 1 if the
whole takes more than 4 minutes cold or 10 s from the cache.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT_COLD_S, LIMIT_WARM_S = 240.0, 10.0


def spent() -> tuple[float, float]:
    """Seconds on the clock, and of processor time of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter(), used.ru_utime + used.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--every", type=int, default=1)
    options = parser.parse_args()
    models = ["timm:*"]
    if options.every > 1:
        import timm

        models = [f"timm:{name}" for name in timm.list_models()[:: options.every]]
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "zoo.csv"
        command = [
            sys.executable, "-m", "costmodel.cli", "sweep", *models, "-d", "all",
            "--engine", "loky", "-o", str(result),
        ]  # fmt: skip
        environment = {**os.environ, "COSTMODEL_CACHE": str(Path(folder) / "cache")}
        for run in ("cold", "from_cache"):
            before = spent()
            ended = subprocess.run(command, env=environment, capture_output=True, text=True)
            clock, processor = (b - a for a, b in zip(before, spent(), strict=True))
            found[run] = {"seconds": round(clock, 1), "processor_seconds": round(processor, 1)}
            if ended.returncode:
                print(ended.stderr, file=sys.stderr)
                return 1
        with result.open(newline="") as file:
            rows = [*csv.DictReader(file)]
    counted = {
        "models": len({row["model"] for row in rows}),
        "devices": len({row["device"] for row in rows}),
        "load": round(os.getloadavg()[0], 1),
    }
    print(json.dumps({**counted, **found}, indent=1))
    slow = found["cold"]["seconds"] > LIMIT_COLD_S or found["from_cache"]["seconds"] > LIMIT_WARM_S
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
