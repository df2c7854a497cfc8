"""Device profiles as reports: the catalogue, one device with its sources, several side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from costmodel.errors import UsageError
from costmodel.hardware import DeviceProfile, compare
from costmodel.hardware.display import format_number, level_name, peak_name
from costmodel.hardware.parts import Peak
from costmodel.reports.report import Report
from costmodel.reports.table import Column, Table
from costmodel.reports.text import count, show_bytes, show_flops_rate, show_intensity
from costmodel.units import format_si


class CatalogueColumn(NamedTuple):
    """One property that the list of devices can show."""

    name: str
    """What it is called on the command line."""
    column: Column
    value: Callable[[DeviceProfile], Any]


def _peak_column(name: str, dtype: str) -> CatalogueColumn:
    column = Column(f"{dtype}_flops_per_s", name, show_flops_rate)
    return CatalogueColumn(name, column, lambda p: p.peak(dtype))


CATALOGUE_COLUMNS = (
    CatalogueColumn("device", Column("device", "device", right=False), lambda p: p.id),
    CatalogueColumn("name", Column("name", "name", right=False), lambda p: p.name),
    CatalogueColumn("vendor", Column("vendor", "vendor", right=False), lambda p: p.vendor),
    CatalogueColumn("kind", Column("kind", "kind", right=False), lambda p: p.kind),
    CatalogueColumn("year", Column("year", "year"), lambda p: p.year),
    CatalogueColumn(
        "architecture",
        Column("architecture", "architecture", right=False),
        lambda p: p.microarchitecture,
    ),
    CatalogueColumn(
        "units", Column("units", "units", lambda value: f"{value:g}"), lambda p: p.units
    ),
    CatalogueColumn(
        "clock",
        Column("boost_clock_hz", "boost clock", lambda value: format_si(value, "Hz")),
        lambda p: p.clock("boost"),
    ),
    _peak_column("float64", "float64"),
    _peak_column("float32", "float32"),
    _peak_column("tf32", "tf32"),
    _peak_column("float16", "float16"),
    _peak_column("bfloat16", "bfloat16"),
    CatalogueColumn(
        "int8",
        Column("int8_ops_per_s", "int8", lambda value: format_si(value, "OP/s")),
        lambda p: p.peak("int8"),
    ),
    CatalogueColumn(
        "dram",
        Column("dram_bandwidth_bytes_per_s", "dram", lambda value: _bandwidth(value)),
        lambda p: p.bandwidth("dram"),
    ),
    CatalogueColumn(
        "dram-size",
        Column("dram_capacity_bytes", "dram size", show_bytes),
        lambda p: p.capacity("dram"),
    ),
    CatalogueColumn(
        "ridge",
        Column("float32_ridge_flop_per_byte", "float32 ridge", show_intensity),
        lambda p: p.ridge_point("float32"),
    ),
    CatalogueColumn(
        "power",
        Column("board_power_w", "power", lambda value: format_si(value, "W")),
        lambda p: p.board_power,
    ),
    CatalogueColumn(
        "aliases",
        Column("aliases", "aliases", right=False),
        lambda p: list(p.aliases),
    ),
)
"""All that a list of devices can show."""

SHOWN = ("device", "name", "kind", "year", "float32", "float16", "dram", "dram-size", "ridge")
"""Columns where none are asked for."""


def catalogue_report(
    profiles: Sequence[DeviceProfile], columns: Sequence[str] | None = None
) -> Report:
    """One line per device: best dense peaks, memory, float32 ridge point, or the columns named.

    Raises:
        UsageError: for a column that does not exist.
    """
    known = {column.name: column for column in CATALOGUE_COLUMNS}
    unknown = [name for name in columns or () if name not in known]
    if unknown:
        raise UsageError(f"--columns {','.join(unknown)}: expected {', '.join(known)}")
    chosen = [known[name] for name in dict.fromkeys(columns or (*SHOWN, "aliases"))]
    heads, rows = [], []
    for column in chosen:
        programs_only = columns is None and column.name == "aliases"
        heads.append(column.column._replace(csv_only=programs_only))
    for profile in profiles:
        values = (column.value(profile) for column in chosen)
        rows.append(tuple("; ".join(v) if isinstance(v, list) else v for v in values))
    document = [{c.column.key: c.value(profile) for c in chosen} for profile in profiles]
    table = Table("Devices: dense peaks, `?` is not published", tuple(heads), tuple(rows))
    return Report({"devices": document}, (table,))


def device_report(profile: DeviceProfile) -> Report:
    """Everything a profile says, with the source of each number."""
    levels_with_rate = [level.name for level in profile.memory if profile.bandwidth(level.name)]
    peaks = Table(
        f"{profile.name} ({profile.id}); ridge points in operations per byte",
        (
            Column("peak", "dense peak", right=False),
            Column("ops_per_s", "rate", right=True, csv_only=True),
            Column("", "rate"),
            *(
                Column(f"{name}_ridge_ops_per_byte", f"{name} ridge", lambda value: f"{value:.3g}")
                for name in levels_with_rate
            ),
            Column("source", "source", right=False),
            Column("kind", "origin", right=False),
        ),
        tuple(
            (
                peak_name(row),
                row.si,
                row.value,
                *(_ridge(row, profile, name) for name in levels_with_rate),
                _cited(row),
                row.kind,
            )
            for row in profile.peaks
        ),
    )
    levels = []
    for level in profile.memory:
        rate, size = profile.bandwidth(level.name), profile.capacity(level.name)
        instances = profile.instances(level.name)
        levels.append(
            (
                level_name(level),
                level.scope,
                instances,
                size,
                rate,
                _cited(level.capacity) or _cited(level.bandwidth),
                level.bandwidth.kind,
            )
        )
    memory = Table(
        "Memory levels, sum of all instances",
        (
            Column("level", "level", right=False),
            Column("scope", "per", right=False),
            Column("instances", "instances", lambda value: f"{value:g}"),
            Column("capacity_bytes", "size", show_bytes),
            Column("bandwidth_bytes_per_s", "bandwidth", _bandwidth),
            Column("source", "source", right=False),
            Column("kind", "origin", right=False),
        ),
        tuple(levels),
    )
    other = Table(
        "Compute units and power",
        (Column("property", "", right=False), Column("value", "value")),
        (
            ("architecture", f"{profile.microarchitecture}, {profile.year}"),
            ("units", f"{profile.units:g} {profile.compute.unit_name}"),
            ("base clock", format_number(profile.clock("base"), "Hz")),
            ("boost clock", format_number(profile.clock("boost"), "Hz")),
            ("sustained clock", format_number(profile.clock("sustained"), "Hz")),
            ("board power", format_number(profile.board_power, "W")),
            ("launch overhead", format_number(profile.launch_overhead, "s")),
        ),
    )
    sources = Table(
        "Sources",
        (
            Column("key", "key", right=False),
            Column("title", "title", right=False),
            Column("section", "section", right=False),
            Column("date", "date", right=False),
            Column("verified", "checked against", right=False),
            Column("url", "url", right=False, csv_only=True),
        ),
        tuple(
            (key, f"{s.publisher}: {s.title}", s.section, s.date, s.verified, s.url)
            for key, s in profile.sources.items()
        ),
    )
    notes = tuple(f"{path} is not known: {reason}" for path, reason in profile.unknowns())
    document = profile.model_dump(mode="json", by_alias=True, exclude_none=True)
    ridges = [
        {
            "dtype": row.dtype,
            "engine": row.engine,
            "accumulate": row.accumulate,
            "ops_per_byte": {name: _ridge(row, profile, name) for name in levels_with_rate},
        }
        for row in profile.peaks
    ]
    content = {"device": document, "ridge_points": ridges}
    return Report(content, (peaks, memory, other, sources), notes)


def comparison_report(profiles: Sequence[DeviceProfile]) -> Report:
    """Devices side by side, property by property, relative to the first."""
    rows = compare(profiles)
    columns = [Column("property", "", right=False), Column("unit", "", csv_only=True)]
    cells: list[list[Any]] = [[row.name, row.unit] for row in rows]
    for index, profile in enumerate(profiles):
        columns.append(Column(profile.id, profile.id, csv_only=True))
        columns.append(Column("", profile.id))
        for line, row in zip(cells, rows, strict=True):
            ratio = row.ratios()[index]
            relative = "" if ratio is None or index == 0 else f"  ({ratio:.3g}x)"
            line += [row.values[index], row.texts()[index] + relative]
    document = [
        {"property": row.name, "unit": row.unit, "values": list(row.values)} for row in rows
    ]
    table = Table("Devices compared", tuple(columns), tuple(map(tuple, cells)))
    names = [profile.id for profile in profiles]
    return Report({"devices": names, "comparison": document}, (table,))


def validation_report(problems: dict[Path, list[str]]) -> Report:
    """Which profiles are in order; the problems themselves are lines for stderr."""
    columns = (Column("file", "file", right=False), Column("problems", "problems"))
    rows = tuple((str(path), len(found)) for path, found in problems.items())
    document = [{"file": str(path), "problems": found} for path, found in problems.items()]
    bad = sum(bool(found) for found in problems.values())
    title = f"{count(len(problems), 'profile')}, {bad} with problems"
    return Report({"files": document}, (Table(title, columns, rows),))


def _bandwidth(value: float) -> str:
    return format_si(value, "B/s")


def _ridge(row: Peak, profile: DeviceProfile, level: str) -> float | None:
    """Operations per byte at which a memory level just keeps up with a peak."""
    bandwidth = profile.bandwidth(level)
    return None if row.si is None or bandwidth is None else row.si / bandwidth


def _cited(number: Any) -> str:
    source = number.source
    return " ".join(source) if isinstance(source, tuple) else source or ""
