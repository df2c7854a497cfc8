"""Engines: where work runs that is too much for one process.

loky   processes of this machine
dask   the workers of a Dask scheduler, by its address; without one, two processes are started
ray    the nodes of a Ray cluster, by its address

All three are joblib's back ends. Work is cut into calls that depend on nothing but their
arguments, so that Dask makes a call again whose worker died. The others end with an error then;
what a store was given by that time is not worked out again.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from costmodel.errors import UsageError

ENGINES = ("loky", "dask", "ray")

CALLS_PER_WORKER = 4
"""Of an engine that gives no results before all of a round are done."""

Progress = Callable[[int, int], None]
"""Told how much of how much is done."""


@dataclass(frozen=True)
class Workers:
    """Processes that make calls."""

    engine: str
    jobs: int

    def map(
        self, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]
    ) -> Iterator[Any]:
        """Results of the calls, in the order of their arguments, as they become known.

        Ray's back end gives results only when all calls are done, so it gets a few at a time.

        Raises:
            UsageError: if a worker dies and the engine does not make its call again.
        """
        try:
            yield from self._results(function, arguments)
        except _deaths(self.engine) as error:
            raise UsageError(
                f"engine {self.engine}: a worker died ({type(error).__name__}); what --store was "
                "given is kept, ask again to go on, with fewer --jobs if memory ran out"
            ) from error

    def _results(
        self, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]
    ) -> Iterator[Any]:
        from joblib import Parallel, delayed, effective_n_jobs

        def made(calls: Sequence[tuple[Any, ...]], return_as: str) -> Iterator[Any]:
            parallel = Parallel(n_jobs=self.jobs, return_as=return_as, batch_size=1)
            yield from parallel(delayed(function)(*each) for each in calls)

        if self.engine != "ray":
            yield from made(arguments, "generator")
            return
        size = CALLS_PER_WORKER * max(effective_n_jobs(self.jobs), 1)
        for start in range(0, len(arguments), size):
            yield from made(arguments[start : start + size], "list")


@contextmanager
def workers(engine: str, address: str | None = None, jobs: int = -1) -> Iterator[Workers]:
    """The workers of an engine, as long as the context lasts.

    Args:
        engine: one of `ENGINES`.
        address: of the cluster's scheduler; loky takes none.
        jobs: how many calls at once, -1 for as many as there are processors.

    Raises:
        UsageError: for an unknown engine, a missing package, or a cluster that does not answer.
    """
    if engine not in ENGINES:
        raise UsageError(f"engine {engine!r}: expected {', '.join(ENGINES)}")
    if jobs == 0 or jobs < -1:
        raise UsageError(f"jobs {jobs}: expected at least 1, or -1 for all processors")
    if engine == "loky" and address is not None:
        raise UsageError("engine loky runs on this machine; --address is for dask and ray")
    joblib = _need("joblib", "search")
    with _connected(engine, address), joblib.parallel_config(backend=engine, n_jobs=jobs):
        yield Workers(engine, jobs)


@contextmanager
def _connected(engine: str, address: str | None) -> Iterator[None]:
    if engine == "dask":
        distributed = _need("distributed", "cluster")
        try:
            client = (
                distributed.Client(address, timeout="20s")
                if address
                else distributed.Client(n_workers=2, threads_per_worker=1, dashboard_address=None)
            )
        except (OSError, ValueError) as error:
            text = " ".join(str(error).split()) or type(error).__name__
            raise UsageError(f"dask at {address}: no scheduler answers ({text})") from error
        with client:
            yield
    elif engine == "ray":
        ray = _need("ray", "ray")
        from ray.util.joblib import register_ray

        _check_listening(address)
        known = ray.is_initialized()
        try:
            ray.init(address=address, ignore_reinit_error=True, log_to_driver=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            text = " ".join(str(error).split())[:200]
            raise UsageError(f"ray at {address}: no cluster answers ({text})") from error
        register_ray()
        try:
            yield
        finally:
            if not known:
                ray.shutdown()
    else:
        yield


def _deaths(engine: str) -> tuple[type[Exception], ...]:
    """What an engine raises when it lost a worker for good."""
    if engine == "loky":
        from concurrent.futures.process import BrokenProcessPool

        return (BrokenProcessPool,)
    if engine == "dask":
        from distributed import KilledWorker

        return (KilledWorker,)
    from ray.exceptions import RayError

    return (RayError,)


def _check_listening(address: str | None) -> None:
    """Ray asks a place where nobody listens for minutes before it gives up."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return  # none, or a word of Ray's own such as "auto"
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=20).close()
    except (OSError, OverflowError) as error:
        raise UsageError(f"ray at {address}: no cluster answers ({error})") from error


def _need(package: str, extra: str) -> Any:
    from importlib import import_module

    try:
        return import_module(package)
    except ImportError:
        how = f"'roofline-costmodel[{extra}]'" if extra != package else package
        raise UsageError(
            f"{package} is not installed; install it with: pip install {how}"
        ) from None
