"""This project's own records judged: models and operators, grouped by how they were run."""

from __future__ import annotations

from pathlib import Path

from costmodel.errors import UsageError
from costmodel.measurement.measuring.operator_sources import is_operator, operator_graph
from costmodel.measurement.tables.conditions import RunConditions
from costmodel.measurement.tables.records import Record, read_records
from costmodel.measurement.validation.judging import Way, judge
from costmodel.measurement.validation.matching import GraphSource, choose, run_form
from costmodel.measurement.validation.networks import Case
from costmodel.measurement.validation.request import Request, Track
from costmodel.measurement.validation.validation import Validation
from costmodel.roofline.ceilings import Target


def validate_records(
    path: Path, target: Target, request: Request, load: GraphSource, track: Track
) -> Validation:
    """Judge by JSON lines, those of this kind of device."""
    found = [
        record
        for record in read_records(path)
        if request.precision in (None, record.precision)
        and request.layout in (None, record.layout)
        and request.compiled in (None, record.execution == "compiled")
        and (target.threads is None or record.threads in (None, target.threads))
        and (record.device == "cpu") == (target.profile.kind == "cpu")
    ]
    if not found:
        raise UsageError(f"{path}: no measurement of this kind of device under these conditions")
    found = choose(found, lambda record: record.source, request.models, request.limit)
    groups: dict[Way, list[Record]] = {}
    for record in found:
        groups.setdefault(Way(record.conditions, record.threads), []).append(record)

    def case_of(record: Record, conditions: RunConditions) -> Case:
        options = conditions.trace_options(target.profile.kind)
        if is_operator(record.source):
            graph = operator_graph(record.source, **options)
        else:
            graph = load(record.source, record.batch, record.input_shape, **options)
        if record.parameters not in (None, graph.parameters):
            raise UsageError(
                f"has {graph.parameters:,} parameters here and {record.parameters:,} "
                "where it was measured: another version of the model"
            )
        return Case(_name(record), run_form(graph, conditions), graph.batch, record.seconds)

    return judge(path, target, request, groups, _name, case_of, track)


def _name(record: Record) -> str:
    return f"{record.source} batch {record.batch}"
