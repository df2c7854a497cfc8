"""Tracing in a process of its own: for models that come as code, or as numbers that size them.

Code can do anything: print, exit, crash, hang, ask for more memory than there is; a configuration
can ask for a billion layers. Here that ends a helper process, and the one that asked gets a graph
or one clear error. The helper also keeps what a model prints out of the results: its standard
output is the caller's standard error.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from math import inf
from pathlib import Path
from typing import Any

from costmodel.errors import CostModelError, TraceError, UsageError
from costmodel.graph import Graph
from costmodel.tracing.trust import ENVIRONMENT_VARIABLE, code_file, require_trust

PATIENCE = 600.0
"""Seconds after which a helper is given up by default."""

_PATIENCE: ContextVar[float] = ContextVar("seconds to wait for a helper", default=PATIENCE)


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Give up after so many seconds while the context lasts.

    Raises:
        UsageError: unless they are positive.
    """
    if not 0 < seconds < inf:
        raise UsageError(f"timeout {seconds:g}: expected seconds, more than 0")
    token = _PATIENCE.set(seconds)
    try:
        yield
    finally:
        _PATIENCE.reset(token)


def is_isolated(source: str) -> bool:
    """Whether a model source is better traced apart: FILE.py:factory and hf:CONFIG.json."""
    kind, _, name = source.partition(":")
    configuration = kind == "hf" and name.partition("?")[0].lower().endswith(".json")
    return configuration or code_file(source) is not None


def load_isolated(
    source: str,
    batch: int = 1,
    input_shape: Sequence[int] | None = None,
    **conditions: Any,
) -> Graph:
    """`load_graph` in another process, for as long as `patience` lasts.

    Args:
        source: any that `load_graph` takes.
        batch: to trace at.
        input_shape: of one sample.
        conditions: as `load_graph` takes them; symbolic sizes do not pass between processes.

    Raises:
        TraceError: whatever the code does instead of giving a graph.
        UsageError: if it must not run (see `trust`), or the arguments make no sense.
    """
    path = code_file(source)
    if path is not None:
        require_trust(path)
    request = json.dumps([source, batch, input_shape, conditions])
    status, answer = _run(request, source)
    kind, _, body = answer.partition("\n")
    if status == 0 and kind == "graph":
        return Graph.from_json(body)
    if status == 0 and kind == "usage":
        raise UsageError(body)
    if status == 0 and kind == "trace":
        raise TraceError(body)
    raise TraceError(f"{source}: {_ending(status)} while it was traced")


def _run(request: str, source: str) -> tuple[int, str]:
    """Exit status and answer of a helper."""
    environment = {
        **os.environ,
        ENVIRONMENT_VARIABLE: "always",  # settled here, and asked once only
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)]),
    }
    seconds = _PATIENCE.get()
    helper = subprocess.Popen(
        [sys.executable, "-P", "-m", "costmodel.tracing.isolated", request],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=environment,
        process_group=0 if os.name == "posix" else None,
    )
    with helper:
        try:
            answer, _ = helper.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise TraceError(
                f"{source}: not traced within {seconds:g} s; --timeout SECONDS allows more"
            ) from None
        finally:
            _end(helper)
    return helper.returncode, answer.decode("utf-8", "replace")


def _end(helper: subprocess.Popen[bytes]) -> None:
    """Make sure that neither a helper nor what it started goes on."""
    with suppress(OSError):
        if os.name == "posix":
            os.killpg(helper.pid, signal.SIGKILL)
        else:
            helper.kill()


def _ending(status: int) -> str:
    if status >= 0:
        return f"its code ended the process (exit code {status})"
    with suppress(ValueError):
        name = signal.Signals(-status).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"it was ended by {name}{hint}"
    return f"it was ended by signal {-status}"


# ------------------------------------------------------------------ the helper


def _main(request: str) -> None:
    """Trace what a request names and answer on the original standard output."""
    answering, here = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace"), os.getpid()
    os.dup2(2, 1)
    _limit_memory()
    answer = _answer(*json.loads(request))
    if os.getpid() == here:  # and not a fork that the code left behind
        answering.write(answer)
        answering.flush()
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(0)  # neither threads nor exit handlers of the code go on


def _answer(
    source: str, batch: int, input_shape: Sequence[int] | None, conditions: dict[str, Any]
) -> str:
    try:
        from costmodel.tracing.source import load_graph

        return f"graph\n{load_graph(source, batch, input_shape, **conditions).to_json()}"
    except TraceError as error:
        return f"trace\n{error}"
    except CostModelError as error:
        return f"usage\n{error}"
    except BaseException as error:  # whatever the code raises
        return f"trace\n{source}: {type(error).__name__}: {error}"


def _limit_memory() -> None:
    """No more memory than the machine has, so that asking for it fails and harms nobody else."""
    try:
        import resource

        most = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        if hard == resource.RLIM_INFINITY or hard > most:
            resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    except (ImportError, ValueError, OSError, AttributeError):
        return  # a system without such limits


if __name__ == "__main__":
    _main(sys.argv[1])
