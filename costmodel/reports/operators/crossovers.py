"""Where operators change places: solved on the plain roofline, and as the engine sees it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any, NamedTuple

from costmodel.crossovers import closed_form, crossover
from costmodel.formulas.algebra import Crossover
from costmodel.formulas.notation import text
from costmodel.reports.operators.comparison import OperatorComparison, Tie
from costmodel.reports.table import Column, Table
from costmodel.reports.text import show_time

LONGEST = 90
"""Characters of a closed form that a table still shows."""


class Change(NamedTuple):
    """Two operators and one number of channels at which they take equally long."""

    first: str
    second: str
    solved: Crossover | None
    """On the plain roofline; None where it has none."""
    formula: Any | None
    """The same as an expression of P, B and the sizes, where that is short."""
    ties: tuple[Tie, ...]
    """Ranges in which the engine, with all its laws, sees them change places."""

    @property
    def faster(self) -> tuple[str, str]:
        """The faster operator before and after."""
        if self.solved is not None:
            return self.solved.before, self.solved.after
        return self.ties[0].before, self.ties[0].after


def changes(comparison: OperatorComparison) -> Iterator[Change]:
    """All crossovers in channels of each pair of operators, solved or seen by the engine."""
    c = comparison
    sizes: dict[str, Any] = {"n": c.batch, "h": c.size, "w": c.size, "k": c.kernel}
    ties = list(c.ties())
    for one, other in combinations(c.variants, 2):
        seen = tuple(t for t in ties if {t.before, t.after} == {one.label, other.label})
        pair = (one.formula, other.formula)
        solved = crossover(*pair, c.target, "c", c.precision, **sizes)
        for found in solved:
            form = closed_form(*pair, c.target, found, c.precision, **sizes)
            yield Change(one.label, other.label, found, form, seen)
        if seen and not solved:
            yield Change(one.label, other.label, None, None, seen)


def changes_table(comparisons: list[tuple[OperatorComparison, list[Change]]]) -> Table:
    """The crossovers as a table."""
    several = len(comparisons) > 1
    columns = (
        Column("device", "device", right=False, csv_only=not several),
        Column("batch", "batch", csv_only=not several),
        Column("precision", "precision", right=False, csv_only=not several),
        Column("size", "size", csv_only=not several),
        Column("kernel", "kernel", csv_only=not several),
        Column("first", "operator", right=False),
        Column("second", "and", right=False),
        Column("channels", "equal at channels", lambda value: f"{value:.1f}"),
        Column("seconds", "time there", show_time),
        Column("bounds", "limited by", right=False),
        Column("formula", "channels solved for", right=False),
        Column("before", "faster below", right=False),
        Column("after", "faster above", right=False),
        Column("with_laws", "with all laws", right=False),
    )
    rows = tuple(
        (
            c.target.label,
            c.batch,
            c.precision,
            c.size,
            c.kernel,
            change.first,
            change.second,
            change.solved and change.solved.size,
            change.solved and change.solved.seconds,
            " and ".join(change.solved.bounds) if change.solved else "",
            formula_text(change),
            *change.faster,
            "; ".join(tie_text(tie) for tie in change.ties) or "none in the range looked at",
        )
        for c, found in comparisons
        for change in found
    )
    title = "Crossovers on the plain roofline: P is the peak in FLOP/s, B the bandwidth in B/s"
    return Table(title, columns, rows)


def formula_text(change: Change) -> str:
    """ "c = ...", or nothing where the closed form is long or there is none."""
    if change.formula is None:
        return ""
    shown = text(change.formula)
    return f"c = {shown}" if len(shown) <= LONGEST else ""


def tie_text(tie: Tie) -> str:
    """Between which channels the engine sees two operators change places."""
    return f"{tie.before} to {tie.after} between {tie.low} and {tie.high}"


def changes_document(found: list[Change]) -> list[dict[str, Any]]:
    """The crossovers as JSON."""
    return [
        {
            "operators": [change.first, change.second],
            "roofline": change.solved
            and {
                "channels": change.solved.size,
                "latency_s": change.solved.seconds,
                "bounds": list(change.solved.bounds),
                "faster_below": change.solved.before,
                "faster_above": change.solved.after,
                "formula": None if change.formula is None else text(change.formula),
            },
            "with_laws": [tie._asdict() for tie in change.ties],
        }
        for change in found
    ]
