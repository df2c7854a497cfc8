"""The comparison of operators as one offline HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from costmodel.reports.operators.comparison import OperatorComparison
from costmodel.reports.operators.crossovers import changes, changes_table
from costmodel.reports.operators.figure import operator_figure
from costmodel.reports.operators.map import operator_map
from costmodel.reports.operators.report import heading
from costmodel.reports.operators.variants import OPERATORS
from costmodel.reports.page import Section, html_page

SHADED = (
    "Shaded: an operator has fewer FLOPs than another and is not faster; its latency wears a ring. "
    "The darker, the more operators."
)
SOLVED = (
    "The table solves for the channels at which two operators take equally long, "
    "max(FLOPs / P, bytes / B) on either side; the last column is what the engine sees once "
    "launches, caches and the other laws are in."
)


def operator_page(comparisons: Sequence[OperatorComparison]) -> str:
    """The figures, what they say, and the crossovers, a section for each comparison."""
    sections = [*_maps(comparisons)]
    for comparison in comparisons:
        solved = list(changes(comparison))
        sections.append(
            Section(
                heading(comparison),
                f"{SHADED} {SOLVED}" if solved else SHADED,
                operator_figure(comparison),
                tables=(changes_table([(comparison, solved)]),) if solved else (),
                items=verdicts(comparison),
            )
        )
    notes = dict.fromkeys(note for comparison in comparisons for note in comparison.notes)
    names = {operator.name for c in comparisons for operator in c.variants}
    meanings = tuple(f"{name}: {OPERATORS[name]}" for name in OPERATORS if name in names)
    sections.append(Section("Operators and assumptions", items=(*meanings, *notes)))
    return html_page(
        "When are fewer FLOPs not faster?",
        "Convolutions compared over channels: predicted from shapes and device peaks, "
        "nothing was measured.",
        sections,
    )


def _maps(comparisons: Sequence[OperatorComparison]) -> Iterator[Section]:
    """A map for each device, batch and precision that has several sizes or kernels."""
    cases: dict[tuple[str, int, str], list[OperatorComparison]] = {}
    for c in comparisons:
        cases.setdefault((c.target.label, c.batch, c.precision), []).append(c)
    for (device, batch, precision), found in cases.items():
        if len(found) > 1:
            yield Section(
                f"Which operator is fastest: {device}, batch {batch}, {precision}",
                "A cross marks where some operator has fewer FLOPs than another and is not faster.",
                operator_map(found),
            )


def verdicts(comparison: OperatorComparison) -> tuple[str, ...]:
    """Sentences: which operator has fewer FLOPs and is not faster, from where to where."""
    found: dict[tuple[str, str], list[int]] = {}
    for point in comparison.points:
        for other in point.beaten_by:
            found.setdefault((point.operator, other), []).append(point.channels)
    return tuple(
        f"{operator} has fewer FLOPs than {other} and is not faster at "
        f"{_spans(channels, comparison.channels)} channels"
        for (operator, other), channels in found.items()
    ) or ("Here fewer FLOPs are always faster.",)


def _spans(found: Sequence[int], looked_at: Sequence[int]) -> str:
    spans: list[list[int]] = []
    for count in found:
        if spans and looked_at.index(count) == looked_at.index(spans[-1][-1]) + 1:
            spans[-1].append(count)
        else:
            spans.append([count])
    return ", ".join(f"{s[0]} to {s[-1]}" if len(s) > 1 else f"{s[0]}" for s in spans)
