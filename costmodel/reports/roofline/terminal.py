"""The roofline chart in a terminal: the same dots, drawn with characters."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from math import ceil, floor, log10
from typing import Any

from costmodel.estimation import Estimate
from costmodel.reports import theme
from costmodel.reports.model.prediction import notes_of
from costmodel.reports.report import Report
from costmodel.reports.roofline.roofs import Diagonal, Roof
from costmodel.reports.roofline.view import RooflineView, roofline_view
from costmodel.reports.table import Column, Table
from costmodel.reports.text import (
    percent,
    show_bytes,
    show_flops_rate,
    show_intensity,
    show_time,
)
from costmodel.units import format_si

HEIGHT = 26
"""Lines of the chart, axes and title included."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def roofline_report(estimates: Sequence[Estimate], top: int = 12) -> Report:
    """The dots as tables, lettered as in `roofline_chart`, and the ceilings they lie under."""
    views = [roofline_view(estimate) for estimate in estimates]
    tables = [table for view in views for table in (_dots(view, top), _ceilings(view))]
    return Report(
        {"rooflines": [_document(view) for view in views]}, tuple(tables), notes_of(estimates)
    )


def roofline_chart(estimate: Estimate, colour: bool, width: int | None = None) -> str:
    """A chart of plain characters, as wide as the terminal unless a width is given.

    The operators with the largest share of the time are letters, keyed in `roofline_report`.
    """
    import plotext

    view = roofline_view(estimate)
    x_range, y_range = view.x_range(), view.y_range()
    figure = new_figure(width)
    draw_ceilings(figure, view.roofs, view.diagonals, x_range, y_range)
    for letter, dot in reversed(list(zip(LETTERS, view.drawn, strict=False))):
        marker = plotext.marker(letter, _rgb(theme.mark_of(dot.kind).colour))
        x, y = log10(dot.intensity), log10(dot.achieved)
        figure.draw(figure.signal([x], [y], marker=marker))
    draw_axes(figure, x_range, y_range)
    figure.title(
        f"{estimate.graph.name} on {estimate.device}, batch {estimate.batch}, "
        f"{estimate.precision.name}: {show_time(estimate.latency)}"
    )
    figure.label("FLOP/byte", "x")
    figure.label("FLOP/s", "y")
    return text_of(figure, colour)


def new_figure(width: int | None) -> Any:
    """plotext's figure, emptied and sized."""
    import plotext

    figure = plotext.figure
    figure.clear()
    figure.plot_size(width or min(shutil.get_terminal_size((100, 24)).columns, 140), HEIGHT)
    figure.theme("colorless")  # the terminal's own colours; only the dots bring theirs
    return figure


def draw_ceilings(
    figure: Any,
    roofs: Sequence[Roof],
    diagonals: Sequence[Diagonal],
    x_range: tuple[float, float],
    y_range: tuple[float, float],
) -> None:
    """Draw peaks and bandwidths; `roofs` ends with the highest."""
    import plotext

    (x_low, x_high), (y_low, y_high) = x_range, y_range
    top = roofs[-1].peak
    for diagonal in diagonals:
        ends = [max(x_low, y_low / diagonal.bandwidth), top / diagonal.bandwidth]
        heights = [log10(x * diagonal.bandwidth) for x in ends]
        marker = plotext.marker("hd" if diagonal.main else "dot", "gray")
        line = figure.signal([log10(x) for x in ends], heights, marker=marker)
        line.lines()
        figure.draw(line)
    fastest = max(diagonal.bandwidth for diagonal in diagonals)
    for roof in roofs:
        heights = [log10(roof.peak)] * 2
        ends = [log10(roof.peak / fastest), log10(x_high)]
        line = figure.signal(ends, heights, marker=plotext.marker("hd", "gray"))
        line.lines()
        figure.draw(line)
    for roof in roofs:  # after all lines, which would cross them out
        label = f"{roof.label} {show_flops_rate(roof.peak)}"
        above = log10(roof.peak) + 2.4 * log10(y_high / y_low) / HEIGHT
        figure.draw(figure.text(log10(x_high), above, label, alignment="right"))


