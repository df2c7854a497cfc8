"""How far an estimate may be off: 90% intervals from residuals on devices that were not fitted to.

`residuals.json` holds, for each way of running that was measured, the spread of
log(measured / predicted): a floor, and what each kind of operator adds in proportion to its share
of the time. Kinds that the measured networks hardly contained keep a wide spread, so an estimate
made of them has a wide interval; kinds that they lacked are taken from the nearest other way of
running on devices of that kind, somewhat wider.
`python -m costmodel.measurement.fitting.uncertainty` writes the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray

LEVEL = 0.9
NORMAL_90 = 1.645
"""Half-width of the central 90% of a normal distribution, in standard deviations."""

UNSEEN = 0.3
"""Spread of the log error of an operator kind that no judged network contained; an assumption."""
UNCOVERED = 0.7
"""The same for operators without a formula, charged their bytes only: about a factor of two."""
START = "start-up"
"""The share of time of operators whose longest part is their launch."""

OTHER_WAY = 1.3
"""Widening for an execution or precision that was not judged on devices of the kind."""
OTHER_KIND = 2.0
"""Widening for CPUs or GPUs where none was judged, or for GPUs of a vendor of which none was: the
laws follow the kernels of one vendor's libraries."""
FAR_KIND = 3.0
"""Widening for accelerators and microcontrollers: their laws are plain rooflines."""
DEVICE_SPREAD = 0.15
"""Spread of the log error from device to device of a kind none was judged of; an assumption."""
FAR_DEVICE_SPREAD = 0.4
"""The same for accelerators and microcontrollers."""

FILE = Path(__file__).with_name("residuals.json")


class Interval(NamedTuple):
    """A 90% interval of the latency, in seconds, and where it is from."""

    low: float
    high: float
    basis: str


@dataclass(frozen=True)
class Residuals:
    """Spread of the residuals of one way of running on devices of one kind."""

    device_kind: str
    execution: str
    """ "eager" or "compiled"."""
    precision: str
    """ "amp-fp16", "fp32" and so on."""
    judged: str
    """Where the residuals are from, one sentence."""
    networks: int
    floor: float
    """Standard deviation of the log error that every network has."""
    kinds: Mapping[str, float]
    """What an operator kind adds, as a standard deviation per share of the time."""
    quantile: float
    """Of |log error| / spread, such that `LEVEL` of the judged networks are inside."""
    between_devices: float
    """Standard deviation of the median log error from device to device."""
    vendor: str = ""
    """Of all judged devices, where the laws follow a vendor's libraries, as on GPUs."""

    def covers(self, device_kind: str, vendor: str) -> bool:
        """Whether devices such as this were among the judged."""
        return self.device_kind == device_kind and self.vendor in ("", vendor)

    def spread(self, names: Sequence[str], shares: Array) -> Array:
        """(networks,) standard deviations for (networks, kinds) time shares."""
        each = np.array([self.of_kind(name) for name in names])
        return np.asarray(np.sqrt(self.floor**2 + ((shares * each) ** 2).sum(-1)))

    def of_kind(self, name: str) -> float:
        """Spread of one kind."""
        if name == "uncovered":
            return UNCOVERED
        return self.kinds.get(name, UNSEEN)


@cache
def load_residuals() -> tuple[Residuals, ...]:
    """All sets of the data file, the most networks first."""
    return read_residuals(json.loads(FILE.read_text(encoding="utf-8")))


def read_residuals(document: Mapping[str, Any]) -> tuple[Residuals, ...]:
    """The sets of a document such as `residuals.json`."""
    found = [Residuals(**entry) for entry in document["sets"]]
    return tuple(sorted(found, key=lambda entry: -entry.networks))


