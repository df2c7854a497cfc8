"""The operator graph: what a traced model is, in framework-free and immutable form.

A `Graph` is a list of operators in execution order over a list of tensors. Every front end
(PyTorch eager, torch.export, ONNX) produces it; formulas, passes and the engine read it.

Operators carry ATen names ("aten::convolution", "aten::linear"), the best documented vocabulary
of the field; other front ends translate to it. In-place and out variants carry the functional
name ("aten::relu_" is "aten::relu"), since they cost the same; what they overwrite shows in the
storage of their output.

Views are operators too (they keep the dataflow connected) but move nothing: their output shares
the `storage` of their input.
"""

from costmodel.graph.document import FORMAT_VERSION as FORMAT_VERSION
from costmodel.graph.graph import Graph as Graph
from costmodel.graph.operators import DTYPE_BYTES as DTYPE_BYTES
from costmodel.graph.operators import PHASES as PHASES
from costmodel.graph.operators import Dim as Dim
from costmodel.graph.operators import Op as Op
from costmodel.graph.operators import TensorKind as TensorKind
from costmodel.graph.operators import TensorSpec as TensorSpec
