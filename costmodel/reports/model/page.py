"""`costmodel report`: everything about one model on a few devices, as one offline HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from costmodel.changes import Considered
from costmodel.estimation import Estimate
from costmodel.reports.devices import device_report
from costmodel.reports.model.cards import (
    assumption_table,
    limits,
    memory_parts,
    model_cards,
    run_cards,
)
from costmodel.reports.model.change_table import change_table
from costmodel.reports.model.cost_figure import cost_figure
from costmodel.reports.model.kind_table import kind_table
from costmodel.reports.model.memory_figure import memory_figure
from costmodel.reports.model.module_figure import module_figure
from costmodel.reports.model.module_times import module_times
from costmodel.reports.model.prediction import notes_of, prediction_report, uncovered_table
from costmodel.reports.model.share_figures import bound_figure, kind_figure
from costmodel.reports.page import Card, Pictures, render
from costmodel.reports.roofline.page import left_out_table, roofline_pictures
from costmodel.reports.roofline.view import roofline_view
from costmodel.reports.runs import check_runs, run_labels, size_label
from costmodel.reports.table import Table
from costmodel.reports.text import (
    percent,
    show_bytes,
    show_flops,
    show_macs,
    show_params,
    show_rate,
    show_time,
)

OPEN_DEPTH = 2
"""Rows of the module tree down to here are open at first."""


@dataclass(frozen=True)
class Run:
    """One estimate with what the page says of it."""

    label: str
    estimate: Estimate
    cards: tuple[Card, ...]
    limits: str
    """What limits it, in a sentence."""
    considered: Considered

    @property
    def best(self) -> list[Card]:
        """The three most helpful changes."""
        return [
            Card(
                change.title,
                f"{change.speedup:.3g}x",
                f"{show_rate(change.after.throughput)} /s in batches of {change.after.batch}, "
                f"{show_time(change.after.latency)} each. Needs: {change.takes}.",
            )
            for change in self.considered.best()
        ]

    @property
    def all_changes(self) -> Table:
        """All changes that were tried."""
        return change_table(self.considered.changes, "All changes that were tried")


def model_report(
    estimates: Sequence[Estimate],
    considered: Sequence[Considered],
    source: str,
    command: str,
    *,
    cdn: bool = False,
) -> str:
    """The page.

    Args:
        estimates: runs of one graph.
        considered: changes to each of them.
        source: of the model, as given on the command line.
        command: that makes this page again.
        cdn: whether plotly.js comes from its makers' host rather than in the page.

    Raises:
        UsageError: for more runs than a page can show.
    """
    check_runs(len(estimates))
    first, labels, pictures = estimates[0], run_labels(estimates), Pictures()
    tree, views = module_times(estimates), [roofline_view(e) for e in estimates]
    runs = [
        Run(label, e, run_cards(view), limits(e), found)
        for label, e, view, found in zip(labels, estimates, views, considered, strict=True)
    ]
    profiles = {e.target.profile.id: e.target.profile for e in estimates}
    return render(
        "report.html",
        pictures,
        ["tree.js"],
        cdn=cdn,
        title=f"{first.graph.name} on {', '.join(dict.fromkeys(e.device for e in estimates))}",
        lead=f"{_sizes(estimates)}. Predicted from operator shapes and device peaks; nothing was "
        "measured.",
        command=command,
        runs=runs,
        model_cards=model_cards(first),
        side_by_side=prediction_report(estimates).tables[0] if len(runs) > 1 else None,
        bounds=pictures.add(bound_figure(estimates), f"Share of the time by bound. {_all(runs)}"),
        rooflines=[pictures.add(*picture) for picture in roofline_pictures(estimates)],
        left_out=[left_out_table(view) for view in views if view.left_out],
        treemaps=[
            pictures.add(module_figure(tree, run), f"Time by module on {label}; the table below "
                         "has the same numbers.")
            for run, label in enumerate(labels)
        ],
        tree=list(tree.walk()),
        tree_size=size_label(first),
        open_depth=OPEN_DEPTH,
        latencies=[estimate.latency for estimate in estimates],
        kinds=pictures.add(
            kind_figure(estimates), "Shares of FLOPs, bytes and time by kind of operator, which "
            "the table below has as numbers."
        ),
        kind_table=kind_table(estimates),
        costs=pictures.add(
            cost_figure(first), f"FLOPs against bytes of each operator, {size_label(first)}: "
            f"{show_flops(first.total.flops)} and {show_bytes(first.total.bytes)} in all."
        ),
        memory=pictures.add(memory_figure(estimates), _memory_in_words(first)),
        memory_text=_memory_in_words(first),
        assumptions=assumption_table(first, source),
        notes=notes_of(estimates),
        uncovered=[uncovered_table(estimate) for estimate in estimates if estimate.uncovered],
        sources=[(profile, list(profile.sources.values())) for profile in profiles.values()],
        numbers=[(p, device_report(p).tables) for p in profiles.values()],
        show=SHOW,
    )  # fmt: skip


SHOW = {
    "params": show_params, "macs": show_macs, "bytes": show_bytes, "time": show_time,
    "percent": percent, "verified": lambda source: _VERIFIED[source.verified],
}  # fmt: skip
"""How the template writes numbers."""

_VERIFIED: dict[str, str] = {
    "vendor": "compared with the maker's own text",
    "secondary": "compared with a text by others",
    "unverified": "not compared with any text",
}


def _sizes(estimates: Sequence[Estimate]) -> str:
    batches = ", ".join(str(b) for b in dict.fromkeys(e.batch for e in estimates))
    precisions = ", ".join(dict.fromkeys(e.precision.name for e in estimates))
    return f"Batch {batches}, {precisions}"


def _all(runs: Sequence[Run]) -> str:
    return " ".join(f"{run.label}: {run.limits}" for run in runs)


def _memory_in_words(estimate: Estimate) -> str:
    graph, operator = estimate.graph, estimate.memory.operator
    where = f" is reached at {graph.op_names[operator]}" if operator >= 0 else ""
    return (
        f"{size_label(estimate)}: the peak of {show_bytes(estimate.peak_memory)}{where}: "
        f"{memory_parts(estimate)}. What a framework takes beside tensors is not counted."
    )
