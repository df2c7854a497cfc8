"""Changes that could help, tried one by one: what each gains, and what it takes.

Every gain is the engine's: the estimate of the changed run against the estimate given, per sample,
on the same device with the same laws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from costmodel.changes.norms import fold_norms
from costmodel.changes.partial import RATIO, Which, replace_by_partial
from costmodel.errors import CostModelError
from costmodel.estimation import Estimate, estimate, sweep
from costmodel.graph import Graph
from costmodel.passes.fusion import compiled
from costmodel.roofline.precision import get_precision

NOTICEABLE = 1.02
"""Speed-ups below it are not worth a line: layouts and roundings move an estimate that much."""
ENOUGH = 0.95
"""A larger batch is one that reaches so much of the best throughput."""
LARGEST_BATCH = 1024

Retrace = Callable[..., Graph]
"""Traces the same model under other conditions: keywords `batch` and `layout`, as `load_graph`."""


@dataclass(frozen=True)
class Change:
    """One change by itself, and what it does to an estimate."""

    kind: str
    """ "batch", "precision", "execution", "norms", "layout" or "operators"."""
    title: str
    takes: str
    """What it takes, and what is assumed."""
    before: Estimate
    after: Estimate

    @property
    def speedup(self) -> float:
        """Samples per second after over before."""
        return self.after.throughput / self.before.throughput


@dataclass(frozen=True)
class LeftOut:
    """A change that cannot be made here, or that could not be predicted, and why."""

    title: str
    reason: str


@dataclass(frozen=True)
class Considered:
    """All changes that were tried, the most helpful first, and those that could not be."""

    changes: tuple[Change, ...]
    left_out: tuple[LeftOut, ...]

    def best(self, count: int = 3) -> list[Change]:
        """The most helpful of different kinds that gain noticeably."""
        found: dict[str, Change] = {}
        for change in self.changes:
            if change.speedup >= NOTICEABLE:
                found.setdefault(change.kind, change)
        return list(found.values())[:count]


def consider(before: Estimate, retrace: Retrace | None = None, **options: Any) -> Considered:
    """Try all changes to the run of an estimate.

    Args:
        before: the estimate to improve on.
        retrace: traces its model again; without it, changes that need that are left out.
        options: of `sweep` that the estimate was made with: without, constants.
    """
    settings = _Settings(before, retrace, options)
    changes: list[Change] = []
    left_out: list[LeftOut] = []
    for attempt in (
        _larger_batch,
        _lower_precision,
        _eight_bit,
        _compiled,
        _folded,
        _channels_last,
        lambda s: _partial(s, "dense"),
        lambda s: _partial(s, "depthwise"),
    ):
        found = attempt(settings)
        if isinstance(found, Change):
            changes.append(found)
        else:
            left_out.append(found)
    ranked = sorted(changes, key=lambda change: -change.speedup)
    return Considered(tuple(ranked), tuple(left_out))


@dataclass(frozen=True)
class _Settings:
    before: Estimate
    retrace: Retrace | None
    options: dict[str, Any]

    @property
    def graph(self) -> Graph:
        return self.before.graph

    @property
    def trains(self) -> bool:
        return self.graph.conditions.get("mode") == "train"

    @property
    def is_compiled(self) -> bool:
        return self.graph.conditions.get("execution") == "compiled"

    def run(self, graph: Graph, precision: str | None = None) -> Estimate:
        """The estimate of another graph or precision, all else equal."""
        before = self.before
        name = precision or before.precision.name
        return estimate(graph, before.target, before.batch, name, **self.options)

    def change(self, kind: str, title: str, takes: str, after: Estimate) -> Change:
        return Change(kind, title, takes, self.before, after)


def _larger_batch(settings: _Settings) -> Change | LeftOut:
    before, graph, title = settings.before, settings.graph, "a larger batch"
    sizes = [before.batch * 2**k for k in range(1, 11) if before.batch * 2**k <= LARGEST_BATCH]
    if not sizes:
        return LeftOut(title, f"the batch is {before.batch} already; {LARGEST_BATCH} was the limit")
    again = not (settings.is_compiled or settings.trains)
    if graph.batch == 1 and settings.retrace is not None and again:
        # At a batch of 1 some copies are views, which they are not in a real batch.
        try:
            graph = settings.retrace(batch=2)
        except CostModelError:
            graph = settings.graph
    found = sweep(graph, [before.target], sizes, [before.precision.name], **settings.options)
    fitting = [one for one in found if one.fits is not False]
    if not fitting:
        return LeftOut(title, f"a batch of {sizes[0]} does not fit the memory of {before.device}")
    best = max(one.throughput for one in fitting)
    after = next(one for one in fitting if one.throughput >= ENOUGH * best)
    longer = after.latency / before.latency
    return settings.change(
        "batch",
        f"batch {after.batch} instead of {before.batch}",
        f"samples that can wait for each other: a batch takes {longer:.3g}x as long; the smallest "
        f"batch that comes within 5 % of the best throughput up to {LARGEST_BATCH}",
        after,
    )


def _lower_precision(settings: _Settings) -> Change | LeftOut:
    names = {"fp64": ("fp32", "tf32", "fp16", "bf16"), "fp32": ("tf32", "fp16", "bf16"),
             "tf32": ("fp16", "bf16")}.get(settings.before.precision.name, ())  # fmt: skip
    return _precision(settings, names, "a lower precision", "accuracy to be checked; all tensors "
                      "stored so, no casts around norms")  # fmt: skip


def _eight_bit(settings: _Settings) -> Change | LeftOut:
    names = () if settings.before.precision.name == "int8" else ("int8",)
    takes = "a quantised model and a calibration; the conversions between precisions are left out"
    return _precision(settings, names, "8-bit integers", takes)


def _precision(
    settings: _Settings, names: tuple[str, ...], title: str, takes: str
) -> Change | LeftOut:
    now = settings.before.precision.name
    autocast = settings.graph.conditions.get("autocast")
    if not names or autocast:
        return LeftOut(title, f"the run is in {autocast or now} already")
    rated = settings.before.target.profile.peak
    found = [
        settings.run(settings.graph, name) for name in names if rated(get_precision(name).matrix)
    ]
    if not found:
        return LeftOut(title, f"{settings.before.device} states no peak for {', '.join(names)}")
    best = min(found, key=lambda one: one.latency)
    return settings.change("precision", f"{best.precision.name} instead of {now}", takes, best)


def _compiled(settings: _Settings) -> Change | LeftOut:
    title = "compiled execution"
    if settings.is_compiled:
        return LeftOut(title, "the run is compiled already")
    if settings.trains:
        return LeftOut(title, "tried on inference only")
    return settings.change(
        "execution",
        "compiled instead of eager execution",
        "a model that torch.compile takes in one piece; its own time is left out",
        settings.run(compiled(settings.graph)),
    )


def _folded(settings: _Settings) -> Change | LeftOut:
    title = "folded batch norms"
    if settings.is_compiled:
        return LeftOut(title, "in a compiled run they are fused already")
    if settings.trains:
        return LeftOut(title, "in training they are needed")
    graph, count = fold_norms(settings.graph)
    if not count:
        return LeftOut(title, "no batch norm follows a convolution or linear layer alone")
    norms = f"{count} batch norm{'s' if count > 1 else ''}"
    return settings.change(
        "norms",
        f"{norms} folded into the layer before",
        "inference only; the function stays the same up to rounding",
        settings.run(graph),
    )


def _channels_last(settings: _Settings) -> Change | LeftOut:
    title, graph = "channels-last images", settings.graph
    if settings.is_compiled:
        return LeftOut(title, "a compiler chooses the layout itself")
    if graph.conditions.get("layout") == "nhwc":
        return LeftOut(title, "they are so already")
    if all(len(graph.tensors[i].shape) != 4 for op in graph.ops for i in op.outputs):
        return LeftOut(title, "the model works on no images")
    if settings.trains:
        return LeftOut(title, "tried on inference only")
    if settings.retrace is None:
        return LeftOut(title, "the model would have to be traced again, and only its graph is here")
    try:
        traced = settings.retrace(batch=graph.batch, layout="nhwc")
    except CostModelError as error:
        return LeftOut(title, str(error))
    return settings.change(
        "layout",
        "channels-last instead of planar images",
        "model and input converted once, to memory_format=torch.channels_last",
        settings.run(traced),
    )


def _partial(settings: _Settings, which: Which) -> Change | LeftOut:
    title = f"partial instead of {which} convolutions"
    if settings.is_compiled or settings.trains:
        return LeftOut(title, "tried on eager inference only")
    graph, replaced, total = replace_by_partial(settings.graph, which)
    if not replaced:
        reason = f"none of the {total} keeps image and channels" if total else "the model has none"
        return LeftOut(title, reason)
    mixed = " with a 1x1 convolution behind each" if which == "dense" else ""
    return settings.change(
        "operators",
        f"{replaced} of {total} {which} convolutions partial (1/{RATIO} of the channels)",
        f"another network, to be trained{mixed}; written in place where the input is not needed "
        "again",
        settings.run(graph),
    )
