"""Device profiles as reports: the catalogue, one device with its sources, several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from costmodel.hardware import DeviceProfile, compare
from costmodel.hardware.display import format_number, level_name, peak_name
from costmodel.hardware.dtypes import is_integer
from costmodel.reports.report import Report
from costmodel.reports.table import Column, Table
from costmodel.reports.text import count, show_bytes, show_flops_rate, show_intensity
from costmodel.units import format_si


def catalogue_report(profiles: Sequence[DeviceProfile]) -> Report:
    """One line per device: best dense peaks, memory, float32 ridge point."""
    columns = (
        Column("device", "device", right=False),
        Column("name", "name", right=False),
        Column("kind", "kind", right=False),
        Column("year", "year"),
        Column("float32_flops_per_s", "float32", show_flops_rate),
        Column("float16_flops_per_s", "float16", show_flops_rate),
        Column("dram_bandwidth_bytes_per_s", "dram", _bandwidth),
        Column("dram_capacity_bytes", "dram size", show_bytes),
        Column("float32_ridge_flop_per_byte", "float32 ridge", show_intensity),
        Column("aliases", "aliases", right=False, csv_only=True),
    )
    rows = tuple(
        (
            p.id,
            p.name,
            p.kind,
            p.year,
            p.peak("float32"),
            p.peak("float16"),
            p.bandwidth("dram"),
            p.capacity("dram"),
            p.ridge_point("float32"),
            " ".join(p.aliases),
        )
        for p in profiles
    )
    keys = [column.key for column in columns[:-1]]
    document = [
        {**dict(zip(keys, row, strict=False)), "aliases": list(p.aliases)}
        for p, row in zip(profiles, rows, strict=True)
    ]
    table = Table("Devices: dense peaks, `?` is not published", columns, rows)
    return Report({"devices": document}, (table,))


def device_report(profile: DeviceProfile) -> Report:
    """Everything a profile says, with the source of each number."""
    peaks = Table(
        f"{profile.name} ({profile.id})",
        (
            Column("peak", "dense peak", right=False),
            Column("ops_per_s", "rate", right=True, csv_only=True),
            Column("", "rate"),
            Column("ridge_ops_per_byte", "ridge point at dram"),
            Column("source", "source", right=False),
            Column("kind", "origin", right=False),
        ),
        tuple(
            (peak_name(row), row.si, row.value, _ridge(row, profile), _cited(row), row.kind)
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
    return Report({"device": document}, (peaks, memory, other, sources), notes)


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


def _ridge(row: Any, profile: DeviceProfile) -> str | None:
    bandwidth = profile.bandwidth("dram")
    if row.si is None or bandwidth is None:
        return None
    return f"{row.si / bandwidth:.3g} {'OP' if is_integer(row.dtype) else 'FLOP'}/B"


def _cited(number: Any) -> str:
    source = number.source
    return " ".join(source) if isinstance(source, tuple) else source or ""
