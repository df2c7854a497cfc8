"""Ceilings: device profiles as columns of peak rates and bandwidths for the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from costmodel.errors import UsageError
from costmodel.hardware import DeviceProfile
from costmodel.hardware.dtypes import is_known_dtype

Array = np.ndarray


@dataclass(frozen=True)
class Target:
    """A device and how much of it is used: `threads` cores of a CPU, or all of it (None)."""

    profile: DeviceProfile
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.threads is None:
            return
        if self.profile.kind != "cpu":
            raise UsageError(
                f"{self.profile.id} is a {self.profile.kind}; only a cpu takes a number of threads"
            )
        if not 1 <= self.threads <= self.profile.units:
            raise UsageError(
                f"{self.profile.id} has {self.profile.units:.0f} cores; cannot use {self.threads}"
            )

    def __hash__(self) -> int:
        return hash((self.profile.id, self.threads))  # a profile holds what cannot be hashed

    @property
    def label(self) -> str:
        """ "epyc-73f3", or "epyc-73f3@1" for one of its cores."""
        return self.profile.id if self.threads is None else f"{self.profile.id}@{self.threads}"

    @property
    def share(self) -> float:
        """Share of the compute units in use."""
        return 1.0 if self.threads is None else self.threads / self.profile.units


@dataclass(frozen=True)
class Ceilings:
    """Rates of several devices for one set of dtypes; all arrays start with (devices,)."""

    targets: tuple[Target, ...]
    dtypes: tuple[str, ...]
    matrix_peak: Array
    """(devices, dtypes) FLOP/s of dense matrix products, on whichever engine is fastest."""
    vector_peak: Array
    """(devices, dtypes) FLOP/s of vector arithmetic."""
    bandwidth: Array
    """(devices,) B/s of main memory."""
    launch: Array
    """(devices,) seconds to start an operator, 0 where the profile does not say."""
    notes: tuple[tuple[str, ...], ...]
    """(devices,) what had to be assumed."""

    def take(self, devices: Array) -> Ceilings:
        """Some of the devices, by index."""
        chosen = devices.tolist()
        return Ceilings(
            tuple(self.targets[i] for i in chosen),
            self.dtypes,
            self.matrix_peak[chosen],
            self.vector_peak[chosen],
            self.bandwidth[chosen],
            self.launch[chosen],
            tuple(self.notes[i] for i in chosen),
        )


def ceilings(targets: Sequence[Target], dtypes: Sequence[str]) -> Ceilings:
    """Look up the peaks and bandwidths of devices.

    A dtype that a device has no peak for is computed in float32, with a note that says so.

    Raises:
        UsageError: if profiles lack a float32 peak, naming all of them, or a memory bandwidth.
    """
    return _ceilings(tuple(targets), tuple(dtypes))


@lru_cache(maxsize=256)
def _ceilings(targets: tuple[Target, ...], dtypes: tuple[str, ...]) -> Ceilings:
    # Wide integers (indices) and complex numbers run on the vector lanes: no profile lists them.
    rated = [dtype if is_known_dtype(dtype) else "float32" for dtype in dtypes]
    _require_peaks(targets, rated)
    found = [[_peaks(target, dtype) for dtype in rated] for target in targets]
    peaks = np.array([[peak[:2] for peak in row] for row in found], dtype=np.float64)
    matrix, vector = peaks.reshape(len(targets), len(rated), 2).transpose(2, 0, 1)
    rates = np.array([_bandwidth_and_launch(target) for target in targets], dtype=np.float64)
    bandwidth, launch = rates.reshape(len(targets), 2).T
    notes = tuple(tuple(note for *_, note in row if note) for row in found)
    return Ceilings(targets, dtypes, matrix, vector, bandwidth, launch, notes)


@lru_cache(maxsize=4096)
def _peaks(target: Target, dtype: str) -> tuple[float, float, str]:
    """FLOP/s of matrix products and of vector arithmetic, and what had to be assumed, or ""."""
    peak = _matrix_peak(target.profile, dtype)
    assert peak is not None, "as required before"
    best, missing = peak
    vector = _vector_peak(target.profile, dtype, best)
    note = f"{target.label} has no {dtype} peak: computed in float32" if missing else ""
    return best * target.share, vector * target.share, note


@lru_cache(maxsize=512)
def _bandwidth_and_launch(target: Target) -> tuple[float, float]:
    """B/s of main memory, and seconds to start an operator or 0."""
    profile = target.profile
    if (why := _why_no_bandwidth(profile)) is not None:
        raise UsageError(why)
    return profile.bandwidth(profile.main_memory) or 0.0, profile.launch_overhead or 0.0


def why_unable(target: Target, dtypes: Sequence[str]) -> str | None:
    """Why nothing can be estimated on a device that computes in these dtypes; None if it can."""
    return _why_no_peak(target, dtypes) or _why_no_bandwidth(target.profile)


def _why_no_peak(target: Target, dtypes: Sequence[str]) -> str | None:
    for dtype in dtypes:
        if not _has_peak(target, dtype if is_known_dtype(dtype) else "float32"):
            has, remedy = _dtypes_of(target.profile), "it states no peak"
            if has:
                remedy = f"it computes in {has}: choose such a precision"
            also = "" if dtype == "float32" else ", nor float32 to fall back on"
            return f"{target.profile.id} has no {dtype} peak{also}; {remedy}"
    return None


def _require_peaks(targets: Sequence[Target], dtypes: Sequence[str]) -> None:
    """Refuse devices that compute in none of these dtypes nor float32, all of them at once."""
    unable = {target: why for target in targets if (why := _why_no_peak(target, dtypes))}
    if not unable:
        return
    if len(unable) == 1:
        raise UsageError(*unable.values())
    listed = ", ".join(
        f"{target.profile.id} ({_dtypes_of(target.profile) or 'no peak'})" for target in unable
    )
    raise UsageError(
        f"{len(unable)} devices have no peak in this precision, nor float32 to fall back on; leave "
        f"them out or choose a precision they have: {listed}"
    )


@lru_cache(maxsize=4096)
def _has_peak(target: Target, dtype: str) -> bool:
    return _matrix_peak(target.profile, dtype) is not None


def _dtypes_of(profile: DeviceProfile) -> str:
    return ", ".join(sorted({row.dtype for row in profile.peaks if row.si is not None}))


def _matrix_peak(profile: DeviceProfile, dtype: str) -> tuple[float, bool] | None:
    """FLOP/s, and whether it is that of float32 in place of a missing one."""
    # Frameworks accumulate 16-bit products in float32, which some devices do at half the rate.
    peak = profile.peak(dtype, accumulate="float32") or profile.peak(dtype)
    if peak is None and dtype == "tf32":
        # Frameworks fall back to full float32 where there is no tf32 engine.
        peak = profile.peak("float32")
    if peak is not None:
        return peak, False
    peak = profile.peak("float32")
    return None if peak is None else (peak, True)


def _vector_peak(profile: DeviceProfile, dtype: str, fallback: float) -> float:
    for name in (dtype, "float32"):
        peak = profile.peak(name, "vector")
        if peak is not None:
            return peak
    return fallback


def _why_no_bandwidth(profile: DeviceProfile) -> str | None:
    if profile.bandwidth(profile.main_memory):
        return None
    return f"{profile.id}: the profile lacks a memory bandwidth, which an estimate needs"
