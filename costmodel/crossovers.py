"""Where two operators take equally long on a device: `Formula.crossover` with a device's rates."""

from __future__ import annotations

from typing import Any

from costmodel.estimation import resolve_target
from costmodel.formulas.algebra import Crossover
from costmodel.formulas.registry import Formula, get_formula
from costmodel.graph import DTYPE_BYTES
from costmodel.hardware import DeviceProfile
from costmodel.roofline.ceilings import Target, ceilings
from costmodel.roofline.operators import MATRIX_KINDS
from costmodel.roofline.precision import get_precision


def crossover(
    first: str | Formula,
    second: str | Formula,
    device: str | DeviceProfile | Target,
    symbol: str,
    precision: str = "fp32",
    **values: Any,
) -> tuple[Crossover, ...]:
    """Sizes at which two operators take equally long on a device's plain roofline.

    The device's peak for matrix products is used if either operator has them, its vector peak
    otherwise; launches and efficiency laws are left out.

    Args:
        first: a formula or its name.
        second: a formula or its name.
        device: a profile, or a name such as "v100-sxm2" or "epyc-73f3@1".
        symbol: the size to solve for.
        precision: what is computed in and stored ("fp16"), unless `values` give bytes.
        values: all other symbols of both, as numbers, or expressions of the one solved for.

    Raises:
        UnknownNameError: for an unknown formula, device or precision.
        UsageError: if a value is missing or belongs to neither, or the profile is incomplete.
    """
    one, other = (get_formula(f) if isinstance(f, str) else f for f in (first, second))
    policy = get_precision(precision)
    limits = ceilings((resolve_target(device),), (policy.matrix,))
    products = any(f.kind in MATRIX_KINDS or f.kind == "composition" for f in (one, other))
    peak = limits.matrix_peak if products else limits.vector_peak
    return one.crossover(
        other,
        symbol=symbol,
        peak=float(peak[0, 0]),
        bandwidth=float(limits.bandwidth[0]),
        **{"b_x": DTYPE_BYTES[policy.storage], **values},
    )
