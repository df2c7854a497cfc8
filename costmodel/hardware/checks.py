"""What must hold between the numbers of a profile, beyond the form of each.

The checks read plain data, not a finished profile, and pass over what is missing or malformed,
so that a file's contradictions are reported together with its misspellings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, get_args

from costmodel.documents import Path, Problem
from costmodel.hardware import plausibility
from costmodel.hardware.dtypes import is_integer
from costmodel.hardware.parts import ClockKind
from costmodel.hardware.quantity import (
    Bandwidth,
    Capacity,
    DataRate,
    Duration,
    Frequency,
    Power,
    Quantity,
    Throughput,
    Width,
)
from costmodel.units import format_bytes, format_si, format_time

TOLERANCE = 0.03
LEVEL_ORDER = ("l1", "l2", "sram", "llc", "flash", "dram")


def contradictions(data: Any) -> Iterator[Problem]:
    """Yield every problem that takes more than one number, or knowledge of devices, to see."""
    yield from _placeholders(data, ())
    yield from _citations(data, (), _sources(data))
    yield from _repetitions(data)
    yield from _clocks(data)
    yield from _peaks(data)
    yield from _vector_lanes(data)
    yield from _memory(data)
    yield from _ranges(data)


def _get(data: Any, *path: str | int) -> Any:
    """Return the value at a path, None if there is none."""
    for part in path:
        if isinstance(data, dict) and isinstance(part, str):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return None
    return data


def _items(data: Any, *path: str) -> list[tuple[int, dict[str, Any]]]:
    """Return the mappings in the list at a path, with their indices."""
    found = _get(data, *path)
    entries = enumerate(found) if isinstance(found, list) else ()
    return [(index, entry) for index, entry in entries if isinstance(entry, dict)]


def _quantity(kind: type[Quantity], entry: Any) -> float | None:
    """Return the SI value of a number's mapping, None if there is none or it is malformed."""
    value = _get(entry, "value")
    try:
        return None if value is None else kind.parse(kind.check(value))
    except ValueError:
        return None


def _count(entry: Any, key: str = "value") -> float | None:
    value = _get(entry, key)
    return value if type(value) in (int, float) and value > 0 else None


def _sources(data: Any) -> set[str]:
    sources = _get(data, "sources")
    return set(sources) if isinstance(sources, dict) else set()


PLACEHOLDERS = ("FILL IN", "TODO", "?", "")
"""What stands where nobody has written yet."""


def _placeholders(data: Any, path: Path) -> Iterator[Problem]:
    """Nothing that the template left to be filled in, and no empty list, may remain."""
    if path in (("peaks",), ("memory",), ("sources",)) and data in ([], {}):
        yield Problem(path, "expected at least one entry")
    if isinstance(data, str) and data.strip() in PLACEHOLDERS:
        yield Problem(path, f"expected text, got {data!r}", malformed=True)
    pairs: Iterable[tuple[str | int, Any]] = ()
    if isinstance(data, dict):
        pairs = data.items()
    elif isinstance(data, list):
        pairs = enumerate(data)
    for key, item in pairs:
        yield from _placeholders(item, (*path, key))


def _citations(data: Any, path: Path, sources: set[str]) -> Iterator[Problem]:
    """No source, no load: every number cites one, and every null says why."""
    if isinstance(data, list):
        for index, item in enumerate(data):
            yield from _citations(item, (*path, index), sources)
    if not isinstance(data, dict):
        return
    for key, item in data.items():
        if key != "sources":
            yield from _citations(item, (*path, key), sources)
    if "value" not in data:
        return
    if data["value"] is None:
        if not data.get("reason"):
            yield Problem(path, "expected a `reason`, as the value is null")
        return
    if data.get("reason"):
        yield Problem((*path, "reason"), "expected no reason, as the value is known; use `note`")
    if data.get("kind") is None:
        yield Problem(path, "expected a `kind`: datasheet, measured or derived")
    if data.get("kind") == "derived" and not data.get("how"):
        yield Problem(path, "expected `how`, as the value is derived")
    cited = data.get("source")
    if not cited:
        yield Problem(path, "expected a `source`, a key into `sources`")
    for key in cited if isinstance(cited, list) else [cited]:
        if isinstance(key, str) and key not in sources:
            known = ", ".join(sorted(sources)) or "empty"
            yield Problem((*path, "source"), f"expected a key of `sources` ({known}), got {key!r}")


