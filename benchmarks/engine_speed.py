"""How many operators the engine times in a second, against bare NumPy doing the same arithmetic.

    python benchmarks/engine_speed.py [--rounds 60] [--profile]

Prints JSON:

estimate              milliseconds for a traced graph on another device, batch or precision
sweep                 milliseconds for 60 devices x 10 batches x 4 precisions in one call
throughput            evaluations (operator, device, batch) per second of one core, all laws on;
                      equal operators of a graph are timed once and counted as often as they occur
ratio_over_numpy      the engine's time over that of its own array operations alone, replayed on
                      the arrays they ran on: what is left is Python and the making of views

Times are seconds of this process on its one core, the least of several rounds taken in turns, so
that what else the machine does hardly counts. `--profile` lists where they go.
Exits with 1 if a limit is missed: 1 ms, 50 ms, 10 million a second, a ratio of 3.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import json
import pstats
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from itertools import count
from typing import Any

import numpy as np

from costmodel.estimation import estimate, sweep
from costmodel.formulas.columns import columns_of
from costmodel.graph import Graph
from costmodel.hardware import device_ids, load_device
from costmodel.roofline.ceilings import Target, ceilings
from costmodel.roofline.device_columns import device_columns
from costmodel.roofline.engine import operator_times
from costmodel.roofline.operators import operator_columns
from costmodel.roofline.precision import get_precision
from costmodel.roofline.workload import workload_of
from costmodel.tracing.source import load_graph

MODELS = ("timm:resnet50", "timm:swin_tiny_patch4_window7_224", "zoo:fasternet_t2")
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
LIMITS = {"estimate_ms": 1.0, "sweep_ms": 50.0, "ratio_over_numpy": 3.0}
LEAST_PER_SECOND = 10e6

Task = Callable[[], object]
Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


def least(tasks: dict[str, Task], rounds: int) -> dict[str, float]:
    """The least processor time of each task in seconds, the tasks taking turns."""
    times: dict[str, float] = dict.fromkeys(tasks, float("inf"))
    for _ in range(rounds + 1):
        for name, task in tasks.items():
            repeats, spent = 0, 0.0
            while spent < 0.005 and repeats < 1000:
                start = time.process_time()
                task()
                spent += time.process_time() - start
                repeats += 1
            times[name] = min(times[name], spent / repeats)
    return times


# ---------------------------------------------------------------- bare NumPy


class Taped(np.ndarray):
    """An array that notes every NumPy operation done with it."""

    calls: list[Call] = []  # noqa: RUF012

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return self._call(getattr(ufunc, method), inputs, options)

    def __array_function__(self, function: Any, types: Any, inputs: Any, options: Any) -> Any:
        return self._call(function, inputs, options)

    def _call(self, function: Any, inputs: Any, options: Any) -> Any:
        plain, named = bare(inputs), bare(options)
        self.calls.append((function, plain, named))
        result = function(*plain, **named)
        return result.view(Taped) if isinstance(result, np.ndarray) else result


def bare(value: Any) -> Any:
    """The same without tapes."""
    if isinstance(value, Taped):
        return value.view(np.ndarray)
    if isinstance(value, (tuple, list)):
        return type(value)(map(bare, value))
    if isinstance(value, dict):
        return {key: bare(item) for key, item in value.items()}
    return value


def taped(columns: Any) -> Any:
    """A dataclass of columns with all its arrays taped."""
    found = {f.name: getattr(columns, f.name) for f in fields(columns) if f.init}
    arrays = {name: v.view(Taped) for name, v in found.items() if isinstance(v, np.ndarray)}
    return replace(columns, **arrays)


def numpy_calls(inputs: Sequence[Any]) -> list[Call]:
    """Every array operation of one evaluation, with the arrays it ran on."""
    Taped.calls.clear()
    operator_times(*map(taped, inputs))
    return list(Taped.calls)


# ------------------------------------------------------------------- measured


def evaluation(graph: Graph, targets: Sequence[Target], batches: int) -> tuple[Any, ...]:
    """What the engine is given for one precision."""
    sizes = 2.0 ** np.arange(batches)
    operators = operator_columns(workload_of(columns_of(graph)), sizes, get_precision("fp32"))
    return operators, ceilings(targets, operators.dtypes), device_columns(targets)


def throughput(graph: Graph, targets: Sequence[Target], rounds: int) -> dict[str, float]:
    inputs = evaluation(graph, targets, 16)
    calls = numpy_calls(inputs)

    def replayed() -> None:
        with np.errstate(all="ignore"):
            for function, arguments, options in calls:
                function(*arguments, **options)

    seconds = least({"engine": lambda: operator_times(*inputs), "numpy": replayed}, rounds)
    timed = sum(not op.is_view for op in graph.ops)
    pairs = len(targets) * 16
    return {
        "operators": timed,
        "distinct": int(inputs[0].count),
        "array_operations": len(calls),
        "per_second": round(timed * pairs / seconds["engine"]),
        "distinct_per_second": round(inputs[0].count * pairs / seconds["engine"]),
        "ratio_over_numpy": round(seconds["engine"] / seconds["numpy"], 3),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--profile", action="store_true", help="list where the time goes, instead")
    options = parser.parse_args()
    graphs = {source: load_graph(source) for source in MODELS}
    able = [Target(p) for p in map(load_device, device_ids()) if p.peak("float32")]
    sizes, batches = count(3), [2**i for i in range(10)]
    result: dict[str, Any] = {"numpy": np.__version__, "devices": len(able), "models": {}}
    for source, graph in graphs.items():
        # A new batch size each time: nothing that an earlier call left behind can be used.
        tasks: dict[str, Task] = {
            "estimate_ms": lambda g=graph: estimate(g, able[0], next(sizes)).latency,  # type: ignore[misc]
            "sweep_ms": lambda g=graph: sweep(g, able[:60], batches, PRECISIONS).latency,  # type: ignore[misc]
        }
        if options.profile:
            for name, task in tasks.items():
                print(f"{source} {name}\n{profile(task)}")
            continue
        found = {name: round(1e3 * s, 3) for name, s in least(tasks, options.rounds).items()}
        result["models"][source] = {**found, **throughput(graph, able, options.rounds)}
    if options.profile:
        return 0
    missed = [
        f"{source}: {name} {found[name]}, at most {limit}"
        for source, found in result["models"].items()
        for name, limit in LIMITS.items()
        if found[name] > limit
    ]
    missed += [
        f"{source}: {found['per_second']} a second, at least {LEAST_PER_SECOND:.0f}"
        for source, found in result["models"].items()
        if found["per_second"] < LEAST_PER_SECOND
    ]
    print(json.dumps({**result, "missed": missed}, indent=1))
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    return 1 if missed else 0


def profile(task: Task, repeats: int = 20, lines: int = 18) -> str:
    """The functions that most of a task's time is spent in."""
    profiler, text = cProfile.Profile(), io.StringIO()
    task()
    profiler.enable()
    for _ in range(repeats):
        task()
    profiler.disable()
    pstats.Stats(profiler, stream=text).sort_stats("tottime").print_stats(lines)
    return "\n".join(line for line in text.getvalue().splitlines() if line.strip())


if __name__ == "__main__":
    sys.exit(main())
