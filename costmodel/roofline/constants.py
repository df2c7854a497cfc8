"""Every universal constant of the efficiency laws: value, range, unit, meaning and source.

They are the same for all devices. What differs between devices comes from their profiles. The
values were fitted on some devices and judged on others; `costmodel fit` derives them again. A test
holds each inside its plausible range.
"""

from __future__ import annotations

from dataclasses import dataclass

from costmodel.roofline.constant import Constant, ConstantTable, constant

_NETWORKS = (
    "fit to step times of timm's networks on an RTX 3090 (autocast float16, NCHW and NHWC, eager, "
    "fast-norm; huggingface/pytorch-image-models, results folder, Apache-2.0), from the middle of "
    "the ranges"
)
_CPU = (
    "fit to step times of 399 of timm's networks on an i9-10940X (float32, compiled, batch 1; "
    "huggingface/pytorch-image-models, results folder, Apache-2.0) and of 68 networks on two cores "
    "of a Zen 4 EPYC (float32 eager and compiled, bfloat16 eager, batches 1 and 8; costmodel "
    "measure), from the middle of the ranges; those are set around single operators timed there"
)
_TRAINING = (
    "fit to training step times of timm's networks on an RTX 3090, every second one of 150 spread "
    "over the table (autocast float16, NCHW, eager, PyTorch 1.12; "
    "huggingface/pytorch-image-models, results folder, Apache-2.0)"
)
_KERNELS = "float32 kernels of P4, P100, V100, T4 and A100 (NeuSight's published measurements)"
_POINTWISE = f"fit to add, gelu and relu, {_KERNELS}"
_ROWS = f"fit to softmax and layer norm, {_KERNELS}"
_PRODUCTS = f"fit to batched products and linear layers, {_KERNELS}"
_CONVOLUTIONS = f"fit to convolutions, {_KERNELS}"
_JIA = (
    "2,155 GB/s on a V100: Jia et al., Dissecting the NVIDIA Volta GPU architecture, 2018, "
    "table 3.1"
)


