"""Device profiles as columns: what the laws need to know of each device, one row a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from math import ceil, nan
from typing import Any

import numpy as np

from costmodel.hardware import DeviceProfile
from costmodel.roofline.ceilings import Target
from costmodel.roofline.once import once

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class DeviceColumns:
    """Numbers of several devices; every array is (devices,) and NaN where a number is unknown."""

    is_gpu: Array
    is_cpu: Array
    core_share: Array
    """Share of the units in use: 1, or less for some threads of a CPU."""
    vector_bits: Array
    """Width of a CPU's vector registers."""
    units: Array
    """SMs, compute units or cores in use."""
    clock: Array
    """Boost clock, Hz."""
    base_clock: Array
    """Base clock, Hz."""
    sustained_clock: Array
    """Clock of all units under lasting load, Hz, NaN where nobody states it."""
    vector_lanes: Array
    """float32 fused multiply-add lanes per unit."""
    dram_bandwidth: Array
    """B/s."""
    stream_share: Array
    """Of that, what long streams reach where it was measured, NaN where the laws must tell."""
    l2_capacity: Array
    """Last cache before main memory that all units share, bytes."""
    l2_bandwidth: Array
    """B/s of that cache, NaN where the vendor does not say."""
    core_cache: Array
    """Second-level caches of the CPU cores in use together, bytes; 0 where they share it."""
    board_power: Array
    """W."""
    launch_overhead: Array
    """Seconds, NaN where unknown."""
    year: Array
    """Year of first availability."""
    groups_depthwise: Array
    """Whether depthwise convolutions run as grouped ones of the vendor's library: on AMD's GPUs
    PyTorch hands them all to MIOpen, and has kernels of its own on others (`MiopenDepthwise` in
    ATen/native/Convolution.cpp; github.com/pytorch/pytorch/pull/22696 and 198221)."""
    in_line_ecc: Array
    """Whether error correction takes bandwidth of the main memory."""
    multilevel_memory: Array
    """Whether main memory signals with more than two levels (GDDR6X, GDDR7)."""
    memory_channels: Array
    """Channels of main memory, each with open rows of its own."""
    generation: Array
    """GPU generation by `GENERATIONS`, NaN where the architecture is not in it."""
    issued_lanes: Array
    """Share of a GPU unit's issue slots that float32 multiply-adds take at full rate, NaN where
    unknown or where schedulers issue several instructions at a time."""
    resident_threads: Array
    """Most threads that a GPU unit holds, NaN for others."""

    @cached_property
    def found(self) -> dict[Any, tuple[tuple[Any, ...], Any]]:
        """What laws made of these numbers, each with the other arguments it had; see `once`."""
        return {}

    def expand(self, axes: int = 1) -> DeviceColumns:
        """Append axes of length 1, so that (devices,) broadcasts against (devices, ops)."""
        return _expanded(self, axes)

    def take(self, devices: Array) -> DeviceColumns:
        """Some devices, by index of the first axis."""
        if len(devices) == len(self.units):
            return self
        return DeviceColumns(**{f.name: getattr(self, f.name)[devices] for f in fields(self)})


@once
def _expanded(device: DeviceColumns, axes: int) -> DeviceColumns:
    new = {f.name: getattr(device, f.name) for f in fields(device)}
    return DeviceColumns(**{k: v.reshape(v.shape + (1,) * axes) for k, v in new.items()})


GENERATIONS = {
    "Kepler": 3, "Maxwell": 5, "Pascal": 6, "Volta": 7, "Turing": 7.5,
    "Ampere": 8, "Ada": 8, "Hopper": 9, "Blackwell": 10,
}  # fmt: skip
"""Compute capability, only Turing's with its minor number, by a microarchitecture's first word."""


SINGLE_ISSUE = 7.0
"""Generation from which on a GPU unit has four schedulers that issue one instruction per clock to
a warp of 32 threads (CUDA programming guide, compute capability 6.x and 7.x)."""
ISSUE_SLOTS = 4 * 32.0

RESIDENT_THREADS = {"TU1": 1024.0, "GA10": 1536.0, "AD10": 1536.0, "GB20": 1536.0}
"""Most threads per unit by the first letters of the chip, where it is not 2048 (CUDA programming
guide, technical specifications per compute capability); GA100 is not meant by GA10."""


def device_columns(targets: Sequence[Target]) -> DeviceColumns:
    """Read the columns from the profiles of the targets."""
    return _device_columns(tuple(targets))


@lru_cache(maxsize=256)
def _device_columns(targets: tuple[Target, ...]) -> DeviceColumns:
    rows = np.array([_row(target) for target in targets], dtype=np.float64)
    names = [f.name for f in fields(DeviceColumns)]
    table = dict(zip(names, rows.reshape(len(targets), len(names)).T, strict=True))
    return DeviceColumns(**{k: v.astype(bool) if k in TRUTHS else v for k, v in table.items()})


