"""The networks behind the published rows: built on the meta device and traced once each."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from costmodel.errors import UsageError
from costmodel.estimation import estimate
from costmodel.formulas.columns import columns_of
from costmodel.graph import Graph
from costmodel.measurement.reproduction.conditions import Condition
from costmodel.passes import folding
from costmodel.passes.fusion import compiled
from costmodel.published import PublishedModel
from costmodel.tracing.cache import kept_graph
from costmodel.tracing.eager import trace
from costmodel.tracing.source import Source, load_source

Key = tuple[Any, ...]


class Networks:
    """Models, graphs and costs by source string; each is made at most once.

    Args:
        progress: is told what is being traced.
    """

    def __init__(self, progress: Callable[[str], None] | None = None) -> None:
        self._progress = progress or (lambda message: None)
        self._sources: dict[Key, Source] = {}
        self._graphs: dict[Key, Graph] = {}
        self._seconds: dict[Key, float] = {}

    def parameters(self, source: str, input_shape: tuple[int, ...]) -> int:
        """Trainable parameters, shared ones once.

        Raises:
            UsageError: if the model's package is not installed.
        """
        model = self._source(source, input_shape).model  # its graph counts frozen ones as well
        return sum(p.numel() for p in model.parameters() if p.requires_grad)

    def macs(self, source: str, input_shape: tuple[int, ...]) -> float:
        """Multiply-accumulates for one image."""
        return macs_of(self.graph(source, input_shape))

    def split_ratios(self, source: str) -> list[float]:
        """Share of the channels that each block of a PartialNet convolves, front to back."""
        stages: Any = self._source(source, (3, 224, 224)).model.stages
        blocks = [block for stage in stages for block in stage]
        return [block.mixer.part / block.widen.in_channels for block in blocks]

    def seconds(self, model: PublishedModel, condition: Condition) -> float:
        """Predicted time for one batch of the model behind a row.

        Raises:
            UsageError: if the row has no model, or its package is not installed.
        """
        source = model.macs_source if condition.merged else model.source
        if source is None:
            raise UsageError(f"{model.row}: {model.variant}")
        key = (source, model.input_shape, condition)
        if key not in self._seconds:
            graph = self.graph(
                source,
                model.input_shape,
                folded=condition.folded,
                fused=condition.fused,
                part=condition.part,
            )
            self._seconds[key] = estimate(
                graph, condition.device, condition.batch, condition.precision
            ).latency
        return self._seconds[key]

    def graph(
        self,
        source: str,
        input_shape: tuple[int, ...],
        *,
        folded: bool = False,
        fused: bool = False,
        part: str = "network",
    ) -> Graph:
        """The traced model, one image, after the passes asked for."""
        key = (source, input_shape, folded, fused, part)
        if key not in self._graphs:
            if fused:
                # A runtime that folds and fuses has constant weights, which it packs as well.
                graph = compiled(self.graph(source, input_shape, folded=folded, part=part))
                graph = replace(graph, conditions={**graph.conditions, "frozen": folded})
            else:
                graph = self._trace(source, input_shape, folded, part)
            self._graphs[key] = graph
        return self._graphs[key]

    def _trace(self, source: str, input_shape: tuple[int, ...], folded: bool, part: str) -> Graph:
        """The model, folded or not: as the trace cache holds it, or else traced."""
        make = partial(self._traced, source, input_shape, folded, part)
        form = {"part": part, "folded": _folding_digest() if folded else ""}
        return kept_graph(make, source, 1, input_shape, form)

    def _traced(self, source: str, input_shape: tuple[int, ...], folded: bool, part: str) -> Graph:
        form = ", batch norms folded" if folded else ""
        self._progress(f"tracing {source}{form}")
        found = self._source(source, input_shape)
        model = found.model.eval()
        if part == "backbone":
            backbone = model.backbone
            assert isinstance(backbone, nn.Module)
            model = backbone
        if folded:
            model = folding.fold_batch_norm(model, *found.inputs)
        return trace(model, *found.inputs, name=found.name)

    def _source(self, source: str, input_shape: tuple[int, ...]) -> Source:
        key = (source, input_shape)
        if key not in self._sources:
            with redirect_stdout(sys.stderr):
                self._sources[key] = load_source(source, 1, input_shape)
        return self._sources[key]


@cache
def _folding_digest() -> str:
    """Of the pass, which the cache's own digest of the tracer leaves out."""
    return hashlib.sha256(Path(folding.__file__).read_bytes()).hexdigest()


def macs_of(graph: Graph) -> float:
    """Multiply-accumulates of a graph at the batch it was traced at."""
    columns = columns_of(graph)
    return float(np.dot(columns.evaluate().cost.macs, columns.counts))
