"""The timeline: events as the trace format demands, nested, and adding up to the estimate."""

from __future__ import annotations

import json
from typing import Any

import pytest

from costmodel.estimation import Estimate, estimate
from costmodel.reports.model.timeline import (
    COMPUTE,
    LAUNCH,
    MEMORY,
    MODULES,
    module_slices,
    timeline_json,
)
from costmodel.tracing.builder import GraphBuilder


def run(device: str = "v100-sxm2", **options: Any) -> Estimate:
    builder = GraphBuilder("net")
    x = builder.input((4, 64, 56, 56))
    x = builder.conv2d(x, 64, kernel=3, module="stem")
    for block in range(3):
        x = builder.conv2d(x, 64, kernel=3, groups=64, module=f"blocks.{block}.depthwise")
        x = builder.conv2d(x, 64, kernel=1, module=f"blocks.{block}.pointwise")
    return estimate(builder.graph(x), device, 16, **options)


def events(*estimates: Estimate) -> list[dict[str, Any]]:
    document = json.loads(timeline_json(estimates))
    assert set(document) == {"displayTimeUnit", "otherData", "traceEvents"}
    return list(document["traceEvents"])


def slices(found: list[dict[str, Any]], track: int, pid: int = 1) -> list[dict[str, Any]]:
    return [e for e in found if e["ph"] == "X" and (e["pid"], e["tid"]) == (pid, track)]


def test_every_event_is_one_of_the_format() -> None:
    found = events(run(), run("epyc-73f3@1"))
    assert {event["ph"] for event in found} == {"X", "M", "C"}
    for event in found:
        assert isinstance(event["name"], str)
        assert event["name"]
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        assert event["ts"] >= 0
        assert isinstance(event["args"], dict)
        if event["ph"] == "X":
            assert event["dur"] >= 0
            assert isinstance(event["cat"], str)
        if event["ph"] == "C":
            assert all(isinstance(v, int | float) for v in event["args"].values())


def test_processes_and_threads_have_names() -> None:
    found = events(run(), run("epyc-73f3@1"))
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in found if e["name"] == "thread_name"}
    assert {names[e["pid"], e["tid"]] for e in found if e["ph"] == "X"} == {
        "modules", "compute", "memory", "launch",
    }  # fmt: skip
    processes = {e["pid"]: e["args"]["name"] for e in found if e["name"] == "process_name"}
    assert processes == {
        1: "net on v100-sxm2, batch 16, fp32",
        2: "net on epyc-73f3@1, batch 16, fp32",
    }


@pytest.mark.parametrize("device", ["v100-sxm2", "epyc-73f3@1"])
def test_durations_add_up_to_the_estimate(device: str) -> None:
    one = run(device)
    found = events(one)
    operators = [e for e in slices(found, MODULES) if e["cat"] != "module"]
    assert len(operators) == len(one.operators)
    # A nanosecond is what is rounded to, once for the whole run.
    assert sum(e["dur"] for e in operators) == pytest.approx(one.latency * 1e6, abs=1e-3)
    for event, operator in zip(operators, one.operators, strict=True):
        assert event["name"] == operator.name
        assert event["dur"] == pytest.approx(operator.time * 1e6, abs=2e-3)
    (root,) = [e for e in slices(found, MODULES) if e["name"] == "net"]
    assert (root["ts"], root["dur"]) == (0, pytest.approx(one.latency * 1e6, abs=1e-3))
    launches = sum(e["dur"] for e in slices(found, LAUNCH))
    assert launches == pytest.approx(
        sum(float(one.times.launch[r]) for r in one.workload.row_of_op) * 1e6, rel=1e-3
    )


def test_slices_of_a_track_nest() -> None:
    found = events(run())
    for track in (MODULES, COMPUTE, MEMORY, LAUNCH):
        open_: list[int] = []
        last = 0
        for event in sorted(slices(found, track), key=lambda e: (e["ts"], -e["dur"])):
            start = round(event["ts"] * 1000)
            end = start + round(event["dur"] * 1000)
            assert start >= last
            last = start
            while open_ and open_[-1] <= start:
                open_.pop()
            assert not open_ or end <= open_[-1]
            open_.append(end)
            if track != MODULES:
                assert len(open_) == 1


def test_compute_and_memory_follow_the_launch_and_end_with_the_operator() -> None:
    found = events(run())
    spans = {e["name"]: e for e in slices(found, MODULES) if e["cat"] != "module"}
    launched = {e["name"].removeprefix("launch "): e for e in slices(found, LAUNCH)}
    for track in (COMPUTE, MEMORY):
        for event in slices(found, track):
            whole, launch = spans[event["name"]], launched[event["name"]]
            assert event["ts"] == pytest.approx(launch["ts"] + launch["dur"], abs=1e-6)
            assert event["ts"] + event["dur"] <= whole["ts"] + whole["dur"] + 1e-6


def test_without_laws_the_longer_part_fills_the_operator() -> None:
    found = events(run(without=["all"]))
    parts = {
        track: {e["name"]: e["dur"] for e in slices(found, track)} for track in (COMPUTE, MEMORY)
    }
    assert not slices(found, LAUNCH)
    for event in slices(found, MODULES):
        if event["cat"] != "module":
            longest = max(part[event["name"]] for part in parts.values())
            assert longest == pytest.approx(event["dur"], abs=2e-3)


def test_modules_that_run_again_have_a_slice_each_time() -> None:
    found = module_slices(["a.x", "b", "a.x", "a", ""])
    assert [(s.path, s.first, s.last) for s in found] == [
        ("", 0, 5), ("a", 0, 1), ("a.x", 0, 1), ("b", 1, 2), ("a", 2, 4), ("a.x", 2, 3),
    ]  # fmt: skip
    assert module_slices([]) == []


def test_the_memory_counter_reaches_the_peak() -> None:
    one = run()
    counts = [e["args"]["bytes"] for e in events(one) if e["ph"] == "C"]
    assert max(counts) == one.peak_memory


def test_the_command_writes_it(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    from costmodel.cli.app import main

    path = tmp_path / "trace.json"
    assert main(["timeline", "zoo:fasternet_t0", "-d", "a100", "-o", str(path)]) == 0
    assert "perfetto" in capsys.readouterr().err
    assert json.loads(path.read_text())["traceEvents"]