TRUTHS = ("is_gpu", "is_cpu", "groups_depthwise", "in_line_ecc", "multilevel_memory")


@lru_cache(maxsize=512)
def _row(target: Target) -> tuple[float, ...]:
    """A value for every field of `DeviceColumns`, in order."""
    profile, share = target.profile, target.share
    cache = "llc" if "llc" in profile.levels else "l2"
    lanes = profile.compute.vector_lanes
    values: dict[str, float | None] = {
        "is_gpu": profile.kind == "gpu",
        "is_cpu": profile.kind == "cpu",
        "core_share": share,
        "vector_bits": profile.vector_width_bits,
        "units": profile.units * share,
        "clock": profile.clock("boost"),
        "base_clock": profile.clock("base"),
        "sustained_clock": profile.clock("sustained"),
        "vector_lanes": None if lanes is None else lanes.si,
        "dram_bandwidth": profile.bandwidth(profile.main_memory),
        "stream_share": _stream_share(profile),
        "l2_capacity": _cache_in_use(target, cache),
        "l2_bandwidth": profile.bandwidth(cache),
        "core_cache": _cache_in_use(target, "l2") if cache == "llc" else 0.0,
        "board_power": profile.board_power,
        "launch_overhead": profile.launch_overhead,
        "year": profile.year,
        "groups_depthwise": profile.kind == "gpu" and profile.vendor == "AMD",
        "in_line_ecc": _ecc(profile) == "in-line",
        "multilevel_memory": _memory_type(profile) in MULTILEVEL,
        "memory_channels": _memory_channels(profile),
        "generation": _generation(profile),
        "issued_lanes": _issued_lanes(profile),
        "resident_threads": _resident_threads(profile),
    }
    ordered = (values[f.name] for f in fields(DeviceColumns))
    return tuple(nan if value is None else float(value) for value in ordered)


MULTILEVEL = ("GDDR6X", "GDDR7")


CHANNEL_BITS = {
    "GDDR5": 32, "GDDR6": 16, "GDDR7": 8,
    "HBM": 128, "HBM2": 64, "HBM3": 32, "LPDDR4": 16, "LPDDR5": 16, "DDR4": 64, "DDR5": 32,
}  # fmt: skip
"""Bits of an independent channel by type of memory, for HBM2 and later a pseudo channel (JEDEC
JESD212, 250, 239, 235, 238, 209-4, 209-5, 79-4, 79-5); what follows the name changes nothing."""


WHOLE_CHANNELS = 6
"""Generation whose HBM2 is taken to run as HBM did, without pseudo channels: they are an option of
JESD235A, and loads across rows on a P100 show half as many."""


def _memory_channels(profile: DeviceProfile) -> float | None:
    level, kind = profile.level(profile.main_memory), _memory_type(profile)
    if level is None or level.bus_width is None or level.bus_width.si is None or kind is None:
        return None
    fits = [name for name in CHANNEL_BITS if kind.startswith(name)]
    if not fits:
        return None
    whole = "HBM" in fits and _generation(profile) == WHOLE_CHANNELS
    return level.bus_width.si / CHANNEL_BITS["HBM" if whole else max(fits, key=len)]


def _memory_type(profile: DeviceProfile) -> str | None:
    level = profile.level(profile.main_memory)
    return None if level is None else level.type


def _cache_in_use(target: Target, level: str) -> float | None:
    """Bytes of a cache that the cores in use can fill: an instance serves its own cores only."""
    profile = target.profile
    one = profile.capacity(level, per="instance")
    return None if one is None else one * ceil(profile.instances(level) * target.share)


def _stream_share(profile: DeviceProfile) -> float | None:
    if (share := profile.achievable.dram_bandwidth) is not None:
        return share.si
    level = profile.level(profile.main_memory)
    measured = level is not None and level.bandwidth.kind == "measured"
    return 1.0 if measured else None


def _ecc(profile: DeviceProfile) -> str | None:
    level = profile.level(profile.main_memory)
    return None if level is None else level.ecc


def _generation(profile: DeviceProfile) -> float | None:
    word = profile.microarchitecture.split()[0]
    return float(GENERATIONS[word]) if word in GENERATIONS else None


def _issued_lanes(profile: DeviceProfile) -> float | None:
    generation, lanes = _generation(profile), profile.compute.vector_lanes
    if generation is None or generation < SINGLE_ISSUE or lanes is None or lanes.si is None:
        return None
    return lanes.si / ISSUE_SLOTS


def _resident_threads(profile: DeviceProfile) -> float | None:
    if profile.kind != "gpu":
        return None
    chip = profile.microarchitecture.partition("(")[2].strip(")")
    if chip == "GA100":
        return 2048.0
    return next((n for start, n in RESIDENT_THREADS.items() if chip.startswith(start)), 2048.0)
