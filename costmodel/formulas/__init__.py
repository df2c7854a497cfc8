"""What an operator costs: one closed-form formula per family, and the registry that finds it."""

from costmodel.formulas import attention as attention
from costmodel.formulas import convolution as convolution
from costmodel.formulas import elementwise as elementwise
from costmodel.formulas import matmul as matmul
from costmodel.formulas import movement as movement
from costmodel.formulas import normalization as normalization
from costmodel.formulas import partial as partial
from costmodel.formulas import pooling as pooling
from costmodel.formulas import reduction as reduction
from costmodel.formulas.cost import Cost as Cost
from costmodel.formulas.registry import Formula as Formula
from costmodel.formulas.registry import formula_names as formula_names
from costmodel.formulas.registry import get_formula as get_formula
