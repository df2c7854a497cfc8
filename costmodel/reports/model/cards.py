"""What a report says of a model and of each run in words and single numbers."""

from __future__ import annotations

from costmodel.estimation import Estimate
from costmodel.graph import Graph
from costmodel.reports.page import Card
from costmodel.reports.roofline.view import RooflineView
from costmodel.reports.runs import size_label
from costmodel.reports.table import Column, Table
from costmodel.reports.text import (
    percent,
    show_bytes,
    show_flops,
    show_flops_rate,
    show_intensity,
    show_macs,
    show_params,
    show_rate,
    show_shape,
    show_time,
)


def model_cards(estimate: Estimate) -> tuple[Card, ...]:
    """What the model is, whatever it runs on."""
    total, graph = estimate.total, estimate.graph
    sizes = size_label(estimate)
    return (
        Card("parameters", show_params(graph.parameters), f"{graph.parameters:,} exactly"),
        Card("multiply-accumulates", show_macs(total.macs),
             f"{sizes}; {show_flops(total.flops)} = 2 x MACs + other"),
        Card("bytes moved", show_bytes(total.bytes),
             f"{sizes}; {show_bytes(total.bytes_read)} read, "
             f"{show_bytes(total.bytes_written)} written"),
        Card("arithmetic intensity", show_intensity(total.flops / total.bytes), sizes),
        Card("peak memory", show_bytes(estimate.peak_memory),
             f"{sizes}; {memory_parts(estimate)}"),
    )  # fmt: skip


def run_cards(view: RooflineView) -> tuple[Card, ...]:
    """How fast one run is, and what of."""
    estimate, roof = view.estimate, view.roofs[-1]
    found, bound = estimate.interval, estimate.bound
    interval = (
        "no interval: the laws it was judged with are off"
        if found is None
        else f"90 % interval {show_time(found.low, 2)} to {show_time(found.high, 2)}"
    )
    achieved, capacity = estimate.achieved_flops, estimate.capacity
    return (
        Card("latency", show_time(estimate.latency), interval),
        Card("throughput", f"{show_rate(estimate.throughput)} /s",
             f"samples per second, {size_label(estimate)}"),
        Card("limited by", bound,
             f"{percent(estimate.time_by_bound[bound] / estimate.latency)} of the time"),
        Card("achieved", show_flops_rate(achieved),
             f"{percent(achieved / roof.peak)} of {roof.label} {show_flops_rate(roof.peak)}"),
        Card("peak memory", show_bytes(estimate.peak_memory),
             "its memory is not known" if capacity is None
             else f"{'fits' if estimate.fits else 'does NOT fit'} {show_bytes(capacity)}"),
    )  # fmt: skip


_MEANING = {
    "compute": "arithmetic at the peak of its engine",
    "memory": "moving bytes",
    "launch": "starting operators",
    "lanes": "scalar lanes, busy with loads and indices rather than FLOPs",
}


def limits(estimate: Estimate) -> str:
    """What limits a run, largest first, in one sentence."""
    ranked = sorted(estimate.time_by_bound.items(), key=lambda item: -item[1])
    parts = [
        f"{percent(time / estimate.latency)} of the time by {bound} ({_MEANING[bound]})"
        for bound, time in ranked
        if time
    ]
    return f"Limited {', '.join(parts)}."


def assumption_table(estimate: Estimate, source: str) -> Table:
    """The conditions that the estimates hold under."""
    graph, precision = estimate.graph, estimate.precision
    conditions = graph.conditions
    execution = str(conditions.get("execution", "eager"))
    rows = (
        ("model", source),
        ("input", ", ".join(_input(graph, index, estimate.batch) for index in graph.inputs)),
        ("mode", str(conditions.get("mode", "infer"))),
        ("execution", f"{execution}: " + ("pointwise work fused" if execution == "compiled"
                                         else "one operator after the other")),
        ("float32 tensors are stored as", precision.storage),
        ("convolutions and matrix products run in", precision.matrix),
        ("autocast", str(conditions.get("autocast") or "off")),
        ("image layout", {"nhwc": "channels-last (nhwc)"}.get(
            str(conditions.get("layout")), "as the model makes them (nchw unless it permutes)")),
        ("batch norms", _norms(graph)),
        ("traced by", f"the {graph.rung} front end, {len(graph.ops):,} operators and views"),
        ("efficiency laws", "all, with their own constants" if estimate.as_judged
         else "some are off, or their constants were changed"),
    )  # fmt: skip
    columns = (
        Column("what", "what", right=False, wrap=True),
        Column("value", "assumed", right=False, wrap=True),
    )
    return Table("", columns, rows)


def _input(graph: Graph, index: int, batch: int) -> str:
    spec = graph.tensors[index]
    shape = list(spec.shape)
    if shape and shape[0] == graph.batch:
        shape[0] = batch
    return f"{show_shape(shape)} {spec.dtype}"


def _norms(graph: Graph) -> str:
    count = sum("batch_norm" in op.target for op in graph.ops)
    return f"{count} run as operators of their own" if count else "none runs by itself"


def memory_parts(estimate: Estimate) -> str:
    """ "13.5 MiB of weights, 588 MiB of activations"."""
    memory = estimate.memory
    parts = {
        "weights": memory.weights, "gradients": memory.gradients,
        "optimiser state": memory.optimizer_state, "activations": memory.activations,
    }  # fmt: skip
    return ", ".join(f"{show_bytes(size)} of {name}" for name, size in parts.items() if size)
