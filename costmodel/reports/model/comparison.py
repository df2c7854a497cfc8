"""Models against each other on several devices: what they take, absolutely and relatively."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from costmodel.errors import UsageError
from costmodel.estimation import Estimate
from costmodel.published.accuracy import Accuracy, published_accuracy
from costmodel.reports.model.prediction import notes_of
from costmodel.reports.report import Report
from costmodel.reports.runs import run_labels
from costmodel.reports.table import Column, Table
from costmodel.reports.text import (
    exact,
    percent,
    show_bytes,
    show_macs,
    show_params,
    show_rate,
    show_time,
)


@dataclass(frozen=True)
class Compared:
    """One model in all cases; a case is a device at a batch size and a precision."""

    source: str
    name: str
    estimates: tuple[Estimate, ...]
    accuracy: Accuracy | None


@dataclass(frozen=True)
class Comparison:
    """Several models in the same cases."""

    models: tuple[Compared, ...]
    baseline: Compared
    """The model that the others are related to."""

    @property
    def cases(self) -> tuple[str, ...]:
        """A label per case."""
        first = self.models[0].estimates
        labels = run_labels(first)
        sizes = {(e.batch, e.precision.name) for e in first}
        if len(sizes) > 1:
            return labels
        (batch, precision) = next(iter(sizes))
        return tuple(f"{label}, batch {batch}, {precision}" for label in labels)


def compared_models(
    sources: Sequence[str], estimates: Sequence[Sequence[Estimate]], baseline: str | None = None
) -> Comparison:
    """Put the estimates of several models side by side.

    Args:
        sources: of the models, as given on the command line.
        estimates: of each model; cases that not all have are left out.
        baseline: source of the model to relate to, by default the first.

    Raises:
        UsageError: if the baseline is none of the models, or they have no case in common.
    """
    estimates = _in_common(estimates)
    names = [found[0].graph.name for found in estimates]
    shown = names if len(set(names)) == len(names) else list(sources)
    models = tuple(
        Compared(source, name, tuple(found), _accuracy(source, found[0]))
        for source, name, found in zip(sources, shown, estimates, strict=True)
    )
    reference = next((m for m in models if baseline in (None, m.source, m.name)), None)
    if reference is None:
        raise UsageError(f"--baseline {baseline!r}: expected one of {', '.join(sources)}")
    return Comparison(models, reference)


def _in_common(estimates: Sequence[Sequence[Estimate]]) -> list[list[Estimate]]:
    """The estimates of each model in the cases that all models have, in the same order."""
    by_case = [{(e.device, e.batch, e.precision.name): e for e in found} for found in estimates]
    common = [case for case in by_case[0] if all(case in found for found in by_case)]
    if not common:
        raise UsageError("no device can compute all of the models")
    return [[found[case] for case in common] for found in by_case]


def _accuracy(source: str, estimate: Estimate) -> Accuracy | None:
    graph = estimate.graph
    shape = graph.tensors[graph.inputs[0]].shape if graph.inputs else ()
    return published_accuracy(source, shape[1:])


def comparison_report(comparison: Comparison) -> Report:
    """A table per case; the document has everything in SI units."""
    tables = [case_table(comparison, case) for case in range(len(comparison.cases))]
    sources = tuple(f"top-1: {line}" for line in accuracy_sources(comparison))
    return Report({"models": _documents(comparison)}, tuple(tables), (*sources, *notes(comparison)))


def records_report(comparison: Comparison) -> Report:
    """One line per model and case, for CSV."""
    return Report({}, (_records(comparison),))


def case_table(comparison: Comparison, case: int) -> Table:
    """One case: a line per model, with what it takes relative to the baseline."""
    name = comparison.baseline.name
    columns = (
        Column("model", "model", right=False),
        Column("top1_percent", "top-1", _top1),
        Column("latency_s", "latency", show_time),
        Column("", "90 % interval"),
        Column("latency_vs", f"vs {name}", _times),
        Column("throughput_per_s", "samples/s", show_rate),
        Column("throughput_vs", "vs", _times),
        Column("peak_memory_bytes", "peak memory", show_bytes),
        Column("memory_vs", "vs", _times),
        Column("macs", "MACs", show_macs),
        Column("macs_vs", "vs", _times),
        Column("params", "params", show_params),
        Column("bound", "bound by", right=False),
    )
    rows = tuple(_row(model, comparison, case) for model in comparison.models)
    return Table(comparison.cases[case], columns, rows)


def _row(model: Compared, comparison: Comparison, case: int) -> tuple[Any, ...]:
    one, base = model.estimates[case], comparison.baseline.estimates[case]
    interval = one.interval
    return (
        model.name,
        model.accuracy and model.accuracy.percent,
        one.latency,
        interval and f"{show_time(interval.low, 2)} - {show_time(interval.high, 2)}",
        one.latency / base.latency,
        one.throughput,
        one.throughput / base.throughput,
        exact(one.peak_memory),
        one.peak_memory / base.peak_memory,
        exact(one.total.macs),
        one.total.macs / base.total.macs if base.total.macs else None,
        one.graph.parameters,
        f"{one.bound} ({percent(one.time_by_bound[one.bound] / one.latency)})",
    )


def _records(comparison: Comparison) -> Table:
    keys = (
        "model", "source", "device", "batch", "precision", "latency_s", "interval_low_s",
        "interval_high_s", "latency_vs_baseline", "throughput_per_s", "throughput_vs_baseline",
        "peak_memory_bytes", "memory_vs_baseline", "macs", "params", "bound", "top1_percent",
    )  # fmt: skip
    rows = tuple(tuple(line[key] for key in keys) for line in _documents(comparison))
    return Table("", tuple(Column(key, key) for key in keys), rows)


def _documents(comparison: Comparison) -> list[dict[str, Any]]:
    found = []
    for model in comparison.models:
        for one, base in zip(model.estimates, comparison.baseline.estimates, strict=True):
            interval, accuracy = one.interval, model.accuracy
            found.append(
                {
                    "model": model.name,
                    "source": model.source,
                    "device": one.device,
                    "batch": one.batch,
                    "precision": one.precision.name,
                    "latency_s": one.latency,
                    "interval_low_s": interval and interval.low,
                    "interval_high_s": interval and interval.high,
                    "throughput_per_s": one.throughput,
                    "peak_memory_bytes": exact(one.peak_memory),
                    "macs": exact(one.total.macs),
                    "params": one.graph.parameters,
                    "bound": one.bound,
                    "baseline": comparison.baseline.name,
                    "latency_vs_baseline": one.latency / base.latency,
                    "throughput_vs_baseline": one.throughput / base.throughput,
                    "memory_vs_baseline": one.peak_memory / base.peak_memory,
                    "top1_percent": accuracy and accuracy.percent,
                    "top1_source": accuracy and accuracy.document,
                }
            )
    return found


def accuracy_sources(comparison: Comparison) -> list[str]:
    """Where the accuracies were printed, and which models have none."""
    printed: dict[str, list[str]] = {}
    for model in comparison.models:
        if model.accuracy is not None:
            printed.setdefault(model.accuracy.document, []).append(
                f"{model.name} as {model.accuracy.row}"
            )
    lines = [f"{', '.join(names)}: {document}" for document, names in printed.items()]
    unknown = [model.name for model in comparison.models if model.accuracy is None]
    if unknown:
        lines.append(f"no published table here has {', '.join(unknown)}")
    return lines


def notes(comparison: Comparison) -> tuple[str, ...]:
    """What was assumed of the estimates."""
    return notes_of([one for model in comparison.models for one in model.estimates])


def _times(ratio: float) -> str:
    return f"{ratio:.3g}x"


def _top1(value: float) -> str:
    return f"{value:g} %"