def _repetitions(data: Any) -> Iterator[Problem]:
    seen: set[Any] = set()
    for index, peak in _items(data, "peaks"):
        key = (peak.get("dtype"), peak.get("engine"), peak.get("accumulate"))
        if all(part is None or isinstance(part, str) for part in key):
            if key in seen:
                message = "expected one row per dtype, engine and accumulate; this is the second"
                yield Problem(("peaks", index), message)
            seen.add(key)
    last = -1
    for index, level in _items(data, "memory"):
        name = level.get("name")
        if name not in LEVEL_ORDER:
            continue
        position = LEVEL_ORDER.index(name)
        if position <= last:
            order = ", ".join(LEVEL_ORDER)
            yield Problem(("memory", index, "name"), f"expected each level once, in order: {order}")
        last = max(last, position)
    aliases = _get(data, "aliases")
    names: set[str] = set()
    for index, alias in enumerate(aliases if isinstance(aliases, list) else ()):
        if isinstance(alias, str):
            if alias.lower() in names:
                message = f"expected each alias once, in any case; got {alias!r} again"
                yield Problem(("aliases", index), message)
            names.add(alias.lower())


def _clock(data: Any, kind: Any) -> float | None:
    return _quantity(Frequency, _get(data, "compute", "clocks", kind))


def _clocks(data: Any) -> Iterator[Problem]:
    boost = _clock(data, "boost")
    for kind in ("base", "sustained"):
        clock = _clock(data, kind)
        if boost is not None and clock is not None and clock > boost:
            yield Problem(
                ("compute", "clocks", kind, "value"),
                f"expected at most the boost clock, {format_si(boost, 'Hz')}",
            )


def _peaks(data: Any) -> Iterator[Problem]:
    units = _count(_get(data, "compute", "units"))
    for index, peak in _items(data, "peaks"):
        value, per_clock = _quantity(Throughput, peak), _count(peak, "per_clock")
        dtype, kind = peak.get("dtype"), peak.get("clock", "boost")
        if value is None:
            continue
        where: Path = ("peaks", index, "value")
        if "per_clock" not in peak and _get(data, "kind") in ("gpu", "cpu", "tpu", "mcu"):
            message = "expected `per_clock`, operations per clock cycle and unit, to check it by"
            yield Problem(("peaks", index), message)
        unit = "FLOP/s"
        if isinstance(dtype, str):
            unit = "OP/s" if is_integer(dtype) else "FLOP/s"
            if ("FLOP" in peak["value"]) == is_integer(dtype):
                yield Problem(where, f"expected {unit} for {dtype}, got {peak['value']!r}")
                continue
        clock = _clock(data, kind) if kind in get_args(ClockKind) else None
        if units is None or per_clock is None or clock is None:
            continue
        product = units * per_clock * clock
        if abs(value / product - 1) > TOLERANCE:
            yield Problem(
                where,
                f"expected units x per_clock x {kind} clock = {units:g} x {per_clock:g} x "
                f"{format_si(clock, 'Hz', 4)} = {format_si(product, unit)} within 3 %, "
                f"got {peak['value']!r} (a sparse figure, perhaps?)",
            )


def _vector_lanes(data: Any) -> Iterator[Problem]:
    compute = _get(data, "compute")
    lanes = _count(_get(compute, "vector_lanes"))
    width = _quantity(Width, _get(compute, "vector_width"))
    fma_units = _count(_get(compute, "fma_units"))
    simd_lanes = None if width is None or fma_units is None else width / 32 * fma_units
    for index, peak in _items(data, "peaks"):
        if (peak.get("dtype"), peak.get("engine")) != ("float32", "vector"):
            continue
        per_clock = _count(peak, "per_clock")
        for expected, how in (
            (lanes, "2 x vector_lanes"),
            (simd_lanes, "2 x fma_units x vector_width / 32 bit"),
        ):
            if per_clock is not None and expected is not None and per_clock != 2 * expected:
                message = f"expected {how} = {2 * expected:g}, got {per_clock:g}"
                yield Problem(("peaks", index, "per_clock"), message)


def _memory(data: Any) -> Iterator[Problem]:
    inner = 0.0
    for index, level in _items(data, "memory"):
        where: Path = ("memory", index)
        if level.get("scope") == "cluster" and _count(level.get("instances")) is None:
            yield Problem(where, "expected `instances`, as the scope is cluster")
        bandwidth = _quantity(Bandwidth, level.get("bandwidth"))
        width = _quantity(Width, level.get("bus_width"))
        rate = _quantity(DataRate, level.get("data_rate"))
        if bandwidth is not None and width is not None and rate is not None:
            product = width * rate / 8
            if abs(bandwidth / product - 1) > TOLERANCE:
                yield Problem(
                    (*where, "bandwidth", "value"),
                    f"expected bus_width x data_rate = {width:g} bit x {format_si(rate, 'b/s', 4)} "
                    f"= {format_si(product, 'B/s', 4)} within 3 %, "
                    f"got {level['bandwidth']['value']!r}",
                )
        capacity = _quantity(Capacity, level.get("capacity"))
        if capacity is not None and level.get("name") in ("l1", "l2", "llc", "dram"):
            if capacity < inner:
                yield Problem(
                    (*where, "capacity", "value"),
                    f"expected at least the level before, {format_bytes(inner)}",
                )
            inner = max(inner, capacity)


