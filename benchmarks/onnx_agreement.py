"""Does a network cost the same from an .onnx file as from its module?

    python benchmarks/onnx_agreement.py [-o results.json] [--only NAME ...]

Every model is built with random weights, traced by the eager front end, exported by
`torch.onnx.export` (the TorchScript exporter for all; the newer one, based on torch.export, for
those marked), read back, and compared class by class: MACs, other FLOPs, bytes, and parameters.
MACs must be equal exactly in every class. Other differences must be among those listed below,
each a thing that one of the two programs really does and the other does not; anything else is
reported as unexplained and fails the run.

Needs the extras zoo and onnx, and onnxscript for the newer exporter.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import torch

import costmodel as cm
from costmodel.formulas.columns import columns_of
from costmodel.graph import Graph
from costmodel.tracing.onnx_model import trace_onnx


class Case(NamedTuple):
    """One model at one size, through one exporter."""

    source: str
    size: int
    dynamo: bool = False
    opset: int = 17


MODELS: dict[str, int] = {
    "torchvision:alexnet": 224, "torchvision:vgg11_bn": 224, "torchvision:squeezenet1_1": 64,
    "torchvision:densenet121": 64, "torchvision:googlenet": 96, "torchvision:inception_v3": 128,
    "torchvision:shufflenet_v2_x0_5": 64, "torchvision:mnasnet0_5": 64,
    "torchvision:mobilenet_v2": 64, "torchvision:mobilenet_v3_small": 64,
    "torchvision:efficientnet_b0": 64, "torchvision:regnet_y_400mf": 64,
    "torchvision:resnet18": 64, "torchvision:resnext50_32x4d": 64,
    "torchvision:convnext_tiny": 64, "torchvision:vit_b_32": 224, "torchvision:swin_t": 64,
    "torchvision:swin_v2_t": 64, "torchvision:maxvit_t": 224,
    "torchvision:lraspp_mobilenet_v3_large": 64, "torchvision:fcn_resnet50": 64,
    "torchvision:deeplabv3_mobilenet_v3_large": 64,
    "zoo:fasternet_t0": 64, "zoo:fasternet_t1": 64, "zoo:partialnet_t0": 64,
    "timm:resnet18": 64, "timm:mobilenetv2_050": 64, "timm:mobilenetv3_small_050": 64,
    "timm:mobilenetv4_conv_small": 64, "timm:efficientnet_lite0": 64, "timm:ghostnet_050": 64,
    "timm:repvgg_a0": 64, "timm:mixnet_s": 64, "timm:tinynet_e": 64, "timm:lcnet_035": 64,
    "timm:hardcorenas_a": 64, "timm:fbnetc_100": 64, "timm:spnasnet_100": 64, "timm:dla34": 64,
    "timm:hrnet_w18_small": 64, "timm:res2net50_26w_4s": 64, "timm:resnest14d": 64,
    "timm:skresnet18": 64, "timm:seresnet18": 64, "timm:ese_vovnet19b_dw": 64,
    "timm:selecsls42b": 64, "timm:dpn48b": 64, "timm:gernet_s": 64, "timm:nf_regnet_b0": 64,
    "timm:regnetx_002": 64, "timm:regnety_002": 64, "timm:rexnet_100": 64,
    "timm:resnetv2_50": 64, "timm:cspresnet50": 64, "timm:xception41": 96,
    "timm:vit_tiny_patch16_224": 224, "timm:deit_tiny_distilled_patch16_224": 224,
    "timm:swin_tiny_patch4_window7_224": 224, "timm:convnext_atto": 64,
    "timm:mixer_s32_224": 224, "timm:resmlp_12_224": 224, "timm:gmlp_ti16_224": 224,
    "timm:pit_ti_224": 224, "timm:poolformer_s12": 64, "timm:poolformerv2_s12": 64,
    "timm:levit_128s": 224, "timm:mobilevit_xxs": 64, "timm:mobilevitv2_050": 64,
    "timm:edgenext_xx_small": 64, "timm:efficientformer_l1": 224,
    "timm:efficientformerv2_s0": 224, "timm:convmixer_768_32": 64, "timm:cait_xxs24_224": 224,
    "timm:xcit_nano_12_p16_224": 224, "timm:crossvit_tiny_240": 240, "timm:twins_svt_small": 224,
    "timm:pvt_v2_b0": 64, "timm:focalnet_tiny_srf": 64, "timm:fastvit_t8": 64,
    "timm:repvit_m1": 64, "timm:starnet_s1": 64, "timm:tiny_vit_5m_224": 224,
    "timm:visformer_tiny": 224, "timm:convit_tiny": 224, "timm:davit_tiny": 64,
    "timm:mambaout_femto": 64, "timm:hgnetv2_b0": 64, "timm:inception_next_atto": 64,
    "timm:caformer_s18": 64, "timm:nest_tiny": 224, "timm:vit_relpos_small_patch16_224": 224,
}  # fmt: skip
"""Image size by model."""

DYNAMO = (
    "torchvision:resnet18", "torchvision:mobilenet_v3_small", "torchvision:swin_t",
    "zoo:fasternet_t0", "timm:vit_tiny_patch16_224", "timm:convnext_atto",
    "timm:mobilenetv4_conv_small", "timm:poolformer_s12", "timm:mobilevit_xxs",
)  # fmt: skip
"""Models that also go through the newer exporter."""

# ------------------------------------------------------------------ what may differ

SAME = {
    "_softmax": "softmax", "native_batch_norm": "batch_norm", "native_group_norm": "group_norm",
    "max_pool2d_with_indices": "max_pool2d", "_adaptive_avg_pool2d": "avg_pool2d",
    "linear": "matmul", "bmm": "matmul", "mm": "matmul", "addmm": "matmul", "einsum": "matmul",
    "stack": "cat", "bitwise_not": "logical_not",
}  # fmt: skip
"""Names under which the same operator is recorded by the two front ends."""

POOLING = "torch's maximum pooling writes where each maximum was, too"
COPIES = {
    "clone": "contiguous() copies in torch; a file has no memory layouts",
    "constant_pad_nd": "padding by nothing copies in torch; in a file it is no operator",
    "roll": "rolling by nothing copies in torch; in a file it is no operator",
}
"""Copies that only torch makes: the file may have fewer bytes of them, never more."""

_MASKS = (
    "attention masks: assignment to a slice is a scatter in a file, a != b is not (a == b), "
    "masked_fill is where",
    "eq fill index_put logical_not masked_fill ne new_zeros where",
)
_POSITIONS = (
    "positions that only depend on sizes are constants in a file",
    "_to_copy abs add arange cat cumsum div index logical_not mul pow repeat sub zeros",
)
_ZERO = ("adding x to 0 is left out in a file", "add")
MODEL_DIFFERENCES: dict[str, tuple[str, str]] = {
    "torchvision:inception_v3": ("a concatenation in a concatenation is one in a file", "cat"),
    "torchvision:swin_t": _MASKS,
    "torchvision:swin_t torch.export": (
        f"{_MASKS[0]}; the exporter works relative position biases out",
        f"{_MASKS[1]} index",
    ),
    "torchvision:swin_v2_t": (
        f"{_MASKS[0]}; clamping at one side is a minimum; zeroed biases are scattered",
        f"{_MASKS[1]} clamp clamp_max zero",
    ),
    "zoo:partialnet_t0": _POSITIONS,
    "timm:edgenext_xx_small": _POSITIONS,
    "timm:xcit_nano_12_p16_224": _POSITIONS,
    "timm:convit_tiny": (
        "position tables: assignment to a slice is a scatter in a file, what only depends on "
        "sizes is a constant, and what several blocks repeat is done once",
        "add arange cat copy index_put pow repeat sigmoid sub zeros",
    ),
    "timm:nf_regnet_b0": (
        "batch norm of a weight (its standardisation) is mean, variance and batch norm in a file",
        "mean var",
    ),
    "timm:vit_tiny_patch16_224 torch.export": (
        "the class token is stored expanded to the exported batch",
        "cat",
    ),
    "timm:convnext_atto torch.export": ("a strided view is a gather in a file", "index"),
    "timm:resmlp_12_224": ("addcmul is mul and add in a file", "add addcmul mul"),
    "timm:focalnet_tiny_srf": _ZERO,
    "timm:fastvit_t8": _ZERO,
    "timm:caformer_s18": ("a square is a product in a file", "mul pow"),
}
"""Other operators that may differ in one model, and why."""

PARAMETER_DIFFERENCES: dict[str, str] = {
    "torchvision:googlenet": "auxiliary classifiers, unused in inference, are not exported",
    "torchvision:inception_v3": "auxiliary classifiers, unused in inference, are not exported",
    "torchvision:swin_t torch.export": "relative position biases are stored worked out",
    "timm:vit_tiny_patch16_224 torch.export": "the class token is stored expanded to the batch",
}
"""Models whose parameters may differ, and why."""


# ----------------------------------------------------------------------- the run


def build(source: str) -> torch.nn.Module:
    """A model on the CPU with random weights (exporters merge weights that are equal)."""
    kind, _, name = source.partition(":")
    if kind == "timm":
        import timm

        model = timm.create_model(name, pretrained=False)
    elif kind == "torchvision":
        from torchvision import models

        options: dict[str, Any] = {"weights": None}
        if name.startswith(("googlenet", "inception")):
            options["init_weights"] = False
        if "segmentation" in models.get_model_builder(name).__module__:
            options["weights_backbone"] = None
        model = models.get_model(name, **options)
    else:
        from costmodel import zoo

        model = zoo.create(name)
    model = model.eval()
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                tensor.uniform_(0.1, 0.9)
    return model


def export(model: torch.nn.Module, x: torch.Tensor, path: Path, case: Case) -> None:
    """Write the file, batch norms kept."""
    settings: dict[str, Any] = {"dynamo": False, "do_constant_folding": False}
    settings |= {"training": torch.onnx.TrainingMode.PRESERVE, "opset_version": case.opset}
    if case.dynamo:
        settings = {"dynamo": True, "optimize": True, "verbose": False, "opset_version": 18}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        torch.onnx.export(model, (x,), path, **settings)


class Totals(NamedTuple):
    """Sums over operators of one kind or name."""

    operators: int
    macs: float
    other_flops: float
    bytes: float


def totals(graph: Graph, by: str) -> dict[str, Totals]:
    """Sums by "kind" or "target"."""
    columns = columns_of(graph)
    cost = columns.evaluate().cost
    result: dict[str, Totals] = {}
    for row, count, macs, other, traffic in zip(
        columns.table, columns.counts, cost.macs, cost.other_flops, cost.bytes, strict=True
    ):
        key = str(getattr(row, by)).removeprefix("aten::")
        key = SAME.get(key, key)
        before = result.get(key, Totals(0, 0, 0, 0))
        part = (int(count), count * macs, count * other, count * traffic)
        result[key] = Totals(*(a + float(b) for a, b in zip(before, part, strict=True)))
    return result


def differing(left: dict[str, Totals], right: dict[str, Totals]) -> dict[str, tuple[Any, Any]]:
    """Entries that are not equal."""
    none = Totals(0, 0, 0, 0)
    return {
        key: (left.get(key, none), right.get(key, none))
        for key in sorted({*left, *right})
        if any(
            abs(a - b) > 1e-9 * max(a, b, 1)
            for a, b in zip(left.get(key, none), right.get(key, none), strict=True)
        )
    }


def explain(source: str, operator: str, module: Totals, file: Totals) -> str | None:
    """Why an operator differs, if that is known."""
    if operator == "max_pool2d" and module[:3] == file[:3]:
        return POOLING
    if operator in COPIES and file.bytes <= module.bytes:
        return COPIES[operator]
    reason, operators = MODEL_DIFFERENCES.get(source, ("", ""))
    return reason if operator in operators.split() else None


FOLDED = "the exporter folds batch norm into the convolution before it"


def folded(module: Graph, file: Graph) -> bool:
    """Whether the file has no batch norm and just the biases that folding leaves."""

    def parameters_of(graph: Graph, target: str, *arguments: int) -> int:
        ids = {
            op.inputs[i]
            for op in graph.ops
            if op.target == target
            for i in arguments
            if i < len(op.inputs) and op.inputs[i] is not None
        }
        return sum(graph.tensors[i].numel for i in ids if i is not None)

    biases = [parameters_of(graph, "aten::convolution", 2) for graph in (module, file)]
    norms = [parameters_of(graph, "aten::batch_norm", 1, 2) for graph in (module, file)]
    change = biases[1] - biases[0] + norms[1] - norms[0]
    return norms[1] == 0 < norms[0] and file.parameters - module.parameters == change


def compare(case: Case, folder: Path) -> dict[str, Any]:
    """Trace, export, read and compare one model."""
    label = f"{case.source} torch.export" if case.dynamo else case.source
    model, x = build(case.source), torch.rand(2, 3, case.size, case.size)
    module = cm.trace(model, x)
    path = folder / "model.onnx"
    export(model, x, path, case)
    start = time.perf_counter()
    file = trace_onnx(path)
    seconds = time.perf_counter() - start
    kinds = differing(totals(module, "kind"), totals(file, "kind"))
    operators = differing(totals(module, "target"), totals(file, "target"))
    macs = {kind: pair for kind, pair in kinds.items() if pair[0].macs != pair[1].macs}
    total = [sum(t.macs for t in totals(g, "kind").values()) for g in (module, file)]
    reasons, unexplained = [], []
    is_folded = case.dynamo and folded(module, file)
    for name, pair in operators.items():
        reason = explain(label, name, *pair)
        if is_folded and name in ("batch_norm", "convolution"):
            reason = FOLDED
        (reasons if reason else unexplained).append(reason or name)
    if macs or total[0] != total[1]:
        unexplained.append(f"MACs {total[0]:.0f} and {total[1]:.0f}")
    if module.parameters != file.parameters:
        reason = FOLDED if is_folded else PARAMETER_DIFFERENCES.get(label)
        (reasons if reason else unexplained).append(
            reason or f"parameters {module.parameters} and {file.parameters}"
        )
    traffic = [sum(t.bytes for t in totals(g, "kind").values()) for g in (module, file)]
    return {
        "model": case.source,
        "exporter": "torch.export" if case.dynamo else "TorchScript",
        "macs": total[1],
        "macs_equal": total[0] == total[1] and not macs,
        "parameters": [module.parameters, file.parameters],
        "bytes_ratio": traffic[1] / traffic[0],
        "classes_that_differ": {k: [list(a), list(b)] for k, (a, b) in kinds.items()},
        "operators_that_differ": {k: [list(a), list(b)] for k, (a, b) in operators.items()},
        "reasons": sorted(set(reasons)),
        "unexplained": unexplained,
        "read_seconds": round(seconds, 3),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, help="write results as JSON")
    parser.add_argument("--only", nargs="*", default=[], help="models to run")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    torch.manual_seed(0)
    cases = [Case(source, size) for source, size in MODELS.items()]
    cases += [Case(source, MODELS[source], dynamo=True) for source in DYNAMO]
    if arguments.only:
        cases = [case for case in cases if case.source in arguments.only]
    results: list[dict[str, Any]] = []
    verdicts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            try:
                result = compare(case, Path(folder))
            except Exception as error:
                text = " ".join(str(error).split())[:160]
                result = {"model": case.source, "failed": f"{type(error).__name__}: {text}"}
            results.append(result)
            verdicts[show(result)] += 1
    print(", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items())))
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=1) + "\n")
    return int(bool(verdicts["failed"] or verdicts["unexplained"]))


def show(result: dict[str, Any]) -> str:
    """Print one row; returns the verdict."""
    if "failed" in result:
        print(f"{result['model']:44} failed: {result['failed']}", flush=True)
        return "failed"
    verdict = "equal"
    if result["unexplained"]:
        verdict = "unexplained"
    elif result["reasons"]:
        verdict = "explained"
    print(
        f"{result['model']:44} {result['exporter']:12} {result['macs'] / 1e9:8.3f} GMACs "
        f"{'=' if result['macs_equal'] else '≠'}  bytes x{result['bytes_ratio']:.3f}  {verdict}: "
        f"{'; '.join(result['unexplained'] or result['reasons']) or 'every class'}",
        flush=True,
    )
    return verdict


if __name__ == "__main__":
    sys.exit(main())