def half_widths(
    names: Sequence[str],
    shares: Array,
    device_kind: str,
    execution: str,
    precision: str,
    residuals: Sequence[Residuals] | None = None,
    *,
    vendor: str = "",
) -> tuple[Array, str]:
    """Half-widths of the 90% intervals of log(latency), and their basis as a sentence.

    Args:
        names: (kinds,) of operators, `START` among them for what is bound by launches.
        shares: (networks, kinds) shares of the predicted time, each row summing to 1.
        device_kind: of the device, "gpu", "cpu" and so on.
        execution: "eager" or "compiled".
        precision: of the run.
        residuals: by default those of the data file.
        vendor: of the device.
    """
    known = load_residuals() if residuals is None else residuals
    chosen, widening, reasons = _choose(known, device_kind, vendor, execution, precision)
    own = chosen.quantile * chosen.spread(names, shares)
    between = chosen.between_devices
    if not chosen.covers(device_kind, vendor):
        between = DEVICE_SPREAD if device_kind in ("cpu", "gpu") else FAR_DEVICE_SPREAD
    width = np.hypot(widening * own, NORMAL_90 * between)
    basis = f"90% interval from {chosen.networks:,} networks: {chosen.judged}"
    if reasons:
        basis += f"; {widening:.2g}x as wide, since {' and '.join(reasons)}"
    if not chosen.covers(device_kind, vendor):
        basis += f"; an assumed {between:.0%} from device to device added"
    return width, basis


def latency_interval(
    kinds: Sequence[str],
    start_bound: Array,
    seconds: Array,
    device_kind: str,
    vendor: str,
    execution: str,
    precision: str,
) -> Interval:
    """The 90% interval of one network's latency, from its rows as `time_shares` takes them."""
    owner = np.zeros(len(kinds), dtype=np.int64)
    names, shares = time_shares(kinds, start_bound, seconds, owner, 1)
    width, basis = half_widths(names, shares, device_kind, execution, precision, vendor=vendor)
    latency, factor = float(seconds.sum()), float(np.exp(width[0]))
    return Interval(latency / factor, latency * factor, basis)


def _choose(
    known: Sequence[Residuals], device_kind: str, vendor: str, execution: str, precision: str
) -> tuple[Residuals, float, list[str]]:
    def mismatch(entry: Residuals) -> tuple[bool, bool, bool, int]:
        return (
            entry.device_kind != device_kind,
            entry.execution != execution,
            entry.precision != precision,
            -entry.networks,
        )

    nearest = sorted(known, key=mismatch)
    best = nearest[0]
    for other in nearest[1:]:
        if other.device_kind == best.device_kind:
            kinds = {name: OTHER_WAY * spread for name, spread in other.kinds.items()}
            best = replace(best, kinds={**kinds, **best.kinds})
    widening, reasons = 1.0, []
    if not best.covers(device_kind, vendor):
        widening *= OTHER_KIND if device_kind in ("cpu", "gpu") else FAR_KIND
        maker = f" of {vendor}" if best.device_kind == device_kind else ""
        reasons.append(f"no {device_kind}{maker} was judged")
    if best.execution != execution:
        widening *= OTHER_WAY
        reasons.append(f"no {execution} run was")
    if best.precision != precision:
        widening *= OTHER_WAY
        reasons.append(f"none in {precision} was")
    return best, widening, reasons


def time_shares(
    kinds: Sequence[str], start_bound: Array, seconds: Array, owner: Array, count: int
) -> tuple[tuple[str, ...], Array]:
    """Shares of the time by kind of operator.

    Args:
        kinds: (rows,) kind of each row.
        start_bound: (rows,) whether launching takes longest; such rows count as `START`.
        seconds: (rows,) all runs of the row together.
        owner: (rows,) index of the network a row belongs to.
        count: number of networks.

    Returns:
        names of the kinds, and (networks, kinds) shares.
    """
    labels = np.where(start_bound, START, np.array(kinds, dtype=object))
    names = tuple(sorted(set(labels.tolist())))
    table = np.stack(
        [np.bincount(owner, seconds * (labels == name), minlength=count) for name in names], axis=1
    )
    return names, table / table.sum(1, keepdims=True)
