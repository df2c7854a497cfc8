"""Calibrate: micro-benchmarks of this machine become a device profile of measured numbers.

What could not be measured is null with the reason. The profile's peaks are what the framework
reaches here, not what the vendor prints, so it describes this machine with this software.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from costmodel.measurement.measuring.machine import (
    clock_hz,
    memory_bytes,
    physical_cores,
    processor_flags,
    processor_name,
    software,
)
from costmodel.measurement.measuring.microbench import (
    MATRIX_DTYPES,
    Bench,
    CacheLevel,
    TorchBench,
    bandwidth_sweep,
    cache_levels,
    dispatch_overhead,
    level_bandwidth,
    matrix_peak,
    thread_scaling,
    threads,
)

SMALLEST_SET = 8 * 2**10
DRAM_SETS = 16
"""The largest working set, in multiples of the last cache."""
LEAST_DRAM_SET = 2**28
EMULATED = 0.05
"""Of float32's rate: what multiplies slower than this is emulated and no ceiling of the device."""
SOURCE = "calibration"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Level:
    """A memory level as measured."""

    name: str
    scope: str
    capacity: float | None
    bandwidth: float | None
    """B/s of one instance."""
    instances: int | None = None


@dataclass(frozen=True)
class Calibration:
    """What the micro-benchmarks found; SI units."""

    name: str
    vendor: str
    kind: str
    microarchitecture: str
    unit_name: str
    units: int
    clock: float | None
    vector_width: int | None
    peaks: dict[str, float]
    """FLOP/s by dtype."""
    matrix_engine: frozenset[str]
    """dtypes that a matrix engine computes."""
    levels: tuple[Level, ...]
    dispatch: float
    power: float | None
    scaling: dict[int, float] = field(default_factory=dict)
    """Matrix rate by threads, relative to one."""
    lanes: float | None = None
    """float32 lanes per unit where the architecture is known; else from the measured peak."""
    software: dict[str, str] = field(default_factory=dict)


def calibrate(device: str = "cpu", bench: Bench | None = None, say: Say = print) -> Calibration:
    """Run all micro-benchmarks.

    Args:
        device: "cpu" or "cuda".
        bench: to time with, by default torch on that device.
        say: is told what is being measured.

    Raises:
        UsageError: if there is no such device here.
    """
    from costmodel.measurement.measuring.runner import check_device

    accelerator = check_device(device)
    used = bench or TorchBench(device)
    return (
        _calibrate_cpu(used, say)
        if accelerator is None
        else _calibrate_cuda(used, accelerator, say)
    )


def _calibrate_cpu(bench: Bench, say: Say) -> Calibration:
    cores = len(physical_cores())
    flags, name = processor_flags(), processor_name()
    with threads(cores):
        peaks = {}
        for dtype in MATRIX_DTYPES:
            say(f"matrix products in {dtype}")
            peaks[dtype] = matrix_peak(bench, dtype)
        clock = clock_hz()
    with threads(1):
        say("dispatch of small operators")
        dispatch = dispatch_overhead(bench)
    caches = cache_levels()
    say("bandwidth by working set")
    levels = _cpu_levels(bench, caches, cores)
    counts = sorted({1, *[2**i for i in range(1, 10) if 2**i < cores], cores})
    say("scaling with threads")
    scaling = thread_scaling(bench, counts)
    tiles = {"bfloat16": "amx_bf16", "float16": "amx_fp16"}
    return Calibration(
        name=f"{name} ({cores} cores, measured)",
        vendor=_vendor(name),
        kind="cpu",
        microarchitecture=name,
        unit_name="core",
        units=cores,
        clock=clock,
        vector_width=_vector_width(flags),
        peaks=peaks,
        matrix_engine=frozenset(dtype for dtype, flag in tiles.items() if flag in flags),
        levels=levels,
        dispatch=dispatch,
        power=_power_limit(),
        scaling=scaling,
        software=software(),
    )


