"""Several threads trace at once, as those of the workbench's server do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import nn

import costmodel as cm
from costmodel import zoo


def test_threads_that_trace_at_once_file_operators_under_their_own_modules() -> None:
    call = nn.Module.__call__
    sources = ["fasternet_t0", "partialnet_t0"]

    def traced(name: str) -> tuple[str, ...]:
        with torch.device("meta"):
            model = zoo.create(name)
        return cm.trace(model, (1, 3, 64, 64)).op_names

    alone = {name: traced(name) for name in sources}
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(traced, sources * 8))
    assert found == [alone[name] for name in sources * 8]
    assert nn.Module.__call__ is call, "nothing is left in its place"


def test_modules_of_another_thread_run_as_ever_while_one_traces() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    with ThreadPoolExecutor(2) as pool:
        tracing = pool.submit(lambda: [cm.trace(nn.Linear(3, 3), (1, 3)) for _ in range(50)])
        results = [model(torch.ones(1, 4)) for _ in range(200)]
        assert all(len(graph.ops) for graph in tracing.result())
    assert all(torch.equal(result, results[0]) for result in results)
