"""Devices side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from costmodel.hardware.display import format_number, peak_name
from costmodel.hardware.dtypes import is_integer
from costmodel.hardware.profile import DeviceProfile


@dataclass(frozen=True)
class ComparisonRow:
    """One property of several devices: its name, SI unit and a value per device, None unknown."""

    name: str
    unit: str
    values: tuple[float | None, ...]

    def texts(self) -> list[str]:
        """Return the values with prefix and unit."""
        return [format_number(value, self.unit) for value in self.values]

    def ratios(self) -> list[float | None]:
        """Return the values relative to the first device's."""
        first = self.values[0]
        return [None if not first or value is None else value / first for value in self.values]


def compare(profiles: Sequence[DeviceProfile]) -> list[ComparisonRow]:
    """Return one row per property that any of the devices has, in the order of a datasheet."""
    rows = [
        _row("units", "", [profile.units for profile in profiles]),
        _row("boost clock", "Hz", [profile.clock("boost") for profile in profiles]),
        _row("board power", "W", [profile.board_power for profile in profiles]),
    ]
    for dtype, engine, accumulate, name in _peak_keys(profiles):
        values = [
            next(
                (
                    row.si
                    for row in profile.peaks
                    if (row.dtype, row.engine, row.accumulate) == (dtype, engine, accumulate)
                ),
                None,
            )
            for profile in profiles
        ]
        rows.append(_row(name, "OP/s" if is_integer(dtype) else "FLOP/s", values))
    for level in ("l1", "l2", "sram", "llc", "dram"):
        sizes = [profile.capacity(level) for profile in profiles]
        rows.append(_row(f"{level} capacity", "B", sizes))
        rates = [profile.bandwidth(level) for profile in profiles]
        rows.append(_row(f"{level} bandwidth", "B/s", rates))
    for dtype in ("float32", "float16", "int8"):
        ridges = [profile.ridge_point(dtype) for profile in profiles]
        unit = "OP/B" if is_integer(dtype) else "FLOP/B"
        rows.append(_row(f"{dtype} ridge point", unit, ridges))
    return [row for row in rows if any(value is not None for value in row.values)]


def _row(name: str, unit: str, values: list[float | None]) -> ComparisonRow:
    return ComparisonRow(name, unit, tuple(values))


def _peak_keys(profiles: Sequence[DeviceProfile]) -> list[tuple[str, str, str | None, str]]:
    """Return dtype, engine, accumulate and name of every peak that occurs, first come first."""
    keys: dict[tuple[str, str, str | None, str], None] = {}
    for profile in profiles:
        for row in profile.peaks:
            keys.setdefault((row.dtype, row.engine, row.accumulate, peak_name(row)))
    return list(keys)