def _cpu_levels(bench: Bench, caches: list[CacheLevel], cores: int) -> tuple[Level, ...]:
    """Caches of one core by one thread, those of several and main memory by all threads."""
    last = caches[-1].capacity if caches else 2**25
    with threads(1):
        alone = bandwidth_sweep(bench, SMALLEST_SET, 2.0 * last)
    with threads(cores):
        largest = max(DRAM_SETS * last, LEAST_DRAM_SET)
        together = bandwidth_sweep(bench, SMALLEST_SET * cores, largest)
    found = []
    inner = 0.0
    for index, cache in enumerate(caches):
        name = {0: "l1", 1: "l2"}.get(index, "llc")
        sharers = min(cache.sharers, cores)
        instances = max(1, cores // sharers)
        whole = cache.capacity * instances
        if sharers == 1 and cores > 1:
            rate, scope = level_bandwidth(alone, inner, cache.capacity), "unit"
        else:
            rate = level_bandwidth(together, inner * cores, whole)
            rate = None if rate is None else rate / instances
            scope = "device" if instances == 1 else "cluster"
        found.append(
            Level(name, scope, cache.capacity, rate, instances if scope == "cluster" else None)
        )
        inner = cache.capacity
    rate = level_bandwidth(together, last, float("inf"))
    found.append(Level("dram", "device", memory_bytes(), rate))
    return tuple(found)


LANES = {
    (7, 0): 64, (7, 5): 64, (8, 0): 64, (8, 6): 128, (8, 7): 128, (8, 9): 128, (9, 0): 128,
    (10, 0): 128, (12, 0): 128,
}  # fmt: skip
"""float32 lanes per SM by compute capability. Source: NVIDIA, CUDA C++ Programming Guide, table of
arithmetic throughput (results per clock cycle and multiprocessor)."""


def _calibrate_cuda(bench: Bench, name: str, say: Say) -> Calibration:
    import torch

    properties: Any = torch.cuda.get_device_properties(0)
    peaks = {}
    for dtype in MATRIX_DTYPES:
        say(f"matrix products in {dtype}")
        peaks[dtype] = matrix_peak(bench, dtype, sizes=(2048, 4096, 8192))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        say("matrix products in tf32")
        peaks["tf32"] = matrix_peak(bench, "float32", sizes=(2048, 4096, 8192))
    finally:
        torch.set_float32_matmul_precision(before)
    say("dispatch of small operators")
    dispatch = dispatch_overhead(bench)
    cache = float(getattr(properties, "L2_cache_size", 0)) or None
    say("bandwidth by working set")
    points = bandwidth_sweep(bench, 2**18, max(DRAM_SETS * (cache or 0), 2**31))
    levels = [Level("dram", "device", properties.total_memory, None)]
    rate = level_bandwidth(points, cache or 2**27, float("inf"))
    levels[0] = Level("dram", "device", properties.total_memory, rate)
    if cache:
        inside = level_bandwidth(points, 0.0, cache)
        levels.insert(0, Level("l2", "device", cache, inside))
    capability = (properties.major, properties.minor)
    has_tensor_cores = properties.major >= 7
    return Calibration(
        name=f"{name} (measured)",
        vendor="NVIDIA" if torch.version.cuda else "AMD",
        kind="gpu",
        microarchitecture=f"compute capability {properties.major}.{properties.minor}",
        unit_name="SM",
        units=properties.multi_processor_count,
        clock=_smi("clocks.max.sm", 1e6),
        vector_width=None,
        peaks=peaks,
        matrix_engine=frozenset({"tf32", "float16", "bfloat16"} if has_tensor_cores else ()),
        levels=tuple(levels),
        dispatch=dispatch,
        power=_smi("power.limit", 1.0),
        lanes=LANES.get(capability),
        software=software(),
    )


def _smi(field_name: str, unit: float) -> float | None:
    """A number that NVIDIA's driver prints, None where it does not."""
    form = "--format=csv,noheader,nounits"
    command = ["nvidia-smi", "-i", "0", f"--query-gpu={field_name}", form]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        return float(found.stdout.strip().splitlines()[0]) * unit
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def _power_limit() -> float | None:
    path = Path("/sys/class/powercap/intel-rapl:0/constraint_0_power_limit_uw")
    try:
        return float(path.read_text()) / 1e6
    except (OSError, ValueError):
        return None


def _vector_width(flags: set[str]) -> int | None:
    for flag, bits in (("avx512f", 512), ("avx2", 256), ("avx", 256), ("asimd", 128), ("sse", 128)):
        if flag in flags:
            return bits
    return None


def _vendor(name: str) -> str:
    for vendor in ("Intel", "AMD", "Apple", "ARM", "IBM", "Qualcomm", "Ampere"):
        if re.search(vendor, name, re.I):
            return vendor
    return "unknown"
