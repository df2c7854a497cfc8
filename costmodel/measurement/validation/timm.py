"""timm's benchmark tables judged: what they were measured under, and each row's prediction."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from costmodel.measurement.tables.conditions import RunConditions
from costmodel.measurement.tables.timm import MeasuredModel, read_timm_table
from costmodel.measurement.validation.judging import Way, judge
from costmodel.measurement.validation.matching import (
    GraphSource,
    choose,
    labels,
    match_timm,
    run_form,
)
from costmodel.measurement.validation.networks import Case
from costmodel.measurement.validation.request import Request, Track
from costmodel.measurement.validation.validation import Validation
from costmodel.roofline.ceilings import Target
from costmodel.tracing.training_step import TrainingStep

SPELLINGS = {
    "float32": "fp32", "float16": "fp16", "half": "fp16", "bfloat16": "bf16",
    "compile": "dynamo", "compiled": "dynamo", "inductor": "dynamo",
}  # fmt: skip
"""Other words for the same in the names of tables."""


def conditions_of_name(name: str) -> RunConditions:
    """Conditions that the name of a timm table states; by default float32, NCHW and eager.

    >>> str(conditions_of_name("benchmark-infer-amp-nhwc-pt240-cu124-rtx4090-dynamo.csv"))
    'amp-fp16, nhwc, compiled'

    A training table is one of SGD with Nesterov's momentum, as timm's script runs by default. Up
    to release 1.13 of the framework (pt112) optimisers worked tensor by tensor, gradients were
    set to zero and added to, and there was no fused attention.

    Compiled runs on a CPU generated code without vector instructions, as the clock cycles say that
    are fitted to the table: 23 per normalised element and 16 per error function, where the same
    release's scalar code takes 28 and 29 on a core of Zen 4, and its vector code 2.
    """
    words = {SPELLINGS.get(word, word) for word in re.split(r"[-_.]", name.lower())}
    precision = next((p for p in ("fp32", "fp16", "bf16", "tf32") if p in words), "fp32")
    if "amp" in words:
        precision = "amp-bf16" if "bf16" in words else "amp-fp16"
    step = None
    if "train" in words:
        old = any(word.startswith("pt1") for word in words)
        step = TrainingStep(
            optimizer="sgd-nesterov",
            implementation="for-loop" if old else None,
            accumulate=old,
            fused_attention=not old,
        )
    layout = "nhwc" if "nhwc" in words or {"channels", "last"} <= words else "nchw"
    compiled = "dynamo" in words
    return RunConditions(precision, layout, compiled, step=step, scalar=compiled and "cpu" in words)


def validate_timm(
    path: Path, target: Target, request: Request, load: GraphSource, track: Track
) -> Validation:
    """Judge by a benchmark CSV; what is not asked for is as its name states."""
    stated = conditions_of_name(path.name)
    if stated.step is None and request.mode == "train":
        stated = replace(stated, step=TrainingStep(optimizer="sgd-nesterov"))
    conditions = replace(
        request.conditions(stated), step=stated.step if request.mode == "train" else None
    )
    rows = read_timm_table(path, request.mode)
    named = choose(
        list(zip(labels(rows), rows, strict=True)),
        lambda pair: pair[0],
        request.models,
        request.limit,
    )
    notes = []
    if None in (request.precision, request.layout, request.compiled):
        notes.append(f"run conditions that were not given are those of the file's name: {stated}")

    def case_of(pair: tuple[str, MeasuredModel], ran: RunConditions) -> Case:
        name, row = pair
        graph = match_timm(row, ran, target.profile.kind, load)
        return Case(name, run_form(graph, ran), row.batch, row.seconds)

    return judge(
        path, target, request, {Way(conditions): named}, lambda pair: pair[0], case_of, track,
        notes=notes,
    )  # fmt: skip