@dataclass(frozen=True)
class Constants(ConstantTable):
    """Values of all constants; `with_values` changes some."""

    # Combining
    overlap: float = constant(
        1.89, 1.2, 8, "1",
        "exponent of the norm that joins compute and memory time; high is full overlap",
        _NETWORKS,
    )  # fmt: skip
    row_overlap: float = constant(
        2.5, 1.2, 8, "1",
        "the same for norms and softmax of float32", _PRODUCTS,
    )  # fmt: skip
    product_overlap: float = constant(
        2.21, 1.5, 12, "1",
        "the same for matrix products, which load one step ahead of their arithmetic",
        _PRODUCTS, guess=4.0,
    )  # fmt: skip
    # Dispatch and launch
    launch: float = constant(
        6.71e-06, 2e-06, 8e-06, "s",
        "from one eager operator's end to the next one's start", _NETWORKS,
    )  # fmt: skip
    compiled_launch: float = constant(
        2e-06, 5e-07, 1e-05, "s",
        "the same between kernels of a compiled graph", _NETWORKS,
    )  # fmt: skip
    start_share: float = constant(
        0.51, 0.3, 0.9, "1",
        "share of the host's time per operator that passes before its kernel starts",
        _POINTWISE, guess=0.57,
    )  # fmt: skip
    norm_start_share: float = constant(
        0.834, 0.3, 1.0, "1",
        "the same for a layer norm, which allocates three outputs first", _ROWS, guess=0.85,
    )  # fmt: skip
    kernel_latency: float = constant(
        8.9e-07, 2e-07, 8e-06, "s",
        "shortest run of a kernel: launch of its blocks, first loads, drain",
        _POINTWISE, guess=1e-06,
    )  # fmt: skip
    # Memory
    dram_share: float = constant(
        0.888, 0.8, 0.97, "1",
        "share of the DRAM bandwidth that long streams reach, Volta and later",
        _POINTWISE, guess=0.9,
    )  # fmt: skip
    dram_share_pascal: float = constant(
        0.754, 0.65, 0.9, "1",
        "the same for Pascal and earlier", _POINTWISE, guess=0.77,
    )  # fmt: skip
    dram_share_multilevel: float = constant(
        0.97, 0.85, 0.97, "1",
        "the same for GDDR6X and GDDR7", _NETWORKS,
    )  # fmt: skip
    ecc_share: float = constant(
        0.848, 0.8, 0.95, "1",
        "bandwidth left by in-line error correction: 7 of 8 bytes", _POINTWISE, guess=0.875,
    )  # fmt: skip
    cache_share: float = constant(
        0.28, 0.2, 1, "1",
        "of 64 bytes per unit and clock, from the shared cache; a small cache does not "
        "show it", _JIA,
    )  # fmt: skip
    l2_bytes_per_clock: float = constant(
        38.3, 16, 64, "B",
        "L2 bytes per clock and unit, where the profile has no L2 bandwidth",
        _POINTWISE, guess=38.0,
    )  # fmt: skip
    residency_share: float = constant(
        0.489, 0.3, 1.2, "1",
        "size of what stays in L2 between two kernels, as a share of L2", _POINTWISE, guess=0.75,
    )  # fmt: skip
    residency_steepness: float = constant(
        4, 1, 8, "1",
        "steepness of the fall of L2 hits with the size",
        "textbook: all or nothing, nearly, as least-recently-used lines behave",
    )  # fmt: skip
    write_residency: float = constant(
        0.159, 0, 1, "1",
        "of the chance that a read would hit, for a write not to reach DRAM", _NETWORKS,
    )  # fmt: skip
    # Extra passes over the data, as a share of the operator's own traffic
    movement_pass: float = constant(
        0.719, 0, 2, "1",
        "copies into another order", _NETWORKS,
    )  # fmt: skip
    fused_reread: float = constant(
        1.0, 0, 2, "1",
        "reads again by a fused operator that reduces what it also passes on", _NETWORKS,
    )  # fmt: skip
    bias_pass: float = constant(
        1.51, 0, 2, "1",
        "convolution bias, added in place by an operator of its own; 1 is one read and "
        "one write of the output", _NETWORKS,
    )  # fmt: skip
    # Clocks and power
    flop_energy: float = constant(
        1.69e-11, 8e-12, 3e-11, "J",
        "board energy per float32 FLOP of dense work in a 12 nm process",
        _PRODUCTS, guess=1.8e-11,
    )  # fmt: skip
    process_gain: float = constant(
        0.5, 0.35, 0.8, "1",
        "energy per FLOP of one process generation over the one before",
        "16 to 7 nm and 7 to 5 nm: foundries state 0.4 to 0.7",
    )  # fmt: skip
    idle_power: float = constant(
        10.0, 5, 40, "W",
        "that a board draws without work, which its limit leaves no clock for",
        "textbook: 70 and 75 W boards idle at 6 to 10 W; not fitted",
    )  # fmt: skip
    dense_share: float = constant(
        0.85, 0.6, 1.0, "1",
        "share of a network's time that its dense work takes; the controller averages over the "
        "rest, which leaves its power to that",
        "share of products in the predicted time of transformers on a T4; not fitted",
    )  # fmt: skip
    burst_window: float = constant(
        0.00393, 0.0002, 0.05, "s",
        "length of dense work, repeated with pauses, at which half of the headroom between "
        "sustained and boost clock is gone, if the power at both were the same",
        _PRODUCTS, guess=0.003,
    )  # fmt: skip
    # Products on matrix engines
    matrix_share: float = constant(
        1.0, 0.5, 1, "1",
        "of the matrix peak at the rated boost clock, for endless products", _NETWORKS,
    )  # fmt: skip
    contraction: float = constant(
        37.3, 0, 300, "elements",
        "depth spent filling and draining the pipeline of a tile", _NETWORKS,
    )  # fmt: skip
    tile_edge: float = constant(
        0.25, 0, 100, "elements",
        "edge length lost per tile and side to loading operands", _NETWORKS,
    )  # fmt: skip
    misaligned: float = constant(
        0.276, 0, 1, "1",
        "extra time of 16-bit products with sizes that are no multiple of 8", _NETWORKS,
    )  # fmt: skip
    grouped_share: float = constant(
        0.873, 0.05, 1, "1",
        "of the matrix peak, grouped convolution", _NETWORKS,
    )  # fmt: skip
    grouped_contraction: float = constant(
        3.11, 0, 200, "elements",
        "depth lost per group", _NETWORKS,
    )  # fmt: skip
    grouped_columns: float = constant(
        55.0, 0, 200, "elements",
        "width lost per group", _NETWORKS,
    )  # fmt: skip
    grouped_share_nhwc: float = constant(
        0.941, 0.05, 1, "1",
        "of the matrix peak, groups whose width is a power of two, 16-bit NHWC", _NETWORKS,
    )  # fmt: skip
    grouped_columns_nhwc: float = constant(
        19.3, 0, 200, "elements",
        "width lost per such group", _NETWORKS,
    )  # fmt: skip
    grouped_share_padded: float = constant(
        0.809, 0.05, 1, "1",
        "of the matrix peak, groups of other widths, padded to a tile, 16-bit NHWC", _NETWORKS,
    )  # fmt: skip
    # Products in float32 on vector lanes
    tile_ceiling: float = constant(
        0.98, 0.85, 1.0, "1",
        "share of a unit's rate in the main loop of an endless tile", _PRODUCTS, guess=0.96,
    )  # fmt: skip
    tile_half_side: float = constant(
        28.9, 5, 60, "elements",
        "side of the tile (root of its area) that reaches half of that", _PRODUCTS, guess=27.0,
    )  # fmt: skip
    tile_steepness: float = constant(
        2.0, 0.5, 4, "1",
        "exponent of the side",
        "textbook: of the tile's area; not fitted, as one device's tiles do not show it",
    )  # fmt: skip
    contraction_half: float = constant(
        7.95, 2, 60, "elements",
        "steps of the contraction that prologue and epilogue of a tile take",
        _PRODUCTS, guess=12.0,
    )  # fmt: skip
    hiding_warps: float = constant(
        2.55, 0.2, 8, "warps",
        "warps on a unit at which half of the latency is hidden", _PRODUCTS, guess=2.5,
    )  # fmt: skip
    row_interval: float = constant(
        6.94e-09, 3e-09, 1.5e-08, "s",
        "between two rows that a channel of main memory opens, each for one segment of a tile",
        _PRODUCTS, guess=7e-09,
    )  # fmt: skip
    strided_rate_pascal: float = constant(
        0.885, 0.6, 1.0, "1",
        "arithmetic rate of Pascal's kernels with both operands along the contraction, "
        "over the others", _PRODUCTS, guess=0.82,
    )  # fmt: skip
    bias_passes: float = constant(
        1.66, 1.0, 3.0, "1",
        "times that the result of a linear layer with bias is written or read",
        _PRODUCTS, guess=2.2,
    )  # fmt: skip
    slab_share: float = constant(
        3, 0.2, 3, "1",
        "size of the operand slab of a wave, in L2 sizes, at which half is read again",
        _PRODUCTS, guess=2.0,
    )  # fmt: skip
    slab_steepness: float = constant(
        1.14, 0.5, 4, "1",
        "steepness of that", _PRODUCTS, guess=2.0,
    )  # fmt: skip
    lockstep_share: float = constant(
        6.87, 0.3, 30, "1",
        "bytes of one row of each block in flight, in L2 sizes, at which half of the "
        "blocks of a wave have drifted too far apart to share loads", _PRODUCTS, guess=3.0,
    )  # fmt: skip
    lockstep_steepness: float = constant(
        1.5, 0.5, 4, "1",
        "steepness of that", _PRODUCTS, guess=1.2,
    )  # fmt: skip
    # Gradients and norms of a training step
    split_depth: float = constant(
        512, 64, 4096, "elements",
        "shortest part of a contraction that a weight gradient is split into",
        "textbook: some tens of steps of a tile's main loop; not fitted",
    )  # fmt: skip
    norm_gradient_pass: float = constant(
        2.0, 0, 2, "1",
        "further reads of input and gradient by the gradient of a norm", _TRAINING, guess=1.0,
    )  # fmt: skip
    block_stream: float = constant(
        6.1, 1, 16, "B",
        "per clock that the one block of threads of a batch norm's channel draws from DRAM",
        _TRAINING, guess=4.0,
    )  # fmt: skip
    reorder_gradient: float = constant(
        1.93, 0, 3, "1",
        "of reading and writing both tensors again to convert 16-bit NCHW, at least, for each "
        "gradient of a convolution", _TRAINING, guess=1.0,
    )  # fmt: skip
    grouped_gradient_share: float = constant(
        0.487, 0.05, 1, "1",
        "rate of gradients of grouped convolutions over that of the forward",
        _TRAINING, guess=0.5,
    )  # fmt: skip
    depthwise_input_gradient: float = constant(
        1.36, 0.5, 8, "1",
        "cycles of a depthwise convolution's input gradient over those of the forward",
        _TRAINING, guess=1.0,
    )  # fmt: skip
    depthwise_weight_gradient: float = constant(
        1.18, 0.5, 8, "1",
        "the same of its weight gradient", _TRAINING, guess=1.0,
    )  # fmt: skip
    # Attention
    attention_share: float = constant(
        0.989, 0.05, 1, "1",
        "of the matrix peak, fused attention", _NETWORKS,
    )  # fmt: skip
    attention_contraction: float = constant(
        5.99, 0, 300, "elements",
        "head size lost", _NETWORKS,
    )  # fmt: skip
    score_traffic: float = constant(
        0.742, 0, 2, "1",
        "of writing and reading float32 scores twice, off the fused path", _NETWORKS,
    )  # fmt: skip
    # Layer norm and softmax in float32
    norm_row_cycles: float = constant(
        380.0, 50, 1500, "clocks",
        "clocks of a unit per row of a layer norm, besides its elements", _ROWS, guess=300.0,
    )  # fmt: skip
    norm_element_cycles: float = constant(
        0.15, 0.05, 2, "clocks",
        "clocks of a unit per element of a layer norm", _ROWS, guess=0.7,
    )  # fmt: skip
    softmax_row_cycles: float = constant(
        328, 10, 1000, "clocks",
        "clocks of a unit per row of a softmax with a block per row", _ROWS, guess=100.0,
    )  # fmt: skip
    softmax_element_cycles: float = constant(
        1.53, 0.05, 3, "clocks",
        "clocks of a unit per element of the same", _ROWS, guess=1.0,
    )  # fmt: skip
    warp_softmax_share: float = constant(
        0.866, 0.5, 1.0, "1",
        "DRAM throughput of a softmax with a warp per row over that of streams",
        _ROWS, guess=0.9,
    )  # fmt: skip
    norm_reread_share: float = constant(
        0.43, 0.1, 6, "1",
        "size of the rows in flight, in L2 sizes, at which half of the second reads of a "
        "layer norm miss", _ROWS, guess=0.25,
    )  # fmt: skip
    softmax_reread_share: float = constant(
        4.27, 0.1, 6, "1",
        "the same for the later reads of a softmax with a block per row", _ROWS, guess=4.0,
    )  # fmt: skip
    # Convolution in 16 bits: layout
    reorder_window: float = constant(
        1.42, 0, 2, "1",
        "of reading and writing both tensors again to convert 16-bit NCHW", _NETWORKS,
    )  # fmt: skip
    reorder_pointwise: float = constant(
        0.14, 0, 2, "1",
        "the same, for 1x1 kernels", _NETWORKS,
    )  # fmt: skip
    reorder_grouped: float = constant(
        0.434, 0, 3, "1",
        "the same, for grouped kernels", _NETWORKS,
    )  # fmt: skip
    # Convolution in float32
    implicit_rate: float = constant(
        0.714, 0.5, 1.0, "1",
        "arithmetic rate of implicit GEMM over GEMM: index arithmetic, halo loads, not for 1 x 1",
        _CONVOLUTIONS, guess=0.85,
    )  # fmt: skip
    image_transform_share: float = constant(
        0.502, 0.2, 1.0, "1",
        "DRAM throughput of Winograd's transforms of images over that of streams",
        _CONVOLUTIONS, guess=0.6,
    )  # fmt: skip
    weight_transform_share: float = constant(
        0.281, 0.1, 1.0, "1",
        "the same of its transform of the weights", _CONVOLUTIONS, guess=0.4,
    )  # fmt: skip
    winograd_rate: float = constant(
        0.708, 0.3, 1.0, "1",
        "arithmetic rate of fused Winograd over GEMM: transforms in the main loop",
        _CONVOLUTIONS, guess=0.75,
    )  # fmt: skip
    # Depthwise convolution on scalar lanes
    depthwise_tap: float = constant(
        2.97, 0.5, 30, "cycles",
        "per tap and output, NCHW, k = 1, 3, 5", _NETWORKS,
    )  # fmt: skip
    depthwise_output: float = constant(
        120.0, 0, 300, "cycles",
        "per output besides its taps, NCHW", _NETWORKS,
    )  # fmt: skip
    depthwise_tap_other: float = constant(
        21.7, 0.5, 60, "cycles",
        "per tap and output, other sizes", _NETWORKS,
    )  # fmt: skip
    depthwise_tap_nhwc: float = constant(
        5.64, 0.1, 30, "cycles",
        "per tap and output, NHWC", _NETWORKS,
    )  # fmt: skip
    depthwise_pass_nhwc: float = constant(
        0.357, 0, 2, "1",
        "further passes over its tensors, NHWC, as neighbouring blocks read the same pixels",
        _NETWORKS,
    )  # fmt: skip
    depthwise_tap_nhwc_other: float = constant(
        1.01, 0.5, 100, "cycles",
        "per tap and output, other sizes, NHWC", _NETWORKS,
    )  # fmt: skip
    # Starved kernels
    starved_step: float = constant(
        489.0, 1, 2000, "cycles",
        "per plane, where one thread serves one output pixel of all planes", _NETWORKS,
    )  # fmt: skip
    # CPUs
    cpu_dram_share: float = constant(
        0.643, 0.25, 1.0, "1",
        "of the DRAM bandwidth that the cores together draw", _CPU,
    )  # fmt: skip
    core_stream: float = constant(
        4070000000.0, 4e9, 3e10, "B/s",
        "one CPU core's share of DRAM: its line fills in flight over latency", _CPU,
    )  # fmt: skip
    cpu_cache_width: float = constant(
        37.7, 8, 64, "B per clock",
        "that a core draws from the caches behind its first", _CPU,
    )  # fmt: skip
    cpu_matrix_share: float = constant(
        0.748, 0.5, 1.0, "1",
        "of the vector peak, for endless products and convolutions on CPU cores", _CPU,
    )  # fmt: skip
    cpu_batched_share: float = constant(
        0.39, 0.2, 0.9, "1",
        "the same for batched products and attention", _CPU,
    )  # fmt: skip
    cpu_convolution_share: float = constant(
        0.929, 0.5, 1.0, "1",
        "the same for convolutions", _CPU,
    )  # fmt: skip
    cpu_depthwise_share: float = constant(
        0.694, 0.3, 1.0, "1",
        "of the vector peak, for depthwise convolutions", _CPU,
    )  # fmt: skip
    cpu_batched_rows: float = constant(
        63.4, 0, 64, "elements",
        "rows lost of each matrix of a batched product or an attention", _CPU,
    )  # fmt: skip
    cpu_score_cycles: float = constant(
        5.69, 2, 16, "cycles",
        "of a core per score of an attention", _CPU,
    )  # fmt: skip
    cpu_rows: float = constant(
        7.85, 0, 30, "elements",
        "rows of a product lost per core in use", _CPU,
    )  # fmt: skip
    cpu_reorder_pass: float = constant(
        0.642, 0, 4, "1",
        "passes over NCHW images, to rearrange them to blocks and back", _CPU,
    )  # fmt: skip
    cpu_page_fault: float = constant(
        5.38e-07, 1e-07, 1.2e-06, "s",
        "for the system to hand out and clear a page of 4 KiB", _CPU,
    )  # fmt: skip
    cpu_kept_memory: float = constant(
        45300000.0, 1000000.0, 64000000.0, "B",
        "tensor size of which the allocator keeps half for the next, and returns half", _CPU,
    )  # fmt: skip
    cpu_plain_cycles: float = constant(
        1.26, 0.1, 3, "cycles",
        "of a core per element in generated code: load, plain arithmetic, store", _CPU,
    )  # fmt: skip
    cpu_exponential_cycles: float = constant(
        4.88, 0.3, 20, "cycles",
        "more per exponential, shared by the lanes of a register where code uses them", _CPU,
    )  # fmt: skip
    cpu_error_function_cycles: float = constant(
        17.1, 0.5, 40, "cycles",
        "the same per error function", _CPU,
    )  # fmt: skip
    cpu_normalized_cycles: float = constant(
        12.7, 0.3, 40, "cycles",
        "the same per normalised element", _CPU,
    )  # fmt: skip
    cpu_moved_cycles: float = constant(
        16.5, 0.3, 40, "cycles",
        "the same per element copied into another order or place", _CPU,
    )  # fmt: skip
    cpu_weight_cycles: float = constant(
        8.44, 1, 20, "cycles",
        "of a core per four bytes of weights that compiled code lays out channels-last and "
        "in blocks", _CPU,
    )  # fmt: skip
    cpu_pack_cycles: float = constant(
        0.314, 0.3, 4, "cycles",
        "of a core per four bytes of weights that the library lays out in blocks", _CPU,
    )  # fmt: skip
    cpu_transposed_cycles: float = constant(
        12.0, 2, 12, "cycles",
        "of a core per element of a copy that makes another dimension the innermost", _CPU,
    )  # fmt: skip
    cpu_converted_cycles: float = constant(
        0.46, 0, 1, "cycles",
        "of a core per element of 16 bits, widened to compute and rounded, in a library", _CPU,
    )  # fmt: skip
    cpu_compared_cycles: float = constant(
        11.8, 4, 20, "cycles",
        "of a core per pixel that a maximum over a window looks at, planar, in a library", _CPU,
    )  # fmt: skip
    cpu_summed_cycles: float = constant(
        3.87, 2, 10, "cycles",
        "the same of a mean", _CPU,
    )  # fmt: skip
    cpu_library_light: float = constant(
        1.25, 0.1, 1.5, "cycles",
        "of a core per element of plain arithmetic or exponential, in a library's kernels", _CPU,
    )  # fmt: skip
    cpu_library_exponential: float = constant(
        2.82, 0.5, 5, "cycles",
        "per exponential, the same", _CPU,
    )  # fmt: skip
    cpu_library_heavy: float = constant(
        4.99, 1, 5, "cycles",
        "per error function, normalised or moved element, the same", _CPU,
    )  # fmt: skip
    cpu_launch: float = constant(
        1.49e-05, 1e-06, 1.5e-05, "s",
        "to dispatch an operator, outside compiled graphs", _CPU,
    )  # fmt: skip
    cpu_fork: float = constant(
        1.5e-05, 5e-07, 1.5e-05, "s",
        "to spread elements over the cores and wait for the last, per doubling", _CPU,
    )  # fmt: skip
    cpu_convolution_launch: float = constant(
        2.53e-05, 1e-06, 6e-05, "s",
        "for a convolution to find its kernel and formats", _CPU,
    )  # fmt: skip


DEFAULT = Constants()


def constant_table(constants: Constants = DEFAULT) -> tuple[Constant, ...]:
    """All constants in the order of their declaration."""
    return constants.rows
