"""Measuring with fake clocks and tiny models: no time that passes here is looked at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from costmodel.cli import main
from costmodel.errors import TraceError, UnknownNameError, UsageError
from costmodel.measurement.measuring.jobs import Failure, jobs, measure, read_grid, remaining
from costmodel.measurement.measuring.machine import (
    available_cores,
    describe,
    physical_cores,
    pinned,
)
from costmodel.measurement.measuring.operator_sources import (
    OPERATORS,
    expand,
    operator_graph,
    parse,
)
from costmodel.measurement.measuring.runner import Job, Prepared, prepared
from costmodel.measurement.measuring.timing import (
    Plan,
    median_interval,
    time_step,
    without_interruptions,
)
from costmodel.measurement.tables.conditions import RunConditions
from costmodel.measurement.tables.records import (
    Machine,
    Record,
    append_record,
    read_records,
    schema,
)

QUICK = Plan(tolerance=0.5, warmup_runs=1, warmup_seconds=0, min_runs=2, max_runs=3)
MACHINE = Machine(processor="made up", cores=2, system="none", software={"torch": "0"})


class Watch:
    """A stopwatch whose steps take what a list says, the last value for ever."""

    def __init__(self, *seconds: float) -> None:
        self.seconds, self.samples, self.steps = list(seconds), 0, 0

    def __call__(self, repeats: int) -> float:
        self.samples, self.steps = self.samples + 1, self.steps + repeats
        each = self.seconds.pop(0) if len(self.seconds) > 1 else self.seconds[0]
        return each * repeats


# ---------------------------------------------------------------------- timing


def test_a_steady_step_takes_the_fewest_runs() -> None:
    watch = Watch(0.01)
    found = time_step(watch, Plan(warmup_runs=3, warmup_seconds=0, min_runs=12))
    assert (found.seconds, found.low, found.high) == pytest.approx((0.01, 0.01, 0.01))
    assert (found.runs, found.outliers, found.warmup) == (12, 0, 3)
    assert found.confident


def test_warm_up_is_not_counted() -> None:
    watch = Watch(5.0, 1.0, 0.5, 0.01)
    found = time_step(watch, Plan(warmup_runs=3, warmup_seconds=0))
    assert found.seconds == pytest.approx(0.01)
    assert found.warmup == 3


def test_warm_up_lasts_as_long_as_asked_for() -> None:
    assert time_step(Watch(0.1), Plan(warmup_runs=1, warmup_seconds=0.95)).warmup == 10


def test_short_steps_are_timed_several_in_a_row() -> None:
    watch = Watch(1e-5)
    found = time_step(watch, Plan(warmup_runs=1, warmup_seconds=0, min_runs=10))
    assert found.repeats == 100
    assert found.seconds == pytest.approx(1e-5)
    assert watch.steps == 1 + 10 * 100


def test_interruptions_are_set_aside_and_counted() -> None:
    times = [0.01, 0.0101, 0.0099, 0.01, 0.5, 0.01, 0.0101, 0.0099, 0.01, 0.3, 0.01, 0.01]
    found = time_step(Watch(0.01, *times), Plan(warmup_runs=1, warmup_seconds=0, min_runs=12))
    assert found.outliers == 2
    assert found.seconds == pytest.approx(0.01, rel=0.01)


def test_a_noisy_step_takes_more_runs_and_a_hopeless_one_says_so() -> None:
    generator = np.random.default_rng(0)
    noisy = Watch(*generator.normal(0.01, 0.001, 5000))
    found = time_step(noisy, Plan(warmup_runs=1, warmup_seconds=0))
    assert found.runs > 30
    assert found.confident
    hopeless = Watch(*generator.uniform(0.01, 0.1, 5000))
    found = time_step(hopeless, Plan(warmup_runs=1, warmup_seconds=0, max_runs=40))
    assert not found.confident
    assert found.runs + found.outliers == 40


def test_time_is_limited() -> None:
    watch = Watch(*np.random.default_rng(1).uniform(1, 3, 1000))
    time_step(watch, Plan(warmup_runs=1, warmup_seconds=0, min_runs=5, max_seconds=30))
    assert watch.samples < 35


def test_a_clock_that_falls_is_not_called_confident() -> None:
    falling = Watch(*np.linspace(0.01, 0.015, 100))
    found = time_step(falling, Plan(warmup_runs=1, warmup_seconds=0, max_runs=40))
    assert not found.confident


def test_the_interval_of_the_median_covers_it() -> None:
    generator = np.random.default_rng(2)
    inside = 0
    for _ in range(1000):
        low, high = median_interval(generator.lognormal(0, 0.3, 25))
        inside += low <= 1.0 <= high
    assert 0.93 <= inside / 1000 <= 0.99
    # By hand, n = 9: 4.5 -+ 1.96 * 3 / 2 = 1.56 and 7.44, hence the 2nd and the 9th.
    assert median_interval(np.arange(1.0, 10.0)) == (2.0, 9.0)


def test_ordinary_jitter_is_no_interruption() -> None:
    equal = np.full(20, 1.0)
    equal[3] = 1.02
    assert len(without_interruptions(equal)) == 20
    equal[3] = 1.5
    assert len(without_interruptions(equal)) == 19


@pytest.mark.parametrize(
    "wrong", [{"tolerance": 0}, {"min_runs": 0}, {"min_runs": 9, "max_runs": 3}]
)
def test_plans_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Plan(**wrong)


# --------------------------------------------------------------------- records


def record(**changes: Any) -> Record:
    values: dict[str, Any] = {
        "source": "zoo:fasternet_t0", "batch": 1, "precision": "fp32", "execution": "eager",
        "device": "cpu", "threads": 1, "seconds": 0.01, "low": 0.009, "high": 0.011, "runs": 12,
        "confident": True, "started": "2026-01-01T00:00:00+00:00", "machine": MACHINE,
    }  # fmt: skip
    return Record(**{**values, **changes})


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    written = [record(batch=b, input_shape=(3, 8, 8)) for b in (1, 2, 3)]
    for entry in written:
        append_record(path, entry)
    assert read_records(path) == written
    assert len(path.read_text().splitlines()) == 3


def test_a_cut_off_line_is_passed_over_and_mended(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    append_record(path, record())
    with path.open("a") as file:
        file.write(record(batch=2).model_dump_json()[:50])
    assert read_records(path) == [record()]
    append_record(path, record(batch=3))
    assert [entry.batch for entry in read_records(path)] == [1, 3]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "r.jsonl:2: not JSON"),
        ('{"schema_version": 2}', "r.jsonl:2: schema_version 2"),
        ('{"schema_version": 1}', "r.jsonl:2: source"),
        ("[1]", "schema_version None"),
    ],
)
def test_broken_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "r.jsonl"
    append_record(path, record())
    with path.open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(UsageError, match=message):
        read_records(path)


@pytest.mark.parametrize(
    "wrong",
    [{"seconds": 0}, {"seconds": 1.0}, {"precision": "fp7"}, {"batch": 0}, {"more": 1}],
)
def test_records_are_validated(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        record(**wrong)


def test_the_schema_describes_every_field() -> None:
    document = schema()
    assert set(document["properties"]) == set(Record.model_fields)
    assert all("description" in field for field in document["properties"].values())


# ------------------------------------------------------------------- operators


def test_a_grid_is_every_combination() -> None:
    found = expand("op:linear n=1,8 c_in=64,128 c_out=32")
    assert len(found) == 4
    assert found[0] == "op:linear n=1 l=1 c_in=64 c_out=32"
    assert parse(found[-1]) == ("linear", {"n": 8, "l": 1, "c_in": 128, "c_out": 32})
    assert parse("op:relu c=8 h=5")[1]["w"] == 5


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("op:linaer c_in=1", UnknownNameError, "did you mean linear"),
        ("op:linear width=3", UnknownNameError, "it takes n, l, c_in, c_out"),
        ("op:linear c_in=3", UsageError, "no c_out"),
        ("op:linear c_in=0 c_out=2", UsageError, "at least 1"),
        ("op:linear c_in=a c_out=2", UsageError, "whole number"),
    ],
)
def test_bad_operators_are_named(source: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        expand(source)


SIZES = {
    "conv2d": "c_in=8 c_out=16 h=10", "dwconv": "c=8 h=10", "pconv": "c=8 h=10",
    "linear": "l=3 c_in=8 c_out=4", "attention": "heads=2 l=5 d=4", "layer_norm": "l=3 c=8",
    "batch_norm": "c=4 h=6", "group_norm": "c=4 h=6 groups=2", "softmax": "l=3 c=7",
    "gelu": "l=3 c=7", "relu": "c=4 h=6", "add": "c=4 h=6",
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_is_traced_and_run(name: str) -> None:
    source = f"op:{name} n=2 {SIZES[name]}"
    graph = operator_graph(source)
    assert graph.batch == 2
    assert graph.cost().bytes > 0
    with prepared(Job(source, 2, None, RunConditions(), "cpu", 1)) as ready:
        assert ready.parameters == graph.parameters
        assert ready.stopwatch(2) > 0


def test_macs_of_operators_worked_by_hand() -> None:
    macs = {
        "op:conv2d n=2 c_in=8 c_out=16 h=10": 2 * 16 * 8 * 9 * 100,
        "op:dwconv n=2 c=8 h=10": 2 * 8 * 9 * 100,
        "op:pconv n=2 c=8 h=10": 2 * 2 * 2 * 9 * 100,
        "op:linear n=2 l=3 c_in=8 c_out=4": 2 * 3 * 8 * 4,
        "op:attention n=2 heads=2 l=5 d=4": 2 * 2 * 2 * 5 * 5 * 4,
    }
    for source, expected in macs.items():
        assert operator_graph(source).cost().macs == expected


def test_grid_files(tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text("operators:\n  - {op: linear, n: [1, 8], c_in: 64, c_out: 64}\n")
    assert len(read_grid(path)) == 2
    for text in ("", "operators: []", "operators: [{n: 1}]", "a: [", "operators: [{op: 1}]"):
        path.write_text(text)
        with pytest.raises(UsageError):
            read_grid(path)


# ------------------------------------------------------------------- measuring


@contextmanager
def fake(job: Job) -> Iterator[Prepared]:
    if "fails" in job.source:
        raise TraceError("the gate is closed")
    yield Prepared(Watch(0.001 * job.batch), 7)


def test_measuring_is_resumed_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    wanted = jobs(["zoo:a", "zoo:fails"], [1, 2], [RunConditions()], "cpu", [1])
    assert len(wanted) == 4
    run = measure(wanted, path, MACHINE, QUICK, fake, clock=lambda: 2e9)
    first = next(run)
    assert isinstance(first, Record)
    del run  # stopped by hand after the first
    left = remaining(path, wanted, MACHINE)
    assert [(job.source, job.batch) for job in left] == [
        ("zoo:a", 2), ("zoo:fails", 1), ("zoo:fails", 2),
    ]  # fmt: skip
    found = list(measure(left, path, MACHINE, QUICK, fake, clock=lambda: 2e9))
    assert [type(entry) for entry in found] == [Record, Failure, Failure]
    assert [entry.seconds for entry in read_records(path)] == pytest.approx([0.001, 0.002])
    assert read_records(path)[0].clock.before == 2e9
    assert [job.source for job in remaining(path, wanted, MACHINE)] == ["zoo:fails"] * 2
    other = MACHINE.model_copy(update={"processor": "another"})
    assert len(remaining(path, wanted, other)) == 4


def test_jobs_are_all_combinations_and_operators_have_their_own_batch() -> None:
    ways = [RunConditions(p, compiled=c) for p in ("fp32", "bf16") for c in (False, True)]
    found = jobs(["zoo:a", "op:relu n=3 c=2 h=4"], [1, 8], ways, "cpu", [1, 2])
    assert len([job for job in found if job.source == "zoo:a"]) == 2 * 4 * 2
    operators = [job for job in found if job.source.startswith("op:")]
    assert len(operators) == 4 * 2
    assert {job.batch for job in operators} == {3}
    assert jobs(["zoo:a"], [1], ways[:1], "cuda", [None])[0].threads is None
    cores = len(physical_cores())
    assert jobs(["zoo:a"], [1], ways[:1], "cpu", [None])[0].threads == cores


def test_this_machine_describes_itself() -> None:
    found = describe()
    assert found.cores >= 1
    assert found.software["torch"]
    assert found.processor


def test_pinning_is_undone() -> None:
    before = available_cores()
    with pinned(1):
        assert len(available_cores()) in (1, len(before))
    assert available_cores() == before
    with pytest.raises(UsageError, match="cores"), pinned(10_000):
        pass


MODEL = """
import torch
from torch import nn

