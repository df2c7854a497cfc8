"""Memory and time to trace a decoder of 405 billion parameters.

    python benchmarks/largest_model.py [MODEL]

Prints JSON: processor seconds, what it adds to the peak of resident memory over the imported
libraries, and what was found. Exits with 1 above 60 s or 1 GiB.
"""

from __future__ import annotations

import json
import resource
import sys
import time

MODEL = "hf:llama-3.1-405b"
LIMIT_S, LIMIT_GIB = 60.0, 1.0


def peak_gib() -> float:
    """Largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**30 if sys.platform == "darwin" else peak / 2**20


def main(model: str = MODEL) -> int:
    from costmodel.estimation import estimate
    from costmodel.tracing.source import load_graph

    load_graph("hf:bert-base")  # whatever the libraries import and compile on first use
    before, wall, processor = peak_gib(), time.perf_counter(), time.process_time()
    graph = load_graph(model)
    seconds, wall = time.process_time() - processor, time.perf_counter() - wall
    added = peak_gib() - before
    print(
        json.dumps(
            {
                "model": model,
                "parameters": graph.parameters,
                "operators": sum(not op.is_view for op in graph.ops),
                "processor_seconds": round(seconds, 2),
                "seconds": round(wall, 2),
                "added_gib": round(added, 3),
                "latency_h100_s": estimate(graph, "h100-sxm5", precision="bf16").latency,
            },
            indent=1,
        )
    )
    return 1 if seconds > LIMIT_S or added > LIMIT_GIB else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