def draw_axes(figure: Any, x_range: tuple[float, float], y_range: tuple[float, float]) -> None:
    """Draw logarithmic axes with a tick at each power of ten."""
    for axis, (low, high) in (("x", x_range), ("y", y_range)):
        ruler = figure.ruler(axis)
        decades = list(range(ceil(log10(low)), floor(log10(high)) + 1))
        ruler.lim(log10(low), log10(high))
        ruler.ticks(decades, [_tick(10.0**decade) for decade in decades])


def text_of(figure: Any, colour: bool) -> str:
    """The drawing as lines of text; the figure is empty afterwards."""
    text: str = figure.build().string(colorless=not colour)
    figure.clear()
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _tick(value: float) -> str:
    return f"{value:g}" if value < 1 else format_si(value, "").replace(" ", "")


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _heading(view: RooflineView) -> str:
    e = view.estimate
    return f"{e.graph.name} on {e.device}, batch {e.batch}, {e.precision.name}"


def _ceilings(view: RooflineView) -> Table:
    columns = (
        Column("ceiling", "ceiling", right=False),
        Column("rate", "rate"),
        Column("ridge", "ridge point at main memory"),
    )
    roofs = [
        (roof.label, show_flops_rate(roof.peak), show_intensity(roof.peak / view.main.bandwidth))
        for roof in view.roofs
    ]
    levels = [
        (d.level + (" (main memory)" if d.main else ""), format_si(d.bandwidth, "B/s"), "")
        for d in view.diagonals
    ]
    return Table(f"Ceilings: {_heading(view)}", columns, (*roofs, *levels))


def _dots(view: RooflineView, limit: int) -> Table:
    columns = (
        Column("mark", "", right=False),
        Column("operator", "operator", right=False),
        Column("count", "count"),
        Column("kind", "kind", right=False),
        Column("intensity_flop_per_byte", "FLOP/byte", lambda value: f"{value:.3g}"),
        Column("achieved_flops_per_s", "achieved", show_flops_rate),
        Column("roof_share", "of roof", percent),
        Column("bytes", "bytes, each", show_bytes, csv_only=True),
        Column("time_s", "time, each", show_time),
        Column("time_share", "share", percent),
        Column("bound", "bound by", right=False),
    )
    letters = {dot.names: letter for letter, dot in zip(LETTERS, view.drawn, strict=False)}
    ranked = sorted(view.dots, key=lambda dot: -dot.share)[:limit]
    rows = tuple(
        (
            letters.get(dot.names, ""),
            dot.names[0],
            len(dot.names),
            dot.kind,
            dot.flops / dot.bytes if dot.bytes else None,
            dot.achieved,
            dot.achieved / dot.roof.peak,
            dot.bytes,
            dot.time,
            dot.share,
            dot.bound,
        )
        for dot in ranked
    )
    shown = percent(sum(dot.share for dot in ranked))
    return Table(f"Operators with {shown} of the time: {_heading(view)}", columns, rows)


def _document(view: RooflineView) -> dict[str, object]:
    e = view.estimate
    return {
        "model": e.graph.name,
        "device": e.device,
        "batch": e.batch,
        "precision": e.precision.name,
        "latency_s": e.latency,
        "roofs": [{"name": r.label, "flop_per_s": r.peak} for r in view.roofs],
        "memory_levels": [
            {"name": d.level, "bytes_per_s": d.bandwidth, "main": d.main} for d in view.diagonals
        ],
        "operators": [
            {
                "names": list(dot.names),
                "op": dot.op,
                "kind": dot.kind,
                "macs": dot.macs,
                "flops": dot.flops,
                "bytes": dot.bytes,
                "intensity_flop_per_byte": dot.flops / dot.bytes if dot.bytes else 0.0,
                "achieved_flop_per_s": dot.achieved,
                "time_s": dot.time,
                "time_share": dot.share,
                "bound": dot.bound,
                "roof": dot.roof.label,
            }
            for dot in view.dots
        ],
    }
