"""Model to graph with edges, bytes, module paths and costs, against the bare meta forward.

    python benchmarks/tracing_speed.py

Prints JSON: per model the median of each in milliseconds, and ratios within this run. Peers that
are installed take part: torch's FlopCounterMode always, torchinfo, fvcore, ptflops, calflops and
thop where they import.
"""

from __future__ import annotations

import contextlib
import io
import json
import statistics
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec

import torch
from torch.utils.flop_counter import FlopCounterMode

from costmodel.estimation import estimate, sweep
from costmodel.formulas.columns import columns_of
from costmodel.hardware import device_ids, load_device
from costmodel.roofline.ceilings import Target
from costmodel.tracing.eager import trace
from costmodel.tracing.source import load_source

MODELS = (
    "timm:resnet50", "timm:mobilenetv2_100", "timm:vit_base_patch16_224",
    "timm:swin_tiny_patch4_window7_224", "timm:convnext_tiny", "zoo:fasternet_t2",
)  # fmt: skip
RUNS = 7


def interleaved(tasks: dict[str, Callable[[], object]], runs: int = RUNS) -> dict[str, float]:
    """Median seconds of each task, the tasks taking turns so that drift hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(runs + 1):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def peers(model: torch.nn.Module, x: torch.Tensor) -> dict[str, Callable[[], object]]:
    """The counters that are installed, each as its users call it."""
    found: dict[str, Callable[[], object]] = {}

    def counter() -> None:
        with FlopCounterMode(display=False), torch.no_grad():
            model(x)

    found["FlopCounterMode"] = counter
    real = None
    if any(find_spec(name) for name in ("fvcore", "ptflops", "calflops", "thop")):
        # These run the real arithmetic and want real weights.
        real = model.to_empty(device="cpu")
    image = torch.zeros(x.shape)
    if find_spec("torchinfo"):
        import torchinfo

        found["torchinfo"] = lambda: torchinfo.summary(model, input_data=[x], verbose=0)
    if real is not None and find_spec("fvcore"):
        from fvcore.nn import FlopCountAnalysis

        found["fvcore"] = lambda: (
            FlopCountAnalysis(real, image).unsupported_ops_warnings(False).total()
        )
    return found


def speed_of(source: str) -> dict[str, float]:
    """Seconds of everything on one model."""
    found = load_source(source)
    model, (x,) = found.model.eval(), found.inputs

    def bare() -> None:
        with torch.no_grad():
            model(x)

    def ours() -> None:
        columns_of(trace(model, x)).evaluate()

    with contextlib.redirect_stdout(io.StringIO()):
        return interleaved({"bare": bare, "costmodel": ours, **peers(model, x)})


def engine_speed() -> dict[str, float]:
    """Seconds of one estimate on a new device, and of the sweep of 60 x 10 x 4."""
    found = load_source("timm:resnet50")
    graph = trace(found.model, *found.inputs)
    usable = [Target(p) for p in map(load_device, device_ids()) if p.peak("float32")][:60]
    batches = [2**i for i in range(10)]
    precisions = ["fp32", "fp16", "bf16", "int8"]
    sizes = iter(range(3, 10_000))
    return interleaved(
        {
            "one estimate": lambda: estimate(graph, usable[0], next(sizes)).latency,
            "sweep 60 x 10 x 4": lambda: sweep(graph, usable, batches, precisions).latency,
        }
    )


def main() -> None:
    warnings.simplefilter("ignore")
    result: dict[str, object] = {"torch": torch.__version__, "engine_seconds": engine_speed()}
    models = {}
    for source in MODELS:
        seconds = speed_of(source)
        models[source] = {
            "milliseconds": {name: round(1e3 * value, 2) for name, value in seconds.items()},
            "costmodel_over": {
                name: round(seconds["costmodel"] / value, 3)
                for name, value in seconds.items()
                if name != "costmodel"
            },
        }
    result["models"] = models
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
