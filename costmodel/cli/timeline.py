"""`costmodel timeline`."""

from __future__ import annotations

import sys

from costmodel.cli import options
from costmodel.cli.output import require_folder, save


def timeline(
    models: options.Models,
    device: options.Devices = None,
    device_folders: options.Folders = None,
    batch: options.Batches = None,
    precision: options.Precisions = None,
    input_shape: options.InputShape = None,
    threads: options.Threads = None,
    without: options.Without = None,
    strict: options.Strict = False,
    compiled: options.Compiled = False,
    trust: options.Trust = False,
    timeout: options.Timeout = None,
    output: options.Output = None,
) -> None:
    """Write the run as a trace that Perfetto opens: modules, compute, memory and launches."""
    require_folder(output)
    sizes, policies = options.batch_sizes(batch), options.precisions(precision)
    targets = options.load_targets(device, threads)
    graphs = options.load_models(models, input_shape, scaled_to=sizes, compiled=compiled)
    estimates = options.predictions(
        graphs, targets, sizes, policies,
        strict=strict, without=without, skip_unable="all" in (device or ()),
    )  # fmt: skip

    from costmodel.reports.timeline import timeline_json

    text = timeline_json(estimates)
    if output is None:
        sys.stdout.write(text)
        return
    save(output, text)
    print("open it at ui.perfetto.dev or in chrome://tracing", file=sys.stderr)
