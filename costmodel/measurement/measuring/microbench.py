"""Micro-benchmarks of a machine: matrix peak, bandwidth by size, dispatch, scaling with threads.

Each takes a `Bench`, which times a framework call; the figures follow from the times by counting
FLOPs and bytes. On a CPU they are of the threads in use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from operator import matmul
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from costmodel.measurement.measuring.timing import Plan, Timing, time_step

MATRIX_DTYPES = ("float32", "bfloat16", "float16")
MATRIX_SIZES = (512, 1024, 2048)
"""Edges of the square products; the best rate counts."""
SLOW = 0.2
"""Seconds of a product after which no larger one is tried."""
CHAIN = 64
"""Small operators in a row, so that the clock's own cost does not show."""
PLAN = Plan(tolerance=0.02, warmup_runs=3, warmup_seconds=0.2, min_runs=10, max_seconds=5)


class Bench(Protocol):
    """Times framework calls on one device."""

    def time(self, step: Callable[[], object], plan: Plan = PLAN) -> Timing:
        """Time of one call."""
        ...

    def random(self, *shape: int, dtype: str = "float32") -> Any:
        """A tensor of random numbers on the device."""
        ...


class TorchBench:
    """Calls of torch on "cpu" or "cuda"."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = device

    def time(self, step: Callable[[], object], plan: Plan = PLAN) -> Timing:
        """Time of one call, by the clock of the host or by events of the GPU."""
        import torch

        from costmodel.measurement.measuring.runner import cuda_stopwatch, host_stopwatch

        watch = cuda_stopwatch(step) if self.device == "cuda" else host_stopwatch(step)
        with torch.inference_mode():
            return time_step(watch, plan)

    def random(self, *shape: int, dtype: str = "float32") -> Any:
        """A tensor of random numbers on the device."""
        import torch

        return torch.randn(shape, device=self.device).to(getattr(torch, dtype))


class Bandwidth(NamedTuple):
    """Bandwidth over a working set of some size."""

    bytes: float
    """Working set."""
    rate: float
    """B/s, reads and writes together, the start of the operator left out."""


class CacheLevel(NamedTuple):
    """One cache as the system describes it."""

    level: int
    capacity: int
    """Bytes of one instance."""
    sharers: int
    """Cores that share an instance; the hardware threads of a core are one."""


def matrix_peak(bench: Bench, dtype: str, sizes: Sequence[int] = MATRIX_SIZES) -> float:
    """FLOP/s of the best of several square matrix products: 2 n^3 FLOPs each."""
    best = 0.0
    for size in sizes:
        a, b = (bench.random(size, size, dtype=dtype) for _ in range(2))
        seconds = bench.time(partial(matmul, a, b)).seconds
        best = max(best, 2.0 * size**3 / seconds)
        if seconds > SLOW:  # emulated: larger products would take minutes and gain nothing
            break
    return best


def dispatch_overhead(bench: Bench) -> float:
    """Seconds from one eager operator to the next when each has nothing to do."""
    x = bench.random(1)

    def chain() -> None:
        for _ in range(CHAIN):
            x.abs()

    return bench.time(chain).seconds / CHAIN


def scaling_time(bench: Bench, size: float) -> float:
    """Seconds to scale half of a working set (bytes) into its other half; nothing is allocated."""
    import torch

    count = max(int(size / 8), 1)
    source = bench.random(count)
    target = bench.random(count)
    return bench.time(lambda: torch.mul(source, 2.0, out=target)).seconds


def bandwidth_sweep(bench: Bench, smallest: float, largest: float) -> list[Bandwidth]:
    """Bandwidth over working sets that double from the smallest to the largest, bytes.

    The time of the same call on next to nothing is taken off; where that is most of the time, a
    size is passed over.
    """
    overhead = scaling_time(bench, 8)
    found, size = [], smallest
    while size <= largest:
        taken = scaling_time(bench, size)
        if taken > 2 * overhead:
            found.append(Bandwidth(size, size / (taken - overhead)))
        size *= 2
    return found


def level_bandwidth(points: Sequence[Bandwidth], inner: float, outer: float) -> float | None:
    """The median rate of working sets well inside a level: above 2x the inner, below 0.8x it."""
    import numpy as np

    rates = [point.rate for point in points if 2 * inner <= point.bytes <= 0.8 * outer]
    return float(np.median(rates)) if rates else None


def thread_scaling(bench: Bench, counts: Sequence[int], dtype: str = "float32") -> dict[int, float]:
    """Matrix rate by number of threads, relative to the first."""
    rates = {}
    for count in counts:
        with threads(count):
            rates[count] = matrix_peak(bench, dtype, sizes=MATRIX_SIZES[-1:])
    first = rates[counts[0]]
    return {count: rate / first for count, rate in rates.items()}


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Run with that many threads on as many cores."""
    import torch

    from costmodel.measurement.measuring.machine import pinned

    before = torch.get_num_threads()
    with pinned(count):
        torch.set_num_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def cache_levels(core: Path = Path("/sys/devices/system/cpu/cpu0")) -> list[CacheLevel]:
    """Data caches of the first core, innermost first; empty where the system does not tell."""
    found = []
    try:
        per_core = _listed((core / "topology" / "thread_siblings_list").read_text().strip())
    except (OSError, ValueError):
        per_core = 1
    for entry in sorted((core / "cache").glob("index*")):
        try:
            kind = (entry / "type").read_text().strip()
            level = int((entry / "level").read_text())
            size = (entry / "size").read_text().strip()
            shared = (entry / "shared_cpu_list").read_text().strip()
        except (OSError, ValueError):
            continue
        if kind != "Instruction":
            found.append(CacheLevel(level, _bytes(size), max(1, _listed(shared) // per_core)))
    return sorted(found)


def _bytes(text: str) -> int:
    factor = {"K": 2**10, "M": 2**20, "G": 2**30}.get(text[-1:], 1)
    return int(text.rstrip("KMG")) * factor


def _listed(text: str) -> int:
    """How many numbers a list such as "0-3,8" has."""
    total = 0
    for part in text.split(","):
        first, _, last = part.partition("-")
        total += int(last or first) - int(first) + 1
    return total
