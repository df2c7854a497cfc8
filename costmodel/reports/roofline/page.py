"""The offline page of roofline charts, with what does not fit on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from costmodel.estimation import Estimate
from costmodel.reports.model.prediction import notes_of
from costmodel.reports.page import Card, Section, html_page
from costmodel.reports.roofline.figure import roofline_document, shared_ranges
from costmodel.reports.roofline.view import RooflineView, roofline_view
from costmodel.reports.table import Column, Table
from costmodel.reports.text import (
    count,
    percent,
    show_bytes,
    show_flops_rate,
    show_intensity,
    show_rate,
    show_time,
)


def roofline_page(estimates: Sequence[Estimate]) -> str:
    """The chart and what does not fit on it, as one offline HTML page."""
    views = [roofline_view(estimate) for estimate in estimates]
    models = ", ".join(dict.fromkeys(estimate.graph.name for estimate in estimates))
    sections = [
        Section(
            "Roofline",
            "A dot is an operator (equal ones share it), its area the share of the time. Near a "
            "diagonal, moving data limits it; near a roof, arithmetic does. The thick diagonal is "
            "main memory; what lies above it is helped by a cache, what lies far below loses time "
            "to launching, padding or narrow shapes.",
            figures=roofline_pictures(estimates),
        )
    ]
    left_out = [view for view in views if view.left_out]
    if left_out:
        sections.append(
            Section(
                "Without arithmetic",
                "These operators only move data: their intensity is 0 FLOP/byte, which "
                "logarithmic axes cannot show.",
                tables=tuple(left_out_table(view) for view in left_out),
            )
        )
    notes = notes_of(estimates)
    if notes:
        sections.append(Section("Notes", items=notes))
    sections.append(Section("Where the ceilings come from", items=_sources(views)))
    return html_page(
        f"Roofline of {models}",
        "Predicted from operator shapes and device peaks; nothing was measured.",
        sections,
        [_card(estimate) for estimate in estimates],
    )


def roofline_pictures(estimates: Sequence[Estimate]) -> tuple[tuple[Any, str], ...]:
    """A chart per estimate, all on the same axes, each with what it shows in words."""
    views = [roofline_view(estimate) for estimate in estimates]
    ranges = shared_ranges(views)
    return tuple(
        (roofline_document([estimate], ranges=ranges), _in_words(view))
        for estimate, view in zip(estimates, views, strict=True)
    )


def _in_words(view: RooflineView) -> str:
    e = view.estimate
    largest = ", ".join(
        f"{dot.names[0]} ({dot.kind}) at {show_intensity(dot.intensity)} reaching "
        f"{show_flops_rate(dot.achieved)}"
        for dot in view.drawn[:3]
    )
    return (
        f"Roofline chart of {e.graph.name} on {e.device}: {count(len(view.drawn), 'dot')}; "
        f"those with the largest share of the time are {largest or 'none'}."
    )


def _card(estimate: Estimate) -> Card:
    share = estimate.time_by_bound[estimate.bound] / estimate.latency
    return Card(
        f"{estimate.graph.name} on {estimate.device}, batch {estimate.batch}, "
        f"{estimate.precision.name}",
        show_time(estimate.latency),
        f"{show_rate(estimate.throughput)} samples/s; {percent(share)} {estimate.bound} bound; "
        f"{show_flops_rate(estimate.achieved_flops)}",
    )


def left_out_table(view: RooflineView) -> Table:
    columns = (
        Column("operator", "operator", right=False),
        Column("op", "op", right=False),
        Column("count", "count"),
        Column("bytes", "bytes moved, each", show_bytes),
        Column("time_s", "time, each", show_time),
        Column("time_share", "share together", percent),
    )
    rows = tuple(
        (dot.names[0], dot.op, len(dot.names), dot.bytes, dot.time, dot.share)
        for dot in view.left_out
    )
    e = view.estimate
    total = percent(sum(dot.share for dot in view.left_out))
    title = f"{e.graph.name} on {e.device}, batch {e.batch}, {e.precision.name}: "
    what = count(sum(len(dot.names) for dot in view.left_out), "operator")
    return Table(f"{title}{what}, {total} of the time", columns, rows)


def _sources(views: Sequence[RooflineView]) -> tuple[str, ...]:
    lines: dict[str, None] = {}
    for view in views:
        profile = view.estimate.target.profile
        for source in profile.sources.values():
            text = f"{profile.name}: {source.publisher}, {source.title}, {source.section}"
            lines[f"{text} ({source.date})"] = None
    return tuple(lines)
