"""The table of all devices in the documentation.

python -m costmodel.reports.device_catalogue            prints it
python -m costmodel.reports.device_catalogue --write    writes docs/devices.md of a checkout
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from costmodel.hardware import DeviceProfile, catalogue_folder
from costmodel.hardware.catalogue import list_devices
from costmodel.hardware.verification import count_levels
from costmodel.reports.devices import catalogue_report

KINDS = {
    "gpu": "Graphics processors",
    "cpu": "Processors",
    "tpu": "Tensor processing units",
    "npu": "Neural accelerators",
    "mcu": "Microcontrollers",
}
COLUMNS = ("device", "name", "vendor", "year", "units", "float32", "float16", "int8")
MEMORY_COLUMNS = ("dram", "dram-size", "ridge", "power")


def catalogue_page(profiles: Iterable[DeviceProfile]) -> str:
    """The page as Markdown: a table per kind of device, newest first."""
    profiles = list(profiles)
    counts = count_levels(profiles)
    parts = [
        "# Devices",
        "",
        "<!-- written by python -m costmodel.reports.device_catalogue --write -->",
        "",
        f"{len(profiles)} profiles with {counts.total():,} numbers: {counts['vendor']} checked "
        f"against the vendor's text,",
        f"{counts['secondary']} against a secondary source, {counts['unverified']} not checked. "
        "`costmodel devices show DEVICE` gives the source of",
        "each. Peaks are dense and the best of a device's engines; `?` is not published. The ridge",
        "point is the operations per byte above which float32 work is limited by arithmetic.",
        "",
    ]
    for kind, title in KINDS.items():
        found = sorted((p for p in profiles if p.kind == kind), key=lambda p: (-p.year, p.id))
        if found:
            parts += [f"## {title}", "", _table(found)]
    return "\n".join(parts)


def _table(profiles: Sequence[DeviceProfile]) -> str:
    (table,) = catalogue_report(profiles, (*COLUMNS, *MEMORY_COLUMNS)).tables
    return table.to_markdown().partition("\n\n")[2]


if __name__ == "__main__":
    page = catalogue_page(list_devices())
    if "--write" in sys.argv[1:]:
        docs = catalogue_folder().parent / "docs"
        (docs / "devices.md").write_text(page, encoding="utf-8")
    else:
        sys.stdout.write(page)
