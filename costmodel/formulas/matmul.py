"""Matrix products: linear layers (a shared right-hand matrix) and batched products of data."""

from __future__ import annotations

from math import prod

from costmodel.formulas.cost import Cost, S
from costmodel.formulas.registry import Binding, Inputs, Outputs, bind, binds, formula, required
from costmodel.graph import Op, TensorSpec

_SOURCE = "Golub and Van Loan, Matrix Computations, section 1.1"


@formula(
    "linear",
    kind="matmul",
    source=_SOURCE,
    gemm=lambda m, c_in, c_out, **_: (1, m, c_out, c_in),
)
def linear(m: S, c_in: S, c_out: S, bias: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """y = x Wᵀ + bias for m rows: the same as a 1x1 convolution over m positions."""
    parameters = c_in * c_out + bias * c_out
    return Cost(
        macs=m * c_in * c_out,
        other_flops=bias * m * c_out,
        bytes_read=m * c_in * b_x + parameters * b_w,
        bytes_written=m * c_out * b_y,
        weight_bytes=parameters * b_w,
        parameters=parameters,
    )


@formula(
    "matmul",
    kind="matmul",
    source=_SOURCE,
    gemm=lambda b, m, c_in, c_out, **_: (b, m, c_out, c_in),
)
def matmul(b: S, m: S, c_in: S, c_out: S, b_x: S, b_y: S) -> Cost:
    """b products of an m x c_in by a c_in x c_out matrix, both of them data."""
    return Cost(
        macs=b * m * c_in * c_out,
        bytes_read=b * (m * c_in + c_in * c_out) * b_x,
        bytes_written=b * m * c_out * b_y,
    )


_PRODUCT = frozenset({"b"})
_ROWS = frozenset({"m"})
_CONTRACTION = frozenset({"c_in"})
_PAIRS = frozenset({"m", "c_out"})


@binds("aten::linear")
def bind_linear(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    x, weight = required(op, inputs, 0, 1)
    bias = len(inputs) > 2 and inputs[2] is not None
    c_out = 1 if len(weight.shape) == 1 else weight.shape[0]
    return bind("linear", m=prod(x.shape[:-1]), c_in=x.shape[-1], c_out=c_out, bias=int(bias))


def bind_product(left: TensorSpec, right: TensorSpec, y: TensorSpec, bias: bool = False) -> Binding:
    """Bind `left @ right` for matrices (m, k) @ (k, n) or batches of them."""
    m, k = left.shape[-2:]
    n = right.shape[-1]
    b = prod(y.shape[:-2])
    if not right.batched and (b == 1 or _shared(right)):
        return bind("linear", m=b * m, c_in=k, c_out=n, bias=int(bias), follows=_ROWS)
    if not left.batched and (b == 1 or _shared(left)):
        # A constant on the left: the transposed product has it on the right.
        return bind("linear", m=b * n, c_in=k, c_out=m, bias=int(bias), follows=_ROWS)
    if len(left.shape) == 2 and left.batched and right.batched:
        # Both operands grow: weight gradients contract over the batch, contrastive losses compare
        # every sample with every other.
        follows = _PAIRS if _outermost(left) == 0 and _outermost(right) == 1 else _CONTRACTION
        return bind("matmul", b=b, m=m, c_in=k, c_out=n, follows=follows)
    return bind("matmul", b=b, m=m, c_in=k, c_out=n, follows=_PRODUCT)


def _outermost(matrix: TensorSpec) -> int | None:
    """The dimension with the largest steps in memory, which samples lie along."""
    if matrix.strides is None:
        return 0
    rows, columns = matrix.strides
    return None if rows == columns else int(columns > rows)


def _shared(spec: TensorSpec) -> bool:
    """Whether all products of the batch use the same matrix (its batch dimension is expanded)."""
    return spec.strides is not None and all(s == 0 for s in spec.strides[:-2])


@binds("aten::mm", "aten::bmm", "aten::matmul")
def bind_matmul(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    left, right = required(op, inputs, 0, 1)
    return bind_product(left, right, outputs[0])


@binds("aten::addmm", "aten::baddbmm")
def bind_addmm(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    left, right = required(op, inputs, 1, 2)
    return bind_product(left, right, outputs[0], bias=True)


@binds("aten::mv", "aten::dot", "aten::vdot")
def bind_vector(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    (left,) = required(op, inputs, 0)
    rows = prod(left.shape[:-1])
    return bind("linear", m=rows, c_in=left.shape[-1], c_out=1, bias=0)
