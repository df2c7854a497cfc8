"""How a profile looks in a terminal."""

from __future__ import annotations

from rich.table import Table

from costmodel.hardware.dtypes import is_integer
from costmodel.hardware.parts import MemoryLevel, Peak
from costmodel.hardware.profile import DeviceProfile
from costmodel.units import format_bytes, format_si

UNKNOWN = "?"


def profile_table(profile: DeviceProfile) -> Table:
    """Return peaks, memory levels and ridge points of a device as one table."""
    table = Table(title=f"{profile.name}  [dim]{profile.id}[/dim]", title_justify="left")
    table.add_column("")
    table.add_column("rate", justify="right")
    table.add_column("ridge point at dram", justify="right")
    table.add_column("size", justify="right")
    table.add_column("source")
    for row in profile.peaks:
        ridge = _ridge(row, profile)
        table.add_row(peak_name(row), row.value or UNKNOWN, ridge, "", _source(row.source))
    table.add_section()
    for level in profile.memory:
        rate = format_number(profile.bandwidth(level.name), "B/s")
        table.add_row(level_name(level), rate, "", _size(profile, level), _source(level.bandwidth))
    table.caption = (
        f"{profile.units:g} {profile.compute.unit_name}, "
        f"{format_number(profile.clock('boost'), 'Hz')} boost, "
        f"{format_number(profile.board_power, 'W')}; {profile.microarchitecture}, {profile.year}"
    )
    return table


def peak_name(row: Peak) -> str:
    """Return a peak's name, such as "float16 matrix, float32 sums"."""
    sums = f", {row.accumulate} sums" if row.accumulate else ""
    return f"{row.dtype} {row.engine}{sums}"


def level_name(level: MemoryLevel) -> str:
    """Return a memory level's name with its technology, such as "dram HBM2"."""
    return f"{level.name} {level.type}" if level.type else level.name


def format_number(value: float | None, unit: str) -> str:
    """Return an SI number with prefix, a question mark for what is not known."""
    if value is None:
        return UNKNOWN
    return format_bytes(value) if unit == "B" else format_si(value, unit)


def _ridge(row: Peak, profile: DeviceProfile) -> str:
    bandwidth = profile.bandwidth("dram")
    if row.si is None or bandwidth is None:
        return UNKNOWN
    return f"{row.si / bandwidth:.3g} {'OP' if is_integer(row.dtype) else 'FLOP'}/B"


def _size(profile: DeviceProfile, level: MemoryLevel) -> str:
    instances = profile.instances(level.name)
    size = format_number(level.capacity.si, "B")
    return size if instances == 1 else f"{instances:g} x {size}"


def _source(cited: object) -> str:
    key = getattr(cited, "source", cited)
    return " ".join(key) if isinstance(key, tuple) else str(key or "")
