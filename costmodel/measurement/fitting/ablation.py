"""Ablation: what each kernel law is worth, by switching it off alone.

A law is off when its constants have the values at which its effect vanishes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from costmodel.measurement.fitting.kernel_cases import Case, predict
from costmodel.roofline.constants import Constants

NOTHING = 1e-30
EVERYTHING = 1e30

NEUTRAL: dict[str, dict[str, float]] = {
    "dispatch": {"start_share": 0.0, "norm_start_share": 0.0, "kernel_latency": 0.0},
    "dram efficiency": {"dram_share": 1.0, "dram_share_pascal": 1.0, "ecc_share": 1.0},
    "l2 residency": {"residency_share": NOTHING},
    "power limit": {"flop_energy": NOTHING},
    "burst clock": {"burst_window": NOTHING},
    "overlap": {"row_overlap": 50.0, "product_overlap": 50.0},
    "tile size": {"tile_ceiling": 1.0, "tile_half_side": NOTHING},
    "contraction": {"contraction_half": 0.0},
    "latency hiding": {"hiding_warps": NOTHING},
    "operand reuse": {"slab_share": EVERYTHING, "lockstep_share": EVERYTHING},
    "strided loads": {
        "row_interval": 3e-09, "strided_rate_pascal": 1.0,
    },
    "bias": {"bias_passes": 1.0},
    "row clocks": {
        "norm_row_cycles": 0.0, "norm_element_cycles": 0.0,
        "softmax_row_cycles": 0.0, "softmax_element_cycles": 0.0, "warp_softmax_share": 1.0,
    },
    "second reads": {"norm_reread_share": EVERYTHING, "softmax_reread_share": EVERYTHING},
    "winograd": {"winograd_rate": NOTHING, "image_transform_share": NOTHING},
    "implicit rate": {"implicit_rate": 1.0},
}  # fmt: skip
"""Constants that switch a law off, by its name."""


def without(constants: Constants, law: str) -> Constants:
    """The constants with one law off; these may lie outside the plausible ranges.

    Raises:
        KeyError: if there is no such law.
    """
    return replace(constants, **NEUTRAL[law])


def ablated_errors(
    cases: Sequence[Case], constants: Constants, law: str | None
) -> dict[str, float]:
    """Mean absolute error by operator, the mean over its devices, with one law off (None: all on).

    The host's time per operator is part of the dispatch law and vanishes with it.
    """
    changed = constants if law is None else without(constants, law)
    errors: dict[str, list[float]] = {}
    for case in cases:
        shown = case._replace(dispatch=0.0) if law == "dispatch" else case
        ratio = predict(shown, changed) / case.table.latency
        errors.setdefault(case.operator, []).append(float(np.abs(ratio - 1).mean()))
    return {operator: float(np.mean(values)) for operator, values in errors.items()}
