"""Every model of the zoos: traced, costed, estimated, and counted by another counter.

    python benchmarks/coverage.py                    all of timm, torchvision, transformers (hours)
    python benchmarks/coverage.py torchvision        one library
    python benchmarks/coverage.py timm --every 20    one model in twenty
    python benchmarks/coverage.py timm:resnet50 hf:mamba?decode=512
    python benchmarks/coverage.py --report           only write the tables from what was found

Each model is a line of out/zoo/records.jsonl; models that have one are not run again (--fresh
starts over), so a run that was stopped goes on where it was. The tables, coverage.md and
coverage.json beside this file, are written at the end.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RECORDS = HERE.parent / "out" / "zoo" / "records.jsonl"
LIBRARIES = ("timm", "torchvision", "transformers")
TIMEOUT = 300
"""Seconds after which a model counts as failed."""

DEVICE = "v100-sxm2"
"""The device first asked; all are asked for the share of what has no formula."""

DECODE = 1024
"""Tokens in the cache of a generation step."""

DECODERS = (
    "gpt2", "gpt_neo", "gpt_neox", "gptj", "bloom", "opt", "mpt", "falcon", "codegen", "llama",
    "llama4_text", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "gemma",
    "gemma2", "gemma3_text", "phi", "phi3", "phimoe", "olmo", "olmo2", "olmoe", "stablelm",
    "starcoder2", "granite", "granitemoe", "cohere", "cohere2", "glm", "glm4", "glm4_moe",
    "deepseek_v3", "gpt_oss", "smollm3", "nemotron", "ernie4_5", "persimmon", "exaone4", "helium",
    "minimax_m2", "gpt_bigcode", "biogpt", "xglm", "llama-3.1-70b", "llama-3.1-405b",
)  # fmt: skip
"""Language models whose generation step is traced too."""


def sources(wanted: Iterable[str], every: int) -> Iterator[str]:
    """Model sources of whole libraries, or as given."""
    for name in wanted:
        if name == "timm":
            import timm

            yield from (f"timm:{model}" for model in timm.list_models()[::every])
        elif name == "torchvision":
            from torchvision import models

            yield from (f"torchvision:{model}" for model in models.list_models()[::every])
        elif name == "transformers":
            yield from [f"hf:{model}" for model in transformers_models()][::every]
        else:
            yield name


def transformers_models() -> list[str]:
    """Known configurations, every model type that has a model, and generation steps of decoders."""
    import transformers
    from transformers.models.auto import modeling_auto

    from costmodel.tracing.huggingface import known_models

    mappings = [
        names
        for mapping, names in vars(modeling_auto).items()
        if mapping.startswith("MODEL_") and mapping.endswith("_MAPPING_NAMES")
    ]
    types = [kind for kind in transformers.CONFIG_MAPPING if any(kind in m for m in mappings)]
    steps = [f"{kind}?decode={DECODE}" for kind in DECODERS]
    return [*dict.fromkeys([*known_models(), *steps, *types])]


# ------------------------------------------------------------------ one model


class _TimeIsUp(BaseException):
    pass


def _ring(*_: Any) -> None:
    raise _TimeIsUp


def examine(source: str) -> dict[str, Any]:
    """Trace, cost and estimate one model on all devices, and count it by another counter."""
    warnings.filterwarnings("ignore")
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    signal.signal(signal.SIGALRM, _ring)
    signal.alarm(TIMEOUT)
    record: dict[str, Any] = {"source": source}
    try:
        record |= _examined(source)
    except _TimeIsUp:
        record["error"] = f"not done after {TIMEOUT} s"
    except Exception as error:  # a zoo is full of surprises; each is a line of the table
        record["error"] = f"{type(error).__name__}: {' '.join(str(error).split())}"[:400]
    finally:
        signal.alarm(0)
    return record


def _examined(source: str) -> dict[str, Any]:
    from agreement import counter_macs, floating_point, macs_of, verdict

    from costmodel.errors import UsageError
    from costmodel.estimation import estimate
    from costmodel.hardware import device_ids
    from costmodel.tracing.eager import trace
    from costmodel.tracing.source import load_source

    start = time.process_time()
    name, model, inputs = load_source(source)
    built = time.process_time()
    graph = trace(model, *inputs, name=name)
    traced = time.process_time()
    uncovered: dict[str, float] = {}
    if estimate(graph, DEVICE).uncovered:
        for device in device_ids():
            with suppress(UsageError):  # a device that cannot compute in float32
                for entry in estimate(graph, device).uncovered:
                    uncovered[entry.op] = max(uncovered.get(entry.op, 0.0), entry.time_share)
    done = time.process_time()
    macs = macs_of(graph)
    record = {
        "rung": graph.rung,
        # Of the processor, which is what a busy machine leaves unchanged: build, trace, estimate.
        "cpu_s": [round(t, 3) for t in (built - start, traced - built, done - traced)],
        "operators": sum(not op.is_view for op in graph.ops),
        "parameters": graph.parameters,
        "macs": macs.total,
        "uncovered": {op: float(f"{share:.3g}") for op, share in uncovered.items()},
        "assumptions": list(graph.conditions.get("assumptions", ())),
    }
    try:
        if source.startswith("torchvision:quantized_"):
            model, inputs = floating_point(source)
        else:
            record["same_parameters"] = graph.parameters == sum(
                p.numel() for p in model.parameters()
            )
        counter = counter_macs(model, inputs)
    except Exception as error:
        text = " ".join(str(error).split())
        return record | {"agreement": f"counter failed: {type(error).__name__}: {text}"[:200]}
    return record | {"counter_macs": counter, "agreement": verdict(macs, counter)}


# ------------------------------------------------------------------- all models


def read_records(path: Path) -> dict[str, dict[str, Any]]:
    """The latest record of every source; a line that was cut off is left out."""
    found: dict[str, dict[str, Any]] = {}
    if path.exists():
        for line in path.read_text().splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            found[record["source"]] = record
    return found


def has_failed(record: dict[str, Any]) -> bool:
    """Whether a model could not be traced, or the other counter could not count it."""
    return "error" in record or record["agreement"].startswith("counter failed")


def run(todo: list[str], path: Path, processes: int) -> None:
    """Examine models in several processes, one line each as they are done."""
    path.parent.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    with path.open("a") as file, context.Pool(processes, maxtasksperchild=50) as pool:
        # Leaving the block ends the processes, also after Ctrl-C; what is written stays.
        for count, record in enumerate(pool.imap_unordered(examine, todo), start=1):
            print(json.dumps(record), file=file, flush=True)
            outcome = record.get("error", record.get("rung", ""))
            print(f"{count}/{len(todo)} {record['source']}: {outcome}"[:160], file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sources", nargs="*", default=LIBRARIES)
    parser.add_argument("--every", type=int, default=1, help="take one model in so many")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument("--fresh", action="store_true", help="run what has a record again")
    parser.add_argument("--failed", action="store_true", help="run again what failed")
    parser.add_argument("--report", action="store_true", help="only write the tables")
    options = parser.parse_args()
    sys.path.insert(0, str(HERE))
    if not options.report:
        done = {} if options.fresh else read_records(options.records)
        if options.failed:
            done = {name: record for name, record in done.items() if not has_failed(record)}
        wanted = dict.fromkeys(sources(options.sources, options.every))
        run([name for name in wanted if name not in done], options.records, options.processes)
    from coverage_report import write_report

    totals = {library: len(list(sources([library], 1))) for library in LIBRARIES}
    return write_report(read_records(options.records), HERE, totals)


if __name__ == "__main__":
    sys.exit(main())
