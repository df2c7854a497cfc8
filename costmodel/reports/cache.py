"""The trace cache as a report."""

from __future__ import annotations

from costmodel.reports.report import Report
from costmodel.reports.table import Column, Table
from costmodel.reports.text import show_bytes
from costmodel.tracing.cache import CacheInfo


def cache_report(info: CacheInfo) -> Report:
    """Folder, number of entries and size."""
    columns = (
        Column("folder", "folder", right=False),
        Column("entries", "traced models", lambda number: f"{number:,}"),
        Column("bytes", "size", show_bytes),
    )
    row = (str(info.folder), info.entries, info.bytes)
    document = {"folder": row[0], "entries": info.entries, "bytes": info.bytes}
    return Report(document, (Table("Trace cache", columns, (row,)),))
