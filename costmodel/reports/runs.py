"""Several runs of one model side by side: what tells them apart, and what they spend time on."""

from __future__ import annotations

from collections.abc import Sequence

from costmodel.errors import UsageError
from costmodel.estimation import Estimate

MOST_RUNS = 8
"""Runs that one page can show without becoming hard to read."""


def check_runs(count: int) -> None:
    """Whether so many runs go on one page.

    Raises:
        UsageError: if they do not.
    """
    if count > MOST_RUNS:
        raise UsageError(
            f"{count} runs (devices x batches x precisions) on one page: expected at most "
            f"{MOST_RUNS}; as a table or CSV, `costmodel compare` shows any number"
        )


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
