"""The table of transformer steps judged: models by their configurations, inference or training."""

from __future__ import annotations

from pathlib import Path

from costmodel.hardware.catalogue import is_called
from costmodel.measurement.tables.conditions import RunConditions
from costmodel.measurement.tables.transformers import TransformerRun, read_transformers
from costmodel.measurement.validation.judging import Way, judge, refuse_device
from costmodel.measurement.validation.matching import GraphSource, Skipped, choose, run_form
from costmodel.measurement.validation.networks import Case
from costmodel.measurement.validation.request import Request, Track
from costmodel.measurement.validation.validation import Validation
from costmodel.roofline.ceilings import Target
from costmodel.tracing.training_step import TrainingStep

ATTENTION = "attention=eager"
"""The library of 2023, with which such tables were made, had no fused attention."""


def validate_transformers(
    path: Path, target: Target, request: Request, load: GraphSource, track: Track
) -> Validation:
    """Judge by the rows of a device and mode."""
    table = read_transformers(path)
    runs = [run for run in table if is_called(target.profile, run.device)]
    training = request.mode == "train"
    judged = [run for run in runs if run.training == training]
    if not judged:
        refuse_device(path, target, [run.device for run in table], bool(runs), request)
    if request.compiled is not None:
        judged = [run for run in judged if run.compiled == request.compiled]
    judged = choose(judged, lambda run: run.label, request.models, request.limit)
    other = "inference" if training else "a training step (forward and backward): --mode train"
    skipped = [Skipped(run.label, other) for run in runs if run.training != training]
    step = TrainingStep(optimizer=None) if training else None
    groups: dict[Way, list[TransformerRun]] = {}
    for run in judged:
        conditions = request.conditions(RunConditions(compiled=run.compiled, step=step))
        groups.setdefault(Way(conditions), []).append(run)

    def case_of(run: TransformerRun, conditions: RunConditions) -> Case:
        source = f"hf:{path.parent / 'configs' / run.model}.json?{ATTENTION}"
        options = conditions.trace_options(target.profile.kind)
        graph = load(source, run.batch, (run.sequence,), **options)
        return Case(run.label, run_form(graph, conditions), run.batch, run.latency)

    return judge(path, target, request, groups, lambda run: run.label, case_of, track, skipped)
