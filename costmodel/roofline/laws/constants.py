"""The universal constants of the efficiency laws: the same for every device, none per model.

Each field carries its unit, its meaning, the range in which it is physically plausible and where
its value comes from; `constant_table` lists them. They are fitted by

    python -m costmodel.measurement.fitting FOLDER --rows 600

on measured float32 kernels (FOLDER/OPERATOR.csv.gz; five GPUs of four generations, P4, P100, V100,
T4 and A100), starting from the guesses given beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

from costmodel.errors import UnknownNameError, UsageError


class Constant(NamedTuple):
    """One universal constant as a row of the table."""

    name: str
    value: float
    """Fitted to all devices of the source."""
    guess: float
    """Textbook value that the fit starts from, so that a fit with a device held out knows nothing
    of it."""
    unit: str
    meaning: str
    low: float
    high: float
    source: str


def _constant(
    value: float,
    guess: float,
    unit: str,
    meaning: str,
    low: float,
    high: float,
    source: str,
) -> Any:
    metadata = {
        "guess": guess, "unit": unit, "meaning": meaning, "low": low, "high": high,
        "source": source,
    }  # fmt: skip
    return field(default=value, metadata=metadata)


_POINTWISE = "fit of add, gelu, relu"
_ROWS = "fit of softmax, ln"
_PRODUCTS = "fit of bmm, linear"
_CONVOLUTIONS = "fit of conv"


@dataclass(frozen=True)
class Constants:
    """Values of all constants; `dataclasses.replace` or `with_values` changes some."""

    # Dispatch and launch
    start_share: float = _constant(
        0.51, 0.57, "",
        "Share of the host's time per operator that passes before its kernel starts.",
        0.3, 0.9, _POINTWISE,
    )  # fmt: skip
    norm_start_share: float = _constant(
        0.834, 0.85, "",
        "The same for a layer norm, which allocates three outputs first.",
        0.3, 1.0, _ROWS,
    )  # fmt: skip
    kernel_latency: float = _constant(
        8.9e-07, 1.0e-6, "s",
        "Shortest run of a kernel: launch of its blocks, first loads, drain.",
        0.2e-6, 8e-6, _POINTWISE,
    )  # fmt: skip

    # Memory
    dram_share: float = _constant(
        0.888, 0.90, "",
        "Share of the DRAM bandwidth that long streams reach, Volta and later.",
        0.8, 0.97, _POINTWISE,
    )  # fmt: skip
    dram_share_pascal: float = _constant(
        0.754, 0.77, "",
        "The same for Pascal and earlier.", 0.65, 0.9, _POINTWISE,
    )  # fmt: skip
    ecc_share: float = _constant(
        0.848, 0.875, "",
        "Bandwidth left by in-line error correction: 7 of 8 bytes.",
        0.8, 0.95, _POINTWISE,
    )  # fmt: skip
    l2_bytes_per_clock: float = _constant(
        38.3, 38.0, "B",
        "L2 bytes per clock and unit, where the profile has no L2 bandwidth.",
        16, 64, _POINTWISE,
    )  # fmt: skip
    residency_share: float = _constant(
        0.489, 0.75, "",
        "Size of what stays in L2 between two kernels, as a share of L2.",
        0.3, 1.2, _POINTWISE,
    )  # fmt: skip
    residency_steepness: float = _constant(
        4, 4.0, "",
        "Steepness of the fall of L2 hits with the size.",
        1, 8, "textbook: all or nothing, nearly, as least-recently-used lines behave",
    )  # fmt: skip
    overlap: float = _constant(
        2.5, 2.5, "",
        "Exponent p of the p-norm that joins compute and memory time.",
        1.2, 8, _PRODUCTS,
    )  # fmt: skip

    product_overlap: float = _constant(
        2.41, 4.0, "",
        "The same for matrix products, which load one step ahead of their arithmetic.",
        1.5, 12, _PRODUCTS,
    )  # fmt: skip

    # Clocks and power
    flop_energy: float = _constant(
        1.86e-11, 18e-12, "J",
        "Board energy per peak FLOP of float32 in a 16 or 12 nm process.",
        8e-12, 30e-12, _PRODUCTS,
    )  # fmt: skip
    process_gain: float = _constant(
        0.5, 0.5, "",
        "Energy per FLOP of one process generation over the one before.",
        0.35, 0.8, "16 to 7 nm and 7 to 5 nm: foundries state 0.4 to 0.7",
    )  # fmt: skip

    burst_share: float = _constant(
        0.583, 0.4, "",
        "Share of the headroom between sustained and boost clock that short work uses.",
        0.02, 1.0, _PRODUCTS,
    )  # fmt: skip
    burst_window: float = _constant(
        0.00131, 1.5e-3, "s",
        "Length of dense work, repeated with pauses, at which half of that is gone.",
        0.2e-3, 50e-3, _PRODUCTS,
    )  # fmt: skip

    # Matrix products
    tile_ceiling: float = _constant(
        0.968, 0.96, "",
        "Share of a unit's rate in the main loop of an endless tile.",
        0.85, 1.0, _PRODUCTS,
    )  # fmt: skip
    tile_half_side: float = _constant(
        26.8, 27.0, "elements",
        "Side of the tile (root of its area) that reaches half of that.",
        5, 60, _PRODUCTS,
    )  # fmt: skip
    tile_steepness: float = _constant(
        2.05, 1.6, "",
        "Exponent of the side.", 0.5, 4, _PRODUCTS,
    )  # fmt: skip
    contraction_half: float = _constant(
        7.93, 12.0, "elements",
        "Steps of the contraction that prologue and epilogue of a tile take.",
        2, 60, _PRODUCTS,
    )  # fmt: skip
    hiding_warps: float = _constant(
        2.38, 2.5, "warps",
        "Warps on a unit at which half of the latency is hidden.",
        0.2, 8, _PRODUCTS,
    )  # fmt: skip
    strided_share: float = _constant(
        0.588, 0.55, "",
        "DRAM throughput of tile loads across rows over that of streams, from Volta on.",
        0.3, 1.0, _PRODUCTS,
    )  # fmt: skip
    strided_share_pascal: float = _constant(
        0.285, 0.28, "",
        "The same for the kernels of Pascal and earlier, with 32-byte row segments.",
        0.15, 0.6, _PRODUCTS,
    )  # fmt: skip
    strided_rate_pascal: float = _constant(
        0.846, 0.82, "",
        "Arithmetic rate of Pascal's kernels with both operands along the contraction, "
        "over the others.", 0.6, 1.0, _PRODUCTS,
    )  # fmt: skip
    bias_passes: float = _constant(
        1.66, 2.2, "",
        "Times that the result of a linear layer with bias is written or read.",
        1.0, 3.0, _PRODUCTS,
    )  # fmt: skip
    slab_share: float = _constant(
        8.36, 2.0, "",
        "Size of the operand slab of a wave, in L2 sizes, at which half is read again.",
        0.2, 10, _PRODUCTS,
    )  # fmt: skip
    slab_steepness: float = _constant(
        0.846, 2.0, "",
        "Steepness of that.", 0.5, 4, _PRODUCTS,
    )  # fmt: skip
    lockstep_share: float = _constant(
        3.72, 3.0, "",
        "Bytes of one row of each block in flight, in L2 sizes, at which half of the "
        "blocks of a wave have drifted too far apart to share loads.", 0.3, 30, _PRODUCTS,
    )  # fmt: skip
    lockstep_steepness: float = _constant(
        1.25, 1.2, "",
        "Steepness of that.", 0.5, 4, _PRODUCTS,
    )  # fmt: skip

    # Row kernels
    norm_row_cycles: float = _constant(
        625, 300.0, "clocks",
        "Clocks of a unit per row of a layer norm, besides its elements.",
        50, 1500, _ROWS,
    )  # fmt: skip
    norm_element_cycles: float = _constant(
        0.358, 0.7, "clocks",
        "Clocks of a unit per element of a layer norm.", 0.05, 2, _ROWS,
    )  # fmt: skip
    softmax_row_cycles: float = _constant(
        328, 100.0, "clocks",
        "Clocks of a unit per row of a softmax with a block per row.",
        10, 1000, _ROWS,
    )  # fmt: skip
    softmax_element_cycles: float = _constant(
        1.53, 1.0, "clocks",
        "Clocks of a unit per element of the same.", 0.05, 3, _ROWS,
    )  # fmt: skip
    warp_softmax_share: float = _constant(
        0.866, 0.9, "",
        "DRAM throughput of a softmax with a warp per row over that of streams.",
        0.5, 1.0, _ROWS,
    )  # fmt: skip
    norm_reread_share: float = _constant(
        0.43, 0.25, "",
        "Size of the rows in flight, in L2 sizes, at which half of the second reads of "
        "a layer norm miss.", 0.1, 6, _ROWS,
    )  # fmt: skip
    softmax_reread_share: float = _constant(
        4.27, 4.0, "",
        "The same for the later reads of a softmax with a block per row.", 0.1, 6, _ROWS,
    )  # fmt: skip

    # Convolutions
    implicit_rate: float = _constant(
        0.837, 0.85, "",
        "Arithmetic rate of implicit GEMM over GEMM: index arithmetic, halo loads.",
        0.5, 1.0, _CONVOLUTIONS,
    )  # fmt: skip
    image_transform_share: float = _constant(
        0.529, 0.6, "",
        "DRAM throughput of Winograd's transforms of images over that of streams.",
        0.2, 1.0, _CONVOLUTIONS,
    )  # fmt: skip
    weight_transform_share: float = _constant(
        0.269, 0.4, "",
        "The same of its transform of the weights.", 0.1, 1.0, _CONVOLUTIONS,
    )  # fmt: skip
    winograd_rate: float = _constant(
        0.756, 0.75, "",
        "Arithmetic rate of fused Winograd over GEMM: transforms in the main loop.",
        0.3, 1.0, _CONVOLUTIONS,
    )  # fmt: skip

    def with_values(self, values: Mapping[str, float]) -> Constants:
        """Replace some values.

        Raises:
            UnknownNameError: if a name is no constant.
            UsageError: if a value lies outside its plausible range.
        """
        known = {f.name: f.metadata for f in fields(self)}
        for name, value in values.items():
            if name not in known:
                raise UnknownNameError("constant", name, known)
            low, high = known[name]["low"], known[name]["high"]
            if not low <= value <= high:
                raise UsageError(f"{name} = {value:g} lies outside {low:g} to {high:g}")
        return replace(self, **values)


def constant_table(constants: Constants | None = None) -> tuple[Constant, ...]:
    """All constants in the order of their declaration."""
    values = constants or Constants()
    return tuple(Constant(f.name, getattr(values, f.name), **f.metadata) for f in fields(values))


def textbook_constants() -> Constants:
    """The constants before any fit, from which every fit starts."""
    return Constants(**{f.name: f.metadata["guess"] for f in fields(Constants)})