class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.register_buffer("index", torch.arange(4))

    def forward(self, x):
        assert not x.is_meta and x.abs().sum() > 0, "real values"
        assert self.index.tolist() == [0, 1, 2, 3]
        assert not torch.is_grad_enabled() and not self.training
        self.seen = (x.dtype, torch.get_num_threads(), x.is_contiguous())
        return self.conv(x)

def small():
    return Small()

small.input_shape = (3, 8, 8)

def plain():
    return nn.Conv2d(3, 8, 3)

def closed():
    class Closed(nn.Module):
        def forward(self, x):
            raise ValueError("the gate is closed")
    return Closed()
"""


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "small.py"
    path.write_text(MODEL)
    return f"{path}:small"


def test_a_model_runs_for_real_under_its_conditions(model: str) -> None:
    import torch

    before = torch.get_num_threads()
    for policy in ("fp32", "bf16", "amp-bf16"):
        for layout in ("nchw", "nhwc"):
            job = Job(model, 2, None, RunConditions(policy, layout), "cpu", 1)
            with prepared(job) as ready:
                assert ready.stopwatch(1) > 0
                assert ready.parameters == 3 * 8 * 9 + 8
    assert torch.get_num_threads() == before


def test_failures_name_the_model_and_its_error(model: str) -> None:
    broken = model.replace(":small", ":closed")
    with (
        pytest.raises(TraceError, match="the gate is closed"),
        prepared(Job(broken, 1, (3, 8, 8), RunConditions(), "cpu", 1)),
    ):
        pass
    for source, policy in (("hf:gpt2", "fp32"), (model, "tf32"), (model, "int8")):
        with (
            pytest.raises(UsageError),
            prepared(Job(source, 1, None, RunConditions(policy), "cpu", 1)),
        ):
            pass


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*words: str) -> tuple[int, str, str]:
        code = main(list(words))
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_measure_then_validate(run: Any, model: str, tmp_path: Path) -> None:
    path = tmp_path / "here.jsonl"
    plain = model.replace(":small", ":plain")
    words = ("measure", plain, "op:linear n=2 c_in=8 c_out=8", "-o", str(path), "-b", "1,2")
    quick = ("--max-seconds", "0.01", "--tolerance", "90", "--threads", "1", "-i", "3x8x8")
    code, out, err = run(*words, *quick)
    assert (code, out) == (0, "")
    assert "measured 3, 0 were there already" in err
    code, _, err = run(*words, *quick)
    assert code == 0
    assert "measured 0, 3 were there already" in err
    records = read_records(path)
    assert [r.batch for r in records] == [1, 2, 2]
    assert {(r.threads, r.device) for r in records} == {(1, "cpu")}
    against = ("validate", "--against", str(path), "-d", "epyc-73f3", "-f", "json")
    found = json.loads(run(*against)[1])
    assert found["n"] == 3
    assert found["device"] == "epyc-73f3@1"
    assert [row["measured_s"] for row in found["rows"]] == [r.seconds for r in records]
    code, _, err = run("validate", "--against", str(path), "-d", "t4")
    assert code == 2
    assert "no measurement of this kind of device" in err


def test_a_failing_model_does_not_stop_the_others(run: Any, model: str, tmp_path: Path) -> None:
    path = tmp_path / "here.jsonl"
    broken = model.replace(":small", ":closed")
    quick = ("--max-seconds", "0.01", "--tolerance", "90", "--threads", "1", "-i", "3x8x8")
    code, _, err = run("measure", broken, model, "-o", str(path), *quick)
    assert code == 1
    assert "the gate is closed" in err
    assert len(read_records(path)) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("zoo:resnet50",), "-o FILE.jsonl"),
        (("-o", "x.jsonl"), "nothing to measure"),
        (("zoo:resnet50", "-o", "x.jsonl", "-p", "int8"), "measuring takes"),
        (("zoo:resnet50", "-o", "x.jsonl", "-p", "tf32"), "only GPUs"),
        (("zoo:resnet50", "-o", "x.jsonl", "--device", "tpu"), "cpu or cuda"),
        (("zoo:resnet50", "-o", "x.jsonl", "--execution", "fast"), "eager or compiled"),
        (("zoo:resnet50", "-o", "x.jsonl", "--tolerance", "0"), "between 0 and 1"),
        (("op:fft n=2", "-o", "x.jsonl"), "unknown operator"),
        (("zoo:resnet50", "-o", "/no/such/folder/x.jsonl", "--max-seconds", "0"), "cannot write"),
    ],
)
def test_bad_usage_exits_with_2(run: Any, words: tuple[str, ...], message: str) -> None:
    if "cannot write" in message:
        words = ("op:relu c=2 h=2", *words[1:], "--tolerance", "90", "--threads", "1")
    code, _, err = run("measure", *words)
    assert code == 2
    assert message in err
