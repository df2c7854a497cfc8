"""`costmodel search`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from costmodel.cli import loading, options, search_options
from costmodel.cli.options import Format
from costmodel.cli.output import chosen_format, emit, save
from costmodel.errors import UsageError

if TYPE_CHECKING:
    from costmodel.search.result import SearchResult

MISSED = 1


def search(
    space: search_options.SpaceName,
    device: options.Devices = None,
    device_folders: options.Folders = None,
    latency: search_options.Latency = None,
    memory: search_options.Memory = None,
    parameters: search_options.Parameters = None,
    macs: search_options.Macs = None,
    moved: search_options.Bytes = None,
    energy: search_options.Energy = None,
    throughput: search_options.Throughput = None,
    maximize: search_options.Maximize = None,
    minimize: search_options.Minimize = None,
    reward: search_options.RewardTarget = None,
    accuracy: search_options.Accuracy = None,
    fix: search_options.Fix = None,
    batch: search_options.Batch = "1",
    precision: search_options.PrecisionName = "fp32",
    threads: options.Threads = None,
    without: options.Without = None,
    method: search_options.MethodName = "auto",
    trials: search_options.Trials = 1000,
    seed: search_options.Seed = 0,
    storage: search_options.Storage = None,
    engine: search_options.Engine = None,
    address: search_options.Address = None,
    jobs: search_options.Jobs = -1,
    top: search_options.Top = 5,
    format: options.FormatOption = None,
    output: search_options.Folder = None,
) -> None:
    """Search a design space for the best network within budgets."""
    form = chosen_format(format, None)
    given = {
        "latency": (latency, "s"), "memory": (memory, "B"), "parameters": (parameters, ""),
        "macs": (macs, ""), "bytes": (moved, "B"), "energy": (energy, "J"),
        "throughput": (throughput, ""),
    }  # fmt: skip
    budgets = tuple(
        search_options.limit(name, text, unit) for name, (text, unit) in given.items() if text
    )
    size = options.whole_number("batch", batch)
    targets = loading.load_targets(device, threads)
    goal = search_options.goal(maximize, minimize, reward, accuracy)
    if output is not None:
        _folder(output)

    from costmodel.search.problem import Problem
    from costmodel.search.reading import load_space
    from costmodel.search.searching import METHODS
    from costmodel.search.searching import search as run

    if method not in METHODS:
        raise UsageError(f"--method {method!r}: expected {', '.join(METHODS)}")
    chosen = search_options.fixed(load_space(space), fix)
    scores, source = search_options.scores(accuracy, chosen)
    problem = Problem(
        chosen, targets, goal, budgets, size, options.precisions([precision])[0],
        tuple(options.listed(without)), scores, source,
    )  # fmt: skip
    with spread(engine, address, jobs) as workers, progress_bar() as advance:
        result = run(
            problem, method, top=top, trials=trials, seed=seed, storage=storage,
            progress=advance, workers=workers,
        )  # fmt: skip
    _write(result, form, output)
    if not result.best:
        raise typer.Exit(MISSED)


def _folder(output: str) -> None:
    try:
        Path(output).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"-o {output}: cannot be a folder: {error.strerror}") from error


def spread(engine: str | None, address: str | None, jobs: int) -> Any:
    """A context with the workers of an engine, or with None where none is asked for."""
    from contextlib import nullcontext

    if engine is None:
        if address is not None:
            raise UsageError("--address: of which cluster? add --engine dask or ray")
        return nullcontext(None)
    from costmodel.search.engines import workers

    return workers(engine, address, jobs)


class progress_bar:  # noqa: N801
    """A progress bar on stderr if that is a terminal; gives the function that moves it."""

    def __enter__(self) -> Callable[[int, int], None]:
        from rich.console import Console
        from rich.progress import Progress

        self._progress = Progress(console=Console(stderr=True), transient=True)
        self._shown = sys.stderr.isatty()
        if self._shown:
            self._progress.start()
            self._task = self._progress.add_task("designs")
        return self._move

    def _move(self, done: int, total: int) -> None:
        if self._shown:
            self._progress.update(self._task, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        if self._shown:
            self._progress.stop()


def _write(result: SearchResult, form: Format, output: str | None) -> None:
    from costmodel.reports.search.report import front_table, search_report

    report = search_report(result)
    emit(report, form, None)
    if output is None:
        return
    from costmodel.reports.search.page import search_page
    from costmodel.zoo.families import design_text, pytorch_code

    folder, family = Path(output), result.problem.space.family
    for suffix, name in (("txt", "table"), ("json", "json"), ("csv", "csv")):
        save(str(folder / f"search.{suffix}"), report.render(name))
    save(str(folder / "front.csv"), front_table(result).to_csv())
    save(str(folder / "search.html"), search_page(result, report))
    for rank, found in enumerate(result.best, 1):
        note = f"Rank {rank} of a search of {result.problem.space.name}."
        save(str(folder / f"design-{rank}.yaml"), design_text(family, found.design, note))
        save(str(folder / f"design_{rank}.py"), pytorch_code(family, found.design, note))
