"""Einstein summation: one multiply-accumulate per point of the index space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from costmodel.errors import UsageError
from costmodel.formulas.cost import Cost, S
from costmodel.formulas.elementwise import operand_elements
from costmodel.formulas.registry import Binding, Inputs, Outputs, bind, binds, formula
from costmodel.formulas.sizes import volume
from costmodel.graph import Op


@formula("einsum", kind="matmul", source="definition: a sum over every index that is not kept")
def einsum(e_x: S, e_w: S, e_y: S, points: S, b_x: S, b_w: S, b_y: S) -> Cost:
    """Products of tensors summed over indices, two operands at a time.

    `points` is the product of all index sizes, added up over the pairwise contractions.
    """
    return Cost(
        macs=points,
        bytes_read=e_x * b_x + e_w * b_w,
        bytes_written=e_y * b_y,
        weight_bytes=e_w * b_w,
    )


def contraction_points(equation: str, shapes: Sequence[Sequence[Any]]) -> Any:
    """Points of the index spaces of "ij,jk->ik" and the like, contracted from left to right.

    An index that no later operand and not the output has is summed before it is carried on.

    Raises:
        UsageError: if the equation does not fit the shapes, or leaves out the output or dimensions.
    """
    left, arrow, output = equation.replace(" ", "").partition("->")
    operands = left.split(",")
    fits = len(operands) == len(shapes) and all(
        len(indices) == len(shape) for indices, shape in zip(operands, shapes, strict=False)
    )
    if not arrow or "..." in equation or not fits:
        shown = ", ".join(str(tuple(shape)) for shape in shapes)
        raise UsageError(f"einsum {equation!r} of shapes {shown}: expected the form 'ij,jk->ik'")
    size = {
        index: value
        for indices, shape in zip(operands, shapes, strict=True)
        for index, value in zip(indices, shape, strict=True)
    }
    if len(operands) == 1:
        return volume(size.values())
    total: Any = 0
    carried = set(operands[0])
    for position, indices in enumerate(operands[1:], start=1):
        space = carried | set(indices)
        total += volume(size[index] for index in sorted(space))
        carried = space & set(output).union(*operands[position + 1 :])
    return total


@binds("aten::einsum")
def bind_einsum(op: Op, inputs: Inputs, outputs: Outputs) -> Binding:
    operands = [x for x in inputs if x is not None]
    data, constant = operand_elements(operands, outputs[0].batched)
    return bind(
        "einsum",
        e_x=data,
        e_w=constant,
        e_y=outputs[0].numel,
        points=contraction_points(str(op.attrs["equation"]), [x.shape for x in operands]),
    )
