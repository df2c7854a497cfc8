"""The machine at hand: what it is, how fast it is clocked, and keeping to some of its cores."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from costmodel.errors import UsageError
from costmodel.measurement.tables.records import Machine

BUSY = 0.3
"""Load average per core above which timings are not to be trusted."""
PACKAGES = ("costmodel", "torch", "timm", "torchvision", "transformers", "numpy")


def available_cores() -> list[int]:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def physical_cores() -> list[int]:
    """The first hardware thread of each core that this process may run on."""
    found: dict[str, int] = {}
    for core in available_cores():
        path = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
        try:
            siblings = path.read_text().strip()
        except OSError:
            siblings = str(core)
        found.setdefault(siblings, core)
    return list(found.values())


def describe(accelerator: str | None = None) -> Machine:
    """Processor, memory, system and software of this machine."""
    return Machine(
        processor=processor_name(),
        cores=len(available_cores()),
        memory_bytes=memory_bytes(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        accelerator=accelerator,
        software=software(),
    )


def processor_name() -> str:
    """Model of the CPU, as the system prints it."""
    found = _proc_value("model name") or _proc_value("Model")
    return found or platform.processor() or platform.machine() or "unknown"


def processor_flags() -> set[str]:
    """Instruction sets of the CPU, empty where the system does not list them."""
    return set((_proc_value("flags") or _proc_value("Features") or "").split())


def memory_bytes() -> int | None:
    """Main memory, None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def software() -> dict[str, str]:
    """Versions of Python and of the packages that take part."""
    from costmodel import __version__

    found = {"python": platform.python_version(), "costmodel": __version__}
    for name in PACKAGES[1:]:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def clock_hz() -> float | None:
    """Mean frequency of the available cores now, None where the system does not tell."""
    values = []
    for core in available_cores():
        path = Path(f"/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq")
        try:
            values.append(1e3 * float(path.read_text()))
        except (OSError, ValueError):
            continue
    if not values:
        text = _proc_value("cpu MHz")
        values = [1e6 * float(text)] if text else []
    return sum(values) / len(values) if values else None


def load_average() -> float | None:
    """Runnable processes over the last minute, None where the system does not tell."""
    try:
        return round(os.getloadavg()[0], 2)
    except (OSError, AttributeError):
        return None


def busy() -> str | None:
    """A warning if other work keeps the cores from what is to be timed."""
    load, cores = load_average(), len(physical_cores())
    if load is None or load <= BUSY * cores:
        return None
    return f"load average {load:g} on {cores} cores: other work spoils what is timed now"


def _proc_value(key: str) -> str | None:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(rf"^{re.escape(key)}\s*:\s*(.+)$", text, re.M)
    return found[1].strip() if found else None


@contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Keep this process to `threads` cores, where the system allows it.

    Threads go to cores of their own first, then to the further hardware threads of each.

    Raises:
        UsageError: if it has fewer cores.
    """
    cores = available_cores()
    if not 1 <= threads <= len(cores):
        raise UsageError(f"{threads} threads: this process has {len(cores)} cores")
    if not hasattr(os, "sched_setaffinity") or sys.platform == "darwin":
        yield
        return
    own = physical_cores()
    ranked = own + [core for core in cores if core not in own]
    os.sched_setaffinity(0, set(ranked[:threads]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, set(cores))