def _ranges(data: Any) -> Iterator[Problem]:
    kind = _get(data, "kind")
    if not isinstance(kind, str) or kind not in plausibility.CLOCK_HZ:
        return
    for clock in get_args(ClockKind):
        path: Path = ("compute", "clocks", str(clock))
        yield from _range(data, path, Frequency, plausibility.CLOCK_HZ[kind], "Hz")
    yield from _range(data, ("board_power",), Power, plausibility.POWER_W[kind], "W")
    lowest, highest = plausibility.POWER_W[kind]
    idle = (lowest * plausibility.LEAST_IDLE_SHARE, highest)
    yield from _range(data, ("energy", "static"), Power, idle, "W")
    yield from _range(data, ("launch_overhead",), Duration, plausibility.LAUNCH_S, "s")
    for name in ("registers", "shared_memory"):
        yield from _range(data, ("compute", name), Capacity, plausibility.SCRATCHPAD_B, "B")
    bits = plausibility.VECTOR_BITS
    yield from _range(data, ("compute", "vector_width"), Width, bits, "bit")
    units = _count(_get(data, "compute", "units"))
    fewest, most = plausibility.UNITS[kind]
    if units is not None and not fewest <= units <= most:
        yield Problem(
            ("compute", "units", "value"), f"expected {fewest} to {most} units on a {kind}"
        )
    for index, _ in _items(data, "peaks"):
        yield from _range(data, ("peaks", index), Throughput, plausibility.PEAK[kind], "OP/s")
    for index, level in _items(data, "memory"):
        level_name = str(level.get("name"))
        at: Path = ("memory", index)
        sizes = plausibility.CAPACITY_B.get((level_name, kind), (1.0, 2.0**46))
        if (level_name, kind) == ("dram", "cpu") and units is not None:
            low, high = plausibility.CAPACITY_PER_CORE_B
            sizes = (low * units, high * units)
        yield from _range(data, (*at, "capacity"), Capacity, sizes, "B")
        speeds = plausibility.BANDWIDTH_BPS.get((level_name, kind), (1e6, 1e14))
        yield from _range(data, (*at, "bandwidth"), Bandwidth, speeds, "B/s")
        yield from _range(data, (*at, "bus_width"), Width, plausibility.BUS_BITS, "bit")
        yield from _range(data, (*at, "data_rate"), DataRate, plausibility.DATA_RATE_BPS, "b/s")
    for index, link in _items(data, "interconnect"):
        usb = "usb" in str(link.get("name")).lower()
        rates = plausibility.USB_BPS if usb else plausibility.LINK_BPS
        yield from _range(data, ("interconnect", index, "bandwidth"), Bandwidth, rates, "B/s")
    for index, _ in _items(data, "compute", "others"):
        other: Path = ("compute", "others", index, "clock")
        yield from _range(data, other, Frequency, plausibility.CLOCK_HZ[kind], "Hz")
    yield from _ridge(data, kind)


def _range(
    data: Any, path: Path, kind: type[Quantity], bounds: tuple[float, float], unit: str
) -> Iterator[Problem]:
    value, (low, high) = _quantity(kind, _get(data, *path)), bounds
    if value is not None and not low <= value <= high:
        span = f"{_format(low, unit)} to {_format(high, unit)}"
        got = _get(data, *path, "value")
        yield Problem((*path, "value"), f"expected {span} on a {data['kind']}, got {got!r}")


def _format(value: float, unit: str) -> str:
    if unit == "B":
        return format_bytes(value)
    return format_time(value) if unit == "s" else format_si(value, unit, 4)


def _ridge(data: Any, kind: str) -> Iterator[Problem]:
    if kind not in plausibility.VECTOR_RIDGE:
        return
    low, high = plausibility.VECTOR_RIDGE[kind]
    drams = [level for _, level in _items(data, "memory") if level.get("name") == "dram"]
    bandwidth = _quantity(Bandwidth, _get(drams[0], "bandwidth")) if drams else None
    for index, peak in _items(data, "peaks"):
        if (peak.get("dtype"), peak.get("engine")) != ("float32", "vector"):
            continue
        value = _quantity(Throughput, peak)
        if value is None or bandwidth is None or low <= value / bandwidth <= high:
            continue
        message = f"expected a ridge point of {low:g} to {high:g} FLOP/B on a {kind}"
        yield Problem(("peaks", index, "value"), f"{message}, got {value / bandwidth:.3g}")
