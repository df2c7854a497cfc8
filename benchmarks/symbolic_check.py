"""Check symbolic traces against concrete ones, model by model, exactly.

Each model is traced once with symbolic batch, height and width. The result is then put at other
sizes than it was traced at, in three ways (substituted graph, closed-form total, compiled
function), and each must equal an eager trace at that size: MACs, other FLOPs, bytes read and
written, of the whole graph and of every operator class.

    python benchmarks/symbolic_check.py [-o result.json] [MODEL ...]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import numpy as np

import costmodel as cm
from costmodel.errors import CostModelError
from costmodel.formulas.columns import columns_of
from costmodel.formulas.cost import Cost
from costmodel.symbolic import operator_costs, symbols_of
from costmodel.tracing.source import load_source

MODELS = [
    *(f"zoo:fasternet_{size}" for size in ("t0", "t1", "t2", "s", "m", "l")),
    *(
        f"timm:{name}"
        for name in (
            "resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2", "seresnet50",
            "ecaresnet50d", "res2net50_26w_4s", "resnest14d", "regnety_008", "densenet121",
            "vgg16_bn", "mobilenetv2_100", "mobilenetv3_large_100", "mobilenetv4_conv_small",
            "efficientnet_b0", "tf_efficientnet_b0", "efficientnetv2_rw_t", "ghostnet_100",
            "mnasnet_100", "convnext_tiny", "convnextv2_atto", "convmixer_768_32", "repvgg_a0",
            "hrnet_w18_small", "dla34", "cspresnet50", "darknet53", "inception_v3", "xception41",
            "dpn68", "poolformer_s12", "vit_base_patch16_224", "deit3_small_patch16_224",
            "beit_base_patch16_224", "swin_tiny_patch4_window7_224", "pit_s_224", "cait_xxs24_224",
            "mixer_b16_224", "gmlp_s16_224", "crossvit_9_240", "pvt_v2_b0", "mobilevit_s",
            "edgenext_small", "coat_lite_tiny", "levit_128s", "maxvit_tiny_tf_224", "fastvit_t8",
            "nfnet_l0",
        )
    ),
    *(
        f"torchvision:{name}"
        for name in ("resnet50", "googlenet", "shufflenet_v2_x1_0", "squeezenet1_1", "vit_b_16",
                     "swin_t", "mobilenet_v3_small", "alexnet")
    ),
]  # fmt: skip

QUANTITIES = ("macs", "other_flops", "bytes_read", "bytes_written")


def by_class(graph: cm.Graph) -> dict[str, tuple[float, ...]]:
    """Totals of a concrete graph per operator class, by the numeric columns."""
    columns = columns_of(graph)
    cost = columns.evaluate().cost
    result: dict[str, tuple[float, ...]] = {}
    for kind in sorted(set(columns.kinds)):
        chosen = np.array([k == kind for k in columns.kinds])
        counts = np.where(chosen, columns.counts, 0)
        result[kind] = tuple(float(np.dot(getattr(cost, q), counts)) for q in QUANTITIES)
    return result


def totals(classes: dict[str, tuple[float, ...]]) -> tuple[float, ...]:
    return tuple(float(sum(values)) for values in zip(*classes.values(), strict=True))


def numbers(cost: Cost) -> tuple[float, ...]:
    return tuple(float(getattr(cost, q)) for q in QUANTITIES)


def check(source: str) -> dict[str, Any]:
    """One line of the report: what stayed symbolic, and whether every comparison is exact."""
    found = load_source(source, 2)
    (image,) = found.inputs
    _, channels, height, width = image.shape
    started = time.perf_counter()
    names = {"batch": 0, "height": 2, "width": 3}
    graph = cm.trace(found.model, image, symbolic=names, name=source)
    traced = time.perf_counter() - started
    started = time.perf_counter()
    closed = graph.cost()
    priced = time.perf_counter() - started
    free = graph.symbols
    sizes = [(1, height, width), (3, height, width)]
    if "height" in free:
        sizes += [(3, height + 64, width + 32), (5, height + 128, width + 128)]
        sizes += [(2, height + 17, width + 10)]
    line: dict[str, Any] = {
        "model": source,
        "symbolic": list(free),
        "guards": len(graph.guards),
        "trace_s": round(traced, 2),
        "cost_s": round(priced, 2),
        "differences": [],
        "sizes": [],
    }
    for size in sizes:
        given = dict(zip(names, size, strict=True))
        try:
            placed = graph.substitute(**given)
        except CostModelError as error:
            line["refused"] = str(error)
            continue
        n, h, w = size
        # A fresh model each time: some keep tensors of their first forward for the next.
        eager = cm.trace(load_source(source, 2).model, (n, channels, h, w), name=source)
        expected = by_class(eager)
        values = {symbol: given[name] for name, symbol in symbols_of(graph).items()}
        seen = {
            "substituted": totals(by_class(placed)),
            "closed form": numbers(closed.subs(values)),
            "compiled": numbers(graph.evaluate(**given)),
        }
        wrong = {how: got for how, got in seen.items() if got != totals(expected)}
        classes = by_class(placed)
        for kind in sorted(expected.keys() | classes.keys()):
            if classes.get(kind) != expected.get(kind):
                wrong[kind] = (classes.get(kind), expected.get(kind))
        line["sizes"].append(size)
        if wrong and n == 1:
            line["at_one"] = [int(v) for v in totals(expected)], [int(v) for v in totals(classes)]
        elif wrong:
            line["differences"].append({"size": size, "expected": totals(expected), **wrong})
    kept = sum(not op.is_view for op in graph.ops)
    line["operators"] = kept
    assert len(operator_costs(graph)) == kept
    return line


def verdict_of(line: dict[str, Any]) -> str:
    """A batch of 1 is reported apart: there the framework may skip copies (see export.SMALLEST)."""
    if "error" in line:
        return "error"
    if not any(n > 1 for n, _, _ in line["sizes"]):
        return "pinned"
    return "differs" if line["differences"] else "exact"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("-o", "--output", help="write the result as JSON")
    options = parser.parse_args()
    lines: list[dict[str, Any]] = []
    for source in options.models:
        try:
            line = check(source)
        except Exception as error:
            line = {"model": source, "error": f"{type(error).__name__}: {error}"}
        lines.append(line)
        verdict = verdict_of(line)
        detail = line.get("error") or f"{','.join(line['symbolic'])} at {line['sizes']}"
        print(f"{verdict:8}{source:44}{line.get('trace_s', 0):6.1f} s  {detail}"[:240], flush=True)
        for difference in line.get("differences", []):
            print(f"        {difference}"[:400], flush=True)
        if "refused" in line:
            print(f"        refused: {line['refused']}"[:300], flush=True)
        if "at_one" in line:
            print(f"        at batch 1 (eager, symbolic): {line['at_one']}")
    exact = sum(verdict_of(line) == "exact" for line in lines)
    image = sum("height" in line.get("symbolic", ()) for line in lines)
    print(f"{exact} of {len(lines)} models exact; {image} with symbolic image size")
    if options.output:
        with open(options.output, "w") as file:
            json.dump({"schema_version": 1, "models": lines}, file, indent=1, default=str)
    return 0 if exact == len(lines) else 1


if __name__ == "__main__":
    sys.exit(main())
