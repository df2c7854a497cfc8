"""What an operator costs: one closed-form formula per family, and the registry that finds it.

Read `cost` and `symbols` first; then any family: each file states its operators with symbols,
source, the exact cost and, where a paper gives one, the textbook approximation.
"""

from costmodel.formulas import activation as activation
from costmodel.formulas import attention as attention
from costmodel.formulas import blocks as blocks
from costmodel.formulas import collective as collective
from costmodel.formulas import convolution as convolution
from costmodel.formulas import convolution_backward as convolution_backward
from costmodel.formulas import convolution_gradients as convolution_gradients
from costmodel.formulas import detection as detection
from costmodel.formulas import einsum as einsum
from costmodel.formulas import elementwise as elementwise
from costmodel.formulas import flash_attention as flash_attention
from costmodel.formulas import fourier as fourier
from costmodel.formulas import fused_cells as fused_cells
from costmodel.formulas import gather as gather
from costmodel.formulas import loss as loss
from costmodel.formulas import matmul as matmul
from costmodel.formulas import mixture as mixture
from costmodel.formulas import movement as movement
from costmodel.formulas import normalization as normalization
from costmodel.formulas import optimizer as optimizer
from costmodel.formulas import padding_backward as padding_backward
from costmodel.formulas import partial as partial
from costmodel.formulas import patconv as patconv
from costmodel.formulas import pooling as pooling
from costmodel.formulas import quantization as quantization
from costmodel.formulas import quantized as quantized
from costmodel.formulas import recurrent as recurrent
from costmodel.formulas import reduction as reduction
from costmodel.formulas import resize as resize
from costmodel.formulas import scan as scan
from costmodel.formulas import scan_gradients as scan_gradients
from costmodel.formulas import softmax as softmax
from costmodel.formulas import transposed_convolution as transposed_convolution
from costmodel.formulas import valid_taps as valid_taps
from costmodel.formulas import weight_norm as weight_norm
from costmodel.formulas.cost import Cost as Cost
from costmodel.formulas.formula import Formula as Formula
from costmodel.formulas.registry import formula_names as formula_names
from costmodel.formulas.registry import get_formula as get_formula
