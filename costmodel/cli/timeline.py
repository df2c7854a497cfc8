"""`costmodel timeline`."""

import sys

from costmodel.cli import options
from costmodel.cli.output import require_folder, save
from costmodel.cli.setting import Setting, grouped


@grouped
def timeline(
    models: options.Models,
    setting: Setting,
    strict: options.Strict = False,
    compiled: options.Compiled = False,
    trust: options.Trust = False,
    timeout: options.Timeout = None,
    no_cache: options.NoCache = False,
    output: options.Output = None,
) -> None:
    """Write the run as a trace that Perfetto opens: modules, compute, memory and launches."""
    require_folder(output)
    estimates = setting.estimates(setting.graphs(models, compiled=compiled), strict=strict)

    from costmodel.reports.model.timeline import timeline_json

    text = timeline_json(estimates)
    if output is None:
        sys.stdout.write(text)
        return
    save(output, text)
    print("open it at ui.perfetto.dev or in chrome://tracing", file=sys.stderr)
