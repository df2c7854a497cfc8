"""`costmodel sweep`."""

from pathlib import Path
from typing import Annotated

import typer

from costmodel.cli import loading, options, search_options
from costmodel.cli.output import chosen_format, emit
from costmodel.cli.search import progress_bar, spread

INCOMPLETE = 1


def sweep(
    models: options.Models,
    device: options.Devices = None,
    device_folders: options.Folders = None,
    batch: options.Batches = None,
    precision: options.Precisions = None,
    threads: options.Threads = None,
    without: options.Without = None,
    store: Annotated[
        str | None,
        typer.Option("--store", metavar="DIR", help="Keep results there, to resume and extend."),
    ] = None,
    engine: search_options.Engine = None,
    address: search_options.Address = None,
    jobs: search_options.Jobs = -1,
    no_cache: options.NoCache = False,
    format: options.FormatOption = None,
    output: options.Output = None,
) -> None:
    """Predict many models, also by pattern (timm:resnet*), on many devices; resumable."""
    form = chosen_format(format, output)
    sizes, policies = options.batch_sizes(batch) or [1], options.precisions(precision)
    targets = loading.load_targets(device, threads)

    from costmodel.reports.sweep import sweep_report
    from costmodel.search.store import ResultStore
    from costmodel.search.sweeping import cases_of, run_sweep
    from costmodel.tracing.patterns import matching

    cases = cases_of(matching(models), targets, sizes, policies, options.listed(without))
    kept = None if store is None else ResultStore(Path(store))
    with spread(engine, address, jobs) as workers, progress_bar() as advance:
        outcome = run_sweep(cases, kept, workers, advance)
    emit(sweep_report(outcome), form, output)
    if outcome.failures:
        raise typer.Exit(INCOMPLETE)
