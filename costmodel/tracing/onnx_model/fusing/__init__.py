"""Exporters write some operators as several; here those well-known groups become one again.

An exporter has no single operator for GELU before opset 20, for layer norm before 17, for
attention before 23, for group norm before 21, and none for SiLU, Mish or a linear layer with bias
on more than two dimensions. What is recognised is the exporter's own spelling and nothing looser:
attention that a model writes out itself is left as the matrix products it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from costmodel.tracing.onnx_model.fusing.activations import gelu, hardswish, mish, silu, tanh_gelu
from costmodel.tracing.onnx_model.fusing.movement import roll
from costmodel.tracing.onnx_model.fusing.normalization import deviation, group_norm, layer_norm
from costmodel.tracing.onnx_model.fusing.products import attention, linear
from costmodel.tracing.onnx_model.fusing.quantized import fuse_quantized
from costmodel.tracing.onnx_model.fusing.rewriting import Rewriter
from costmodel.tracing.onnx_model.step import Step
from costmodel.tracing.onnx_model.values import Value

Pattern = Callable[[Rewriter, Step], bool]

PATTERNS: dict[str, tuple[Pattern, ...]] = {
    "Sigmoid": (silu,),
    "HardSigmoid": (hardswish,),
    "Softplus": (mish,),
    "Erf": (gelu,),
    "Tanh": (tanh_gelu,),
    "ReduceMean": (layer_norm, deviation),
    "InstanceNormalization": (group_norm,),
    "MatMul": (linear,),
    "Softmax": (attention,),
    "Concat": (roll,),
}
"""Patterns by the operator they are recognised at."""


def fuse(steps: Sequence[Step], outputs: Iterable[Value]) -> list[Step]:
    """Steps with the known groups replaced and unused steps removed."""
    rewriter = Rewriter(steps, outputs)
    rewriter.drop_unused()
    fuse_quantized(rewriter)
    for step in rewriter.steps:
        for pattern in PATTERNS.get(step.name, ()):
            if pattern(rewriter, step):
                break
    rewriter.drop_unused()
    return rewriter.steps
