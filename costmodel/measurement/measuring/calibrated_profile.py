"""A calibration written as a device profile: every number measured, the rest null with reason."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from costmodel.documents import yaml_text
from costmodel.errors import UsageError
from costmodel.hardware import plausibility
from costmodel.hardware.validation import ID_PATTERN, parse_profile
from costmodel.measurement.measuring.calibration import EMULATED, SOURCE, Calibration, Level


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
    check_id(device)
    day = today or date.today()
    result = (
        "# Measured on one machine by `costmodel calibrate`; see hardware_specs/README.md for the "
        f"format.\n{yaml_text(_document(found, day), flow=None)}"
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
