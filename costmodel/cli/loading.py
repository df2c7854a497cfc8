"""What commands start from: models traced and devices found, by their names."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

from costmodel.cli.options import sample_shape
from costmodel.errors import TraceError, UsageError

if TYPE_CHECKING:
    from costmodel.graph import Graph
    from costmodel.roofline.ceilings import Target


def load_models(
    sources: Iterable[str],
    input_shape: str | None = None,
    batch: int = 1,
    *,
    scaled_to: Sequence[int] | None = None,
    compiled: bool = False,
    **conditions: Any,
) -> list[Graph]:
    """Trace models, with progress on stderr; what their code prints goes there too.

    Models that this package builds are traced at a batch of 2 where the graph is to be scaled to
    larger batches: at 1 some copies are views, which they are not in a real batch.

    Raises:
        UsageError: if there is nothing to predict.
    """
    shape, larger = sample_shape(input_shape), max(scaled_to or (1,)) > 1
    graphs = []
    for source in sources:
        ours = source.partition(":")[0] in ("zoo", "timm", "torchvision", "hf")
        with may_run(source), progress(f"tracing {source}"):
            try:
                size = 2 if ours and larger else batch
                graph = trace_source(source, size, shape, **conditions)
            except TraceError as error:
                raise TraceError(f"{error}{_input_hint(source, shape, str(error))}") from error
            if compiled:
                from costmodel.passes.fusion import compiled as as_compiled

                graph = as_compiled(graph)
        if all(op.is_view for op in graph.ops):
            raise UsageError(f"{source}: the model ran no operator that takes time")
        graphs.append(graph)
    return graphs


def _input_hint(source: str, shape: tuple[int, ...] | None, problem: str) -> str:
    """How to say what a model of one's own takes, if it failed on what it was given."""
    filename, _, factory = source.rpartition(":")
    if shape is not None or not filename.endswith(".py") or "forward failed" not in problem:
        return ""
    return (
        f"; if it takes something else, add --input CxHxW, or let {factory} return (module, inputs)"
    )


@contextmanager
def may_run(source: str) -> Iterator[None]:
    """Say that a file of code is about to run, or ask, before a progress bar takes the terminal.

    Raises:
        UsageError: if it must not run (see `costmodel.tracing.trust`).
    """
    from costmodel.tracing.trust import code_file, require_trust, trusting

    path = code_file(source)
    if path is not None:
        require_trust(path)
    with trusting(path is not None):
        yield


def trace_source(
    source: str, batch: int = 1, input_shape: Sequence[int] | None = None, **conditions: Any
) -> Graph:
    """Trace a model, or read it from the trace cache.

    What it prints goes to stderr, and code runs in a process of its own.
    """
    from costmodel.tracing.isolated import is_isolated, load_isolated

    if is_isolated(source):
        return load_isolated(source, batch, input_shape, **conditions)
    from costmodel.tracing.cache import cached_graph

    with redirect_stdout(sys.stderr):
        return cached_graph(source, batch, input_shape, **conditions)


def progress(message: str) -> Any:
    """A context that shows a message on stderr while it lasts, if stderr is a terminal."""
    from rich.console import Console

    return Console(stderr=True).status(message)


def load_targets(names: Sequence[str] | None, threads: int | None = None) -> list[Target]:
    """Devices by name, `all` for the whole catalogue; `threads` applies to each CPU.

    Raises:
        UsageError: if there is none, or `threads` is given and none is a CPU.
        UnknownNameError: with the nearest names.
    """
    from dataclasses import replace

    from costmodel.estimation import resolve_target
    from costmodel.hardware import list_devices

    if not names:
        raise UsageError("no device: add -d NAME (see `costmodel devices list`) or -d all")
    targets: list[Target] = []
    for name in names:
        wanted: Sequence[Any] = list_devices() if name == "all" else [name]
        targets.extend(resolve_target(device) for device in wanted)
    if threads is not None:
        if all(target.profile.kind != "cpu" for target in targets):
            raise UsageError("--threads: none of the devices is a cpu")
        targets = [
            replace(target, threads=threads)
            if target.profile.kind == "cpu" and target.threads is None
            else target
            for target in targets
        ]
    return list({target.label: target for target in targets}.values())
