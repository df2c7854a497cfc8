"""Elements that CPU cores compute one by one, in clock cycles: a library's kernels, generated code.

A library's kernels take a register of elements at a time, load and store them around every
operator, and widen and round those of 16 bits. Two things they do element by element: the windows
of planar pooling, where a maximum is a branch that often goes the other way, and copies that make
another dimension the innermost. Code that a compiler generated loads and stores once per fused
operator; without vector instructions each element takes all the cycles of its sort.

Sources: max_pool2d and avg_pool2d, copy and vectorised unary kernels in ATen/native/cpu; the
generated C++ of TorchInductor (Ansel et al., PyTorch 2, ASPLOS 2024, section 4.4).
"""

from __future__ import annotations

import numpy as np

from costmodel.roofline.constants import Constants
from costmodel.roofline.operators import OperatorColumns

Array = np.ndarray


def element_cycles(ops: OperatorColumns, lanes: Array, constants: Constants) -> Array:
    """Clock cycles of one core for the elements of every operator, (devices, batches, rows).

    Args:
        ops: columns of the operators.
        lanes: (devices, 1, rows) float32 lanes of a vector register.
        constants: of the laws.
    """
    generated = ops.compiled & ~ops.frozen
    if generated.all():
        return _generated(ops, lanes, constants)
    if not generated.any():
        return _library(ops, constants)
    both = _generated(ops, lanes, constants), _library(ops, constants)
    return np.asarray(np.where(generated, *both))


def _generated(ops: OperatorColumns, lanes: Array, c: Constants) -> Array:
    heavy = (
        c.cpu_exponential_cycles * ops.exponential
        + c.cpu_error_function_cycles * ops.error_function
        + c.cpu_normalized_cycles * ops.normalized
        + c.cpu_moved_cycles * ops.moved
    )
    at_a_time = np.where(ops.scalar, 1.0, lanes)
    return np.asarray(c.cpu_plain_cycles * _all(ops) + heavy / at_a_time)


def _library(ops: OperatorColumns, c: Constants) -> Array:
    cycles = (
        c.cpu_library_light * (ops.plain + ops.moved)
        + c.cpu_library_exponential * ops.exponential
        + c.cpu_library_heavy * (ops.error_function + ops.normalized)
    )
    if ops.half.any():
        cycles = cycles + c.cpu_converted_cycles * ops.half * _all(ops)
    if ops.crossed.any():
        cycles = cycles + c.cpu_transposed_cycles * ops.crossed * ops.moved
    if ops.pooling.any():
        cycles = cycles + c.cpu_compared_cycles * ops.compared + c.cpu_summed_cycles * ops.summed
    return np.asarray(cycles)


def _all(ops: OperatorColumns) -> Array:
    total: Array = ops.plain + ops.moved + ops.exponential + ops.error_function + ops.normalized
    return total
