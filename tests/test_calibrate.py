"""Calibration against made-up machines whose rates are known, and the profile it writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from costmodel.cli import main
from costmodel.errors import SpecError, UsageError
from costmodel.estimation import estimate
from costmodel.hardware import load_device, validate_file
from costmodel.measurement.measuring import calibration, microbench
from costmodel.measurement.measuring.calibrated_profile import profile_text
from costmodel.measurement.measuring.calibration import Calibration, Level, calibrate
from costmodel.measurement.measuring.microbench import (
    Bandwidth,
    CacheLevel,
    bandwidth_sweep,
    cache_levels,
    dispatch_overhead,
    level_bandwidth,
    matrix_peak,
)
from costmodel.measurement.measuring.timing import Plan, Timing, time_step
from costmodel.tracing.source import load_graph

RATE, START = 2e11, 5e-6
"""FLOP/s and seconds per operator of the made-up machine."""
L1, L2, DRAM = 1e11, 4e10, 1e10
"""B/s for working sets below 32 KiB, below 1 MiB, and above."""


class MadeUp:
    """A machine that takes START for each operator and follows the rates above, without running.

    It watches what the benchmark asks for: sizes of products and working sets.
    """

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def random(self, *shape: int, dtype: str = "float32") -> Any:
        import torch

        self.shapes.append(shape)
        return torch.empty(shape, device="meta", dtype=getattr(torch, dtype))

    def time(self, step: Callable[[], object], plan: Plan = microbench.PLAN) -> Timing:
        quick = Plan(warmup_runs=1, warmup_seconds=0, min_runs=3)
        seconds = self._seconds(getattr(step, "__name__", ""))
        return time_step(lambda repeats: repeats * seconds, quick)

    def _seconds(self, name: str) -> float:
        shape = self.shapes[-1]
        if len(shape) == 2:
            return START + 2.0 * shape[0] ** 3 / RATE
        if name == "chain":
            return START * microbench.CHAIN
        size = 8.0 * shape[0]
        rate = L1 if size <= 2**15 else L2 if size <= 2**20 else DRAM
        return START + size / rate


def test_matrix_peak_counts_two_flops_per_multiply_add() -> None:
    found = matrix_peak(MadeUp(), "float32")
    assert found == pytest.approx(RATE, rel=1e-3)


def test_slow_formats_are_not_tried_at_large_sizes() -> None:
    bench = MadeUp()
    matrix_peak(bench, "float32", sizes=(4096, 100_000))
    assert max(bench.shapes) == (4096, 4096)


def test_dispatch_is_per_operator() -> None:
    assert dispatch_overhead(MadeUp()) == pytest.approx(START)


def test_bandwidths_of_the_levels_are_found() -> None:
    points = bandwidth_sweep(MadeUp(), 2**13, 2**26)
    assert level_bandwidth(points, 2**15, 2**20) == pytest.approx(L2, rel=0.01)
    assert level_bandwidth(points, 2**20, float("inf")) == pytest.approx(DRAM, rel=0.01)
    # 32 KiB at 100 GB/s take 0.3 us beside a start of 5 us: no figure is better than a wrong one.
    assert level_bandwidth(points, 0, 2**15) is None
    assert level_bandwidth([Bandwidth(100, 5.0)], 0, 125) == 5.0


def test_the_benchmarks_run_for_real() -> None:
    bench = microbench.TorchBench()
    for dtype in microbench.MATRIX_DTYPES:
        assert matrix_peak(bench, dtype, sizes=(16,)) > 0
    assert dispatch_overhead(bench) > 0
    assert bandwidth_sweep(bench, 2**22, 2**22)[0].rate > 0
    assert microbench.thread_scaling(bench, [1]) == {1: 1.0}


def write_cache(core: Path, index: int, **values: str) -> None:
    folder = core / "cache" / f"index{index}"
    folder.mkdir(parents=True)
    for name, value in values.items():
        (folder / name).write_text(value + "\n")


def test_caches_as_the_system_lists_them(tmp_path: Path) -> None:
    (tmp_path / "topology").mkdir()
    (tmp_path / "topology" / "thread_siblings_list").write_text("0,8\n")
    common = {"shared_cpu_list": "0,8"}
    write_cache(tmp_path, 0, level="1", type="Data", size="32K", **common)
    write_cache(tmp_path, 1, level="1", type="Instruction", size="32K", **common)
    write_cache(tmp_path, 2, level="2", type="Unified", size="1024K", **common)
    write_cache(tmp_path, 3, level="3", type="Unified", size="32M", shared_cpu_list="0-3,8-11")
    found = cache_levels(tmp_path)
    assert [(c.level, c.capacity, c.sharers) for c in found] == [
        (1, 2**15, 1), (2, 2**20, 1), (3, 2**25, 4),
    ]  # fmt: skip
    assert cache_levels(tmp_path / "nothing") == []


MACHINE = Calibration(
    name="Made-up CPU (4 cores, measured)",
    vendor="AMD",
    kind="cpu",
    microarchitecture="made up",
    unit_name="core",
    units=4,
    clock=3.123456789e9,
    vector_width=256,
    peaks={"float32": 3.3e11, "bfloat16": 6.1e11},
    matrix_engine=frozenset(),
    levels=(
        Level("l1", "unit", 32 * 2**10, None),
        Level("l2", "unit", 2**20, 40e9),
        Level("llc", "device", 32 * 2**20, 90e9),
        Level("dram", "device", 24.5 * 2**30, 31.4e9),
    ),
    dispatch=2.345e-6,
    power=None,
    scaling={1: 1.0, 4: 3.6},
    software={"torch": "2.9"},
)


def test_the_profile_holds_what_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "made-up.yaml"
    path.write_text(profile_text(MACHINE, "made-up", date(2026, 1, 2)))
    assert validate_file(path) == []
    profile = load_device(path)
    assert profile.peak("float32") == pytest.approx(3.3e11)
    assert profile.bandwidth("dram") == pytest.approx(31.4e9)
    assert profile.bandwidth("l2") == pytest.approx(4 * 40e9)
    assert profile.bandwidth("l1") is None
    assert profile.capacity("dram") == pytest.approx(24.5 * 2**30)
    assert profile.launch_overhead == pytest.approx(2.345e-6)
    assert profile.clock("boost") == pytest.approx(3.123e9)
    assert {row.kind for row in profile.peaks} == {"measured"}
    assert profile.memory[-1].bandwidth.kind == "measured"
    assert profile.launch.kind == "measured"
    assert "4: 3.60x" in (profile.note or "")
    assert all(reason for _, reason in profile.unknowns())


@pytest.mark.parametrize(
    "changes",
    [
        {"clock": None},
        {"peaks": {"float32": 3.3e11}},
        {"vector_width": None},
        {"power": 65.0},
        {"levels": (Level("llc", "cluster", 2**25, 9e10, 2), MACHINE.levels[-1])},
        {
            "kind": "gpu", "units": 132, "lanes": 128, "clock": 1.98e9, "power": 700.0,
            "peaks": {"float32": 50e12, "tf32": 400e12, "float16": 700e12},
            "matrix_engine": frozenset({"tf32", "float16"}),
            "levels": (
                Level("l2", "device", 50 * 2**20, 5.5e12), Level("dram", "device", 141e9, 4e12),
            ),
        },
    ],
)  # fmt: skip
def test_every_machine_makes_a_valid_profile(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "made-up.yaml"
    path.write_text(profile_text(replace(MACHINE, **changes), "made-up"))
    assert validate_file(path) == []
    found = estimate(load_graph("zoo:fasternet_t0"), load_device(path), 8)
    assert 0 < found.latency < 1


def test_an_emulated_format_is_no_peak(tmp_path: Path) -> None:
    path = tmp_path / "made-up.yaml"
    peaks = {**MACHINE.peaks, "float16": 0.61e9}
    path.write_text(profile_text(replace(MACHINE, peaks=peaks), "made-up"))
    profile = load_device(path)
    assert profile.peak("float16") is None
    assert "float16 is emulated" in (profile.note or "")


def test_a_cache_slower_than_what_is_behind_it_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "made-up.yaml"
    l1, l2, llc, dram = MACHINE.levels
    slow = (
        replace(l1, bandwidth=8e9), l2, replace(llc, bandwidth=7.9e9), replace(dram, bandwidth=7e9)
    )  # fmt: skip
    path.write_text(profile_text(replace(MACHINE, levels=slow), "made-up"))
    profile = load_device(path)
    assert profile.bandwidth("l1") is None
    assert profile.bandwidth("llc") is None
    assert profile.bandwidth("l2") == pytest.approx(4 * 40e9)
    reasons = dict(profile.unknowns())
    assert "less than of l2 behind it" in reasons["memory[0].bandwidth"]
    assert "was the machine busy?" in reasons["memory[2].bandwidth"]


def test_a_profile_that_cannot_be_is_refused() -> None:
    with pytest.raises(SpecError, match="ridge point"):
        profile_text(replace(MACHINE, peaks={"float32": 9e15}), "made-up")
    with pytest.raises(UsageError, match="lower case"):
        profile_text(MACHINE, "Made Up")


def test_the_whole_run_on_a_made_up_bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    caches = [CacheLevel(1, 2**15, 1), CacheLevel(2, 2**20, 1)]
    monkeypatch.setattr(calibration, "cache_levels", lambda: caches)
    monkeypatch.setattr(calibration, "clock_hz", lambda: 2.6e9)
    monkeypatch.setattr(calibration, "LEAST_DRAM_SET", 2**26)
    said: list[str] = []
    found = calibrate("cpu", MadeUp(), said.append)
    assert found.peaks["float32"] == pytest.approx(RATE, rel=1e-3)
    assert found.dispatch == pytest.approx(START)
    assert found.scaling[1] == 1
    assert len(said) >= 5
    path = tmp_path / "here.yaml"
    path.write_text(profile_text(found, "here"))
    assert validate_file(path) == []


def test_the_command_writes_a_profile(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(calibration, "calibrate", lambda device, say: MACHINE)
    path = tmp_path / "here.yaml"
    assert main(["calibrate", "-o", str(path)]) == 0
    assert main(["devices", "validate", str(path)]) == 0
    assert main(["calibrate", "-o", str(path)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["calibrate", "-o", str(path), "--force"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "-o FILE.yaml"),
        (("-o", "profile.json"), "a profile is a .yaml file"),
        (("-o", "My Machine.yaml"), "lower case"),
        (("-o", "here.yaml", "--device", "abacus"), "cpu or cuda"),
    ],
)
def test_bad_usage_exits_with_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["calibrate", *words]) == 2
    assert message in capsys.readouterr().err
