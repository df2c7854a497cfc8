"""Every universal constant of the efficiency laws: value, unit, range, meaning.

They are the same for all devices. What differs between devices comes from their profiles. The
values were fitted on one device and judged on others; `FITTED` says with what, and
`costmodel fit` derives them again. A test holds each inside its plausible range.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple


class Range(NamedTuple):
    """What is physically plausible for a constant, and what it means."""

    low: float
    high: float
    unit: str
    meaning: str


def _constant(value: float, low: float, high: float, unit: str, meaning: str) -> Any:
    return field(default=value, metadata={"range": Range(low, high, unit, meaning)})


FITTED = (
    "measured step times of timm's networks on an RTX 3090 (autocast float16, NCHW and NHWC, "
    "eager, fast-norm) and, for the constants named cpu_, on an i9-10940X (float32, compiled, "
    "batch 1), huggingface/pytorch-image-models, results folder, Apache-2.0"
)


@dataclass(frozen=True)
class Constants:
    """The constants of all laws. `replace` from dataclasses makes variants."""

    # combining
    overlap: float = _constant(
        1.76,
        1.2,
        8,
        "1",
        "exponent of the norm that joins compute and memory time; high is full overlap",
    )
    launch: float = _constant(
        8e-06, 2e-6, 8e-6, "s", "from one eager operator's end to the next one's start"
    )
    compiled_launch: float = _constant(
        2e-6, 5e-7, 1e-5, "s", "the same between kernels of a compiled graph"
    )
    # memory
    dram_share: float = _constant(0.99, 0.6, 1, "1", "of the DRAM bandwidth, in long streams")
    core_stream: float = _constant(
        25e9,
        5e9,
        6e10,
        "B/s",
        "one CPU core's share of DRAM: its line fills in flight over latency",
    )
    cache_share: float = _constant(
        0.28, 0.2, 1, "1", "of 64 bytes per unit and clock, from the shared cache; not "
        "fitted, since "
        "a small cache does not show it: 2,155 GB/s on a V100 (Jia et al., Dissecting the NVIDIA "
        "Volta GPU architecture, 2018, table 3.1)"
    )  # fmt: skip
    write_residency: float = _constant(
        0.1, 0, 1, "1", "of the chance that a read would hit, for a write not to reach DRAM"
    )
    # extra passes over the data, as a share of the operator's own traffic
    strided_pass: float = _constant(0.158, 0, 4, "1", "reading a tensor that leaves gaps")
    norm_pass: float = _constant(0.0005, 0, 2, "1", "normalisation: statistics before the result")
    pooling_pass: float = _constant(0.028, 0, 4, "1", "pooling: overlapping windows")
    movement_pass: float = _constant(1.21, 0, 2, "1", "copies into another order")
    fused_reread: float = _constant(
        1.0, 0, 2, "1", "reads again by a fused operator that reduces what it also passes on"
    )
    bias_pass: float = _constant(
        1.76, 0, 2, "1", "convolution bias, added in place by an operator of its own; 1 is one "
        "read and one write of the output"
    )  # fmt: skip
    # matrix products
    matrix_share: float = _constant(
        1.0,
        0.5,
        1,
        "1",
        "of the matrix peak at the rated boost clock, for endless products",
    )
    contraction: float = _constant(
        48.4, 0, 300, "elements", "depth spent filling and draining the pipeline of a tile"
    )
    tile_edge: float = _constant(
        0.002, 0, 100, "elements", "edge length lost per tile and side to loading operands"
    )
    misaligned: float = _constant(
        0.429, 0, 1, "1", "extra time of 16-bit products with sizes that are no multiple of 8"
    )
    grouped_share: float = _constant(0.901, 0.05, 1, "1", "of the matrix peak, grouped convolution")
    grouped_contraction: float = _constant(7.66, 0, 200, "elements", "depth lost per group")
    grouped_columns: float = _constant(19.2, 0, 200, "elements", "width lost per group")
    # attention
    attention_share: float = _constant(1.0, 0.05, 1, "1", "of the matrix peak, fused attention")
    attention_contraction: float = _constant(7.58, 0, 300, "elements", "head size lost")
    score_traffic: float = _constant(
        0.928, 0, 2, "1", "of writing and reading float32 scores twice, off the fused path"
    )
    # convolution layout
    reorder_window: float = _constant(
        1.58, 0, 2, "1", "of reading and writing both tensors again to convert 16-bit NCHW"
    )
    reorder_pointwise: float = _constant(0.316, 0, 2, "1", "the same, for 1x1 kernels")
    reorder_grouped: float = _constant(1.46, 0, 3, "1", "the same, for grouped kernels")
    # depthwise convolution on scalar lanes
    depthwise_tap: float = _constant(
        3.52,
        0.5,
        30,
        "cycles",
        "per tap and output, NCHW, k = 1, 3, 5",
    )
    depthwise_output: float = _constant(117, 0, 300, "cycles", "per output besides its taps, NCHW")
    depthwise_tap_other: float = _constant(
        24.0,
        0.5,
        60,
        "cycles",
        "per tap and output, other sizes",
    )
    depthwise_tap_nhwc: float = _constant(0.155, 0.1, 30, "cycles", "per tap and output, NHWC")
    depthwise_output_nhwc: float = _constant(135, 0, 400, "cycles", "per output, NHWC")
    depthwise_tap_nhwc_other: float = _constant(
        5.99, 0.5, 100, "cycles", "per tap and output, other sizes, NHWC"
    )
    # CPUs
    cpu_matrix_share: float = _constant(
        0.73, 0.1, 1, "1", "of the vector peak, for endless products and convolutions on CPU cores"
    )
    wide_vector_clock: float = _constant(
        0.8, 0.6, 1, "1", "clock under 512-bit vectors on all cores, of the base clock"
    )
    cpu_contraction: float = _constant(1.0, 0, 1000, "elements", "depth lost per block on CPUs")
    cpu_columns: float = _constant(18.4, 0, 300, "elements", "width lost per block on CPUs")
    cpu_rows: float = _constant(
        5.0, 0, 300, "elements", "rows lost per core in use: products are split over cores by rows"
    )
    cpu_depthwise_share: float = _constant(
        0.17, 0.15, 1, "1", "of the vector peak, depthwise convolution on CPUs"
    )
    cpu_vector_share: float = _constant(
        0.15, 0.15, 1, "1", "of the vector peak, other arithmetic on CPUs"
    )
    cpu_launch: float = _constant(
        4e-6, 5e-7, 3e-5, "s", "to dispatch an operator on one CPU core, outside compiled graphs"
    )
    cpu_fork: float = _constant(
        7.2e-06,
        1e-07,
        1e-05,
        "s",
        "to spread an operator over cores and wait for the last, per doubling",
    )
    # starved kernels
    starved_step: float = _constant(
        494, 1, 2000, "cycles", "per plane, where one thread serves one output pixel of all planes"
    )


def ranges() -> dict[str, Range]:
    """The plausible range, unit and meaning of every constant, by name."""
    return {f.name: f.metadata["range"] for f in fields(Constants)}


DEFAULT = Constants()
