"""A whole zoo on all devices: traced cold, and read from the trace cache.

    python benchmarks/zoo_speed.py [--every 20]

Takes one timm model in so many and prints JSON: processor seconds per model for tracing, for
reading from a cache of its own, and for estimates on all devices; and what all of timm would take
on two cores at that rate. Exits with 1 if that is above 4 minutes cold or 10 s from the cache.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from costmodel.graph import Graph

LIMIT_COLD_S, LIMIT_WARM_S, CORES = 240.0, 10.0, 2


def least(task: Callable[[], Any], repeats: int) -> tuple[float, list[Any]]:
    """The least processor seconds of a task, as what else the machine does only adds to them."""
    times, results = [], []
    for _ in range(repeats):
        start = time.process_time()
        results.append(task())
        times.append(time.process_time() - start)
    return min(times), results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--every", type=int, default=20)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    import timm

    from costmodel.estimation import sweep
    from costmodel.hardware import device_ids, load_device
    from costmodel.roofline.ceilings import Target
    from costmodel.tracing.cache import cached_graph

    every = timm.list_models()
    sources = [f"timm:{name}" for name in every[:: options.every]]
    able = [Target(p) for p in map(load_device, device_ids()) if p.peak("float32")]

    def estimate(graphs: Iterator[Graph]) -> float:
        return float(sweep(next(graphs), able).latency.sum())

    spent = dict.fromkeys(("trace", "read", "estimate"), 0.0)
    failed = {}
    with tempfile.TemporaryDirectory() as folder:
        cached_graph("timm:resnet18", folder=Path(folder))  # imports
        for source in sources:
            try:
                seconds, _ = least(partial(cached_graph, source, enabled=False), 2)
                spent["trace"] += seconds
                kept = partial(cached_graph, source, folder=Path(folder))
                kept()
                seconds, graphs = least(kept, 3)
                spent["read"] += seconds
                # A graph each time: nothing that an earlier estimate left behind can be used.
                seconds, _ = least(partial(estimate, iter(graphs)), 3)
                spent["estimate"] += seconds
            except Exception as error:
                failed[source] = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    models = len(sources) - len(failed)
    each = {step: seconds / models for step, seconds in spent.items()}
    whole = {
        "cold": (each["trace"] + each["estimate"]) * len(every) / CORES,
        "from_cache": (each["read"] + each["estimate"]) * len(every) / CORES,
    }
    print(
        json.dumps(
            {
                "models_taken": models,
                "models_of_timm": len(every),
                "devices": len(able),
                "milliseconds_per_model": {k: round(1e3 * v, 1) for k, v in each.items()},
                "seconds_of_all_on_two_cores": {k: round(v, 1) for k, v in whole.items()},
                "failed": failed,
            },
            indent=1,
        )
    )
    return 1 if failed or whole["cold"] > LIMIT_COLD_S or whole["from_cache"] > LIMIT_WARM_S else 0


if __name__ == "__main__":
    sys.exit(main())
