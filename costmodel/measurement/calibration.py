"""Calibrate: micro-benchmarks of this machine become a device profile of measured numbers.

What could not be measured is null with the reason. The profile's peaks are what the framework
reaches here, not what the vendor prints, so it describes this machine with this software.
"""

from __future__ import annotations

import io
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from costmodel.errors import UsageError
from costmodel.hardware import plausibility
from costmodel.hardware.validation import ID_PATTERN, parse_profile
from costmodel.measurement.machine import (
    clock_hz,
    memory_bytes,
    physical_cores,
    processor_flags,
    processor_name,
    software,
)
from costmodel.measurement.microbench import (
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
    from costmodel.measurement.runner import check_device

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


# --------------------------------------------------------------------- profile


def profile_text(found: Calibration, device: str, today: date | None = None) -> str:
    """The YAML text of a profile, checked by loading it.

    Args:
        found: by the micro-benchmarks.
        device: id of the profile, the name of its file.
        today: date of the measurement.

    Raises:
        UsageError: if the id is not in lower case with hyphens.
        SpecError: if the numbers contradict each other or are far off for such a device.
    """
    from ruamel.yaml import YAML

    check_id(device)
    day = today or date.today()
    text = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = None
    yaml.width = 100
    yaml.dump(_document(found, day), text)
    result = (
        "# Measured on one machine by `costmodel calibrate`; see hardware_specs/README.md for the "
        f"format.\n{text.getvalue()}"
    )
    parse_profile(device, result)
    return result


def check_id(device: str) -> None:
    """Raises UsageError for what is no id of a profile."""
    if not ID_PATTERN.fullmatch(device):
        raise UsageError(f"{device!r}: name it in lower case with hyphens, such as my-machine.yaml")


def _document(found: Calibration, day: date) -> dict[str, Any]:
    versions = ", ".join(f"{name} {version}" for name, version in found.software.items())
    scaling = ", ".join(f"{count}: {rate:.2f}x" for count, rate in found.scaling.items())
    note = (
        f"Peaks and bandwidths are what {versions or 'the framework'} reached, not what the vendor "
        "prints. The year is that of the measurement; the system does not tell the device's."
    )
    if scaling:
        note += f" Matrix rate by threads: {scaling}."
    for dtype in found.peaks.keys() - dict(_peaks(found)).keys():
        rate = found.peaks[dtype]
        note += f" {dtype} is emulated ({rate / 1e9:.2g} GFLOP/s) and has no peak."
    clock = _measured("clock", found.clock, lambda hz: f"{hz / 1e6:.0f} MHz", "not shown here")
    per_clock = _per_clock(found)
    return {
        "name": found.name,
        "vendor": found.vendor,
        "kind": found.kind,
        "year": day.year,
        "microarchitecture": found.microarchitecture,
        "note": note,
        "sources": {
            SOURCE: {
                "title": "Micro-benchmarks of this machine",
                "publisher": "costmodel calibrate",
                "section": "matrix products, working sets, small operators",
                "date": day.isoformat(),
                "verified": "unverified",
            }
        },
        "compute": {
            "unit_name": found.unit_name,
            "units": {"value": found.units, "source": SOURCE, "kind": "measured"},
            "clocks": {
                "base": clock,
                "boost": dict(clock),
                "sustained": {"value": None, "reason": "not held for minutes by the benchmarks"},
            },
            "vector_lanes": _lanes(found, per_clock.get("float32")),
            **(
                {
                    "vector_width": {
                        "value": f"{found.vector_width} bit",
                        "source": SOURCE,
                        "kind": "measured",
                        "note": "Widest instruction set that the system lists.",
                    }
                }
                if found.vector_width
                else {}
            ),
        },
        "peaks": [_peak(found, dtype, rate, per_clock.get(dtype)) for dtype, rate in _peaks(found)],
        "memory": [_level(level, found) for level in found.levels],
        "board_power": _measured(
            "power", found.power, lambda watts: f"{watts:.1f} W", "the system does not tell"
        ),
        "launch_overhead": {
            "value": f"{max(found.dispatch, 50e-9) * 1e6:.3f} us",
            "source": SOURCE,
            "kind": "measured",
            "note": "Per eager operator, in a row of operators with nothing to do.",
        },
    }


def _peaks(found: Calibration) -> list[tuple[str, float]]:
    least = EMULATED * found.peaks["float32"]
    return [(dtype, rate) for dtype, rate in found.peaks.items() if rate >= least]


def _per_clock(found: Calibration) -> dict[str, float]:
    if found.clock is None or found.lanes is not None:
        return {}
    shown = round(found.clock / 1e6) * 1e6
    return {dtype: round(rate / found.units / shown, 4) for dtype, rate in _peaks(found)}


def _lanes(found: Calibration, per_clock: float | None) -> dict[str, Any]:
    if found.lanes is not None:
        return {
            "value": found.lanes, "source": SOURCE, "kind": "derived",
            "how": "float32 lanes per multiprocessor of this compute capability",
        }  # fmt: skip
    if per_clock is None:
        return {"value": None, "reason": "no clock to divide the measured rate by"}
    return {
        "value": per_clock / 2, "source": SOURCE, "kind": "derived",
        "how": "half of the measured operations per clock and unit",
        "note": "Effective lanes: what matrix products reach.",
    }  # fmt: skip


def _peak(found: Calibration, dtype: str, rate: float, per_clock: float | None) -> dict[str, Any]:
    return {
        "dtype": dtype,
        "engine": "matrix" if dtype in found.matrix_engine else "vector",
        "value": f"{rate / 1e9:.2f} GFLOP/s",
        "per_clock": per_clock,
        "source": SOURCE,
        "kind": "measured",
    }


def _level(level: Level, found: Calibration) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": level.name, "scope": level.scope}
    if level.instances is not None:
        entry["instances"] = {"value": level.instances, "source": SOURCE, "kind": "measured"}
    entry["capacity"] = _measured("capacity", level.capacity, _capacity, "the system does not tell")
    doubt = _doubt(level, found)
    entry["bandwidth"] = _measured(
        "bandwidth",
        level.bandwidth if doubt is None else None,
        lambda rate: f"{rate / 1e9:.2f} GB/s",
        doubt or "an operator on so little data takes longer to start than to run",
    )
    return entry


def _doubt(level: Level, found: Calibration) -> str | None:
    """Why a measured bandwidth cannot be that of the level; None if it can."""
    rate = _whole(level, found)
    if rate is None or level.bandwidth is None:
        return None
    shown = f"{level.bandwidth / 1e9:.2f} GB/s were measured"
    outer = found.levels[found.levels.index(level) + 1 :]
    slower = [other.name for other in outer if (_whole(other, found) or 0.0) > rate]
    if slower:
        return f"{shown}, less than of {slower[0]} behind it: the start of operators, not the cache"
    low, high = plausibility.BANDWIDTH_BPS.get((level.name, found.kind), (0.0, float("inf")))
    if level.name != "dram" and not low <= level.bandwidth <= high:
        return f"{shown}, which no such cache has: was the machine busy?"
    return None


def _whole(level: Level, found: Calibration) -> float | None:
    """Bandwidth of all instances."""
    if level.bandwidth is None:
        return None
    if level.scope == "unit":
        return level.bandwidth * found.units
    return level.bandwidth * (level.instances or 1)


def _capacity(size: float) -> str:
    unit, name = (2**10, "KiB") if size < 2**20 else (2**20, "MiB")
    if size >= 2**30:
        unit, name = 2**30, "GiB"
    return f"{size / unit:.2f} {name}"


def _measured(
    what: str, value: float | None, show: Callable[[float], str], reason: str
) -> dict[str, Any]:
    if value is None:
        return {"value": None, "reason": f"{what}: {reason}"}
    return {"value": show(value), "source": SOURCE, "kind": "measured"}
