"""Several runs of one model side by side: what tells them apart, and what they spend time on."""

from __future__ import annotations

from collections.abc import Sequence

from costmodel.estimation import Estimate


def run_labels(estimates: Sequence[Estimate]) -> tuple[str, ...]:
    """A label per run: its device, and whatever else differs between the runs."""
    batches = {estimate.batch for estimate in estimates}
    precisions = {estimate.precision.name for estimate in estimates}
    return tuple(
        ", ".join(
            [e.device]
            + ([f"batch {e.batch}"] if len(batches) > 1 else [])
            + ([e.precision.name] if len(precisions) > 1 else [])
        )
        for e in estimates
    )


def distinct_sizes(estimates: Sequence[Estimate]) -> list[Estimate]:
    """One run for each batch size and precision, which decide what is computed and moved."""
    found: dict[tuple[int, str], Estimate] = {}
    for estimate in estimates:
        found.setdefault((estimate.batch, estimate.precision.name), estimate)
    return list(found.values())


def size_label(estimate: Estimate) -> str:
    """What decides how much is computed and moved: "batch 64, fp16"."""
    return f"batch {estimate.batch}, {estimate.precision.name}"
