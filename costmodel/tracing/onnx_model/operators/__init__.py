"""The ONNX operators in ATen's vocabulary.

Each rule takes a step of the walk and emits the operators that torch runs for it, so that a
formula sees the same tensors and attributes whichever way a network came. An operator without a
rule keeps its own name ("onnx::Name"), is charged its bytes, and is listed as uncovered.
"""

from costmodel.tracing.onnx_model.operators import (
    convolution,
    movement,
    pointwise,
    products,
    quantization,
    reductions,
)
from costmodel.tracing.onnx_model.operators.table import OPERATORS

__all__ = [
    "OPERATORS",
    "convolution",
    "movement",
    "pointwise",
    "products",
    "quantization",
    "reductions",
]
