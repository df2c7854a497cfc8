"""Output shapes and dtypes of ONNX operators, for sizes that are numbers or expressions.

An operator without a rule here is asked of onnx's own shape inference, with what is known of its
inputs; if that cannot tell either, the shape the file declares is taken, and failing that the
walk stops at the node with one clear error.
"""

from costmodel.tracing.onnx_model.shapes import movement, pointwise, products, windows
from costmodel.tracing.onnx_model.shapes.call import SHAPES, Call, Result
from costmodel.tracing.onnx_model.shapes.movement import DATA_DEPENDENT, shape_slice
from costmodel.tracing.onnx_model.shapes.sizes import broadcast, floor_divide
from costmodel.tracing.onnx_model.shapes.windows import window_attributes

__all__ = [
    "DATA_DEPENDENT",
    "SHAPES",
    "Call",
    "Result",
    "broadcast",
    "floor_divide",
    "movement",
    "pointwise",
    "products",
    "shape_slice",
    "window_attributes",
    "windows",
]
