"""Model to graph with edges, bytes, module paths and costs, against what others take to count.

    python benchmarks/tracing_speed.py [--runs 15] [--peer-runs 3] [MODEL...]

Prints JSON: per model the median of each in milliseconds, and the ratio of ours to it (the median
of the ratios within each round, the tasks taking turns, so that a busy machine hits all alike).
Peers that are installed take part (the extra `bench`): torch's FlopCounterMode always; torchinfo,
fvcore, ptflops, calflops and thop where they import. Those that run on meta tensors get a model
without weights; the others run their arithmetic for real, as their users do.

Exits with 1 if tracing takes more than half of the bare meta forward on a model, or longer than a
peer.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from costmodel.formulas.columns import columns_of
from costmodel.tracing.building import building_on
from costmodel.tracing.eager import trace
from costmodel.tracing.source import load_source

MODELS = (
    "timm:resnet50", "timm:mobilenetv2_100", "timm:vit_base_patch16_224",
    "timm:swin_tiny_patch4_window7_224", "timm:convnext_tiny", "zoo:fasternet_t2",
)  # fmt: skip
LIMIT = 0.5
"""Of the bare meta forward."""

Task = Callable[[], object]


def interleaved(tasks: dict[str, Task], runs: int) -> dict[str, list[float]]:
    """Seconds of each task in each round, the tasks taking turns; a first round warms up."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(runs + 1):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            if number:
                times[name].append(time.perf_counter() - start)
    return times


def peers(source: str) -> dict[str, Task]:
    """The counters that are installed, each as its users call it."""
    with building_on("cpu"):
        found = load_source(source)
    model, shape = found.model.eval(), tuple(found.inputs[0].shape)
    image = torch.zeros(shape)
    tasks: dict[str, Task] = {}
    if find_spec("torchinfo"):
        import torchinfo

        tasks["torchinfo"] = lambda: torchinfo.summary(model, input_data=[image], verbose=0)
    if find_spec("fvcore"):
        from fvcore.nn import FlopCountAnalysis

        def fvcore() -> None:
            counted = FlopCountAnalysis(model, image)
            counted.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()

        tasks["fvcore"] = fvcore
    if find_spec("ptflops"):
        from ptflops import get_model_complexity_info

        tasks["ptflops"] = lambda: get_model_complexity_info(
            model, shape[1:], print_per_layer_stat=False, as_strings=False
        )
    if find_spec("calflops"):
        from calflops import calculate_flops

        tasks["calflops"] = lambda: calculate_flops(
            model, input_shape=shape, print_results=False, print_detailed=False
        )
    if find_spec("thop"):
        import thop

        tasks["thop"] = lambda: thop.profile(model, inputs=(image,), verbose=False)
    return tasks


def speed_of(source: str, runs: int, peer_runs: int) -> dict[str, Any]:
    """Milliseconds of everything on one model, and the ratios of ours to them."""
    found = load_source(source)
    model, (x,) = found.model.eval(), found.inputs

    def bare() -> None:
        with torch.no_grad():
            model(x)

    def ours() -> None:
        columns_of(trace(model, x)).evaluate()

    def counter() -> None:
        with FlopCounterMode(display=False), torch.no_grad():
            model(x)

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        times = interleaved({"costmodel": ours, "bare": bare, "FlopCounterMode": counter}, runs)
        able, failed = {}, {}
        for name, task in peers(source).items():
            try:
                task()
            except Exception as error:  # a peer that cannot do this model is out of the race
                failed[name] = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            else:
                able[name] = task
        slow = interleaved({"costmodel": ours, **able}, peer_runs)
    ratios = {**over("costmodel", times), **over("costmodel", slow)}
    medians = {name: statistics.median(values) for name, values in {**slow, **times}.items()}
    return {
        "milliseconds": {name: round(1e3 * value, 2) for name, value in medians.items()},
        "costmodel_over": ratios,
        **({"failed": failed} if failed else {}),
    }


def over(name: str, times: dict[str, list[float]]) -> dict[str, float]:
    """The median over the rounds of one task's time by that of each other."""
    return {
        other: round(statistics.median(o / t for o, t in zip(times[name], values, strict=True)), 4)
        for other, values in times.items()
        if other != name
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--peer-runs", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    models = {m: speed_of(m, options.runs, options.peer_runs) for m in options.models}
    slow = [
        f"{source}: {ratio} of {name}"
        for source, found in models.items()
        for name, ratio in found["costmodel_over"].items()
        if ratio > (LIMIT if name == "bare" else 1)
    ]
    print(json.dumps({"torch": torch.__version__, "models": models, "missed": slow}, indent=1))
    for line in slow:
        print(f"missed: {line}", file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
