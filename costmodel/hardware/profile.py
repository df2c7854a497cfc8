"""A device as the roofline sees it: peaks, bandwidths, clocks and sizes, each with its source.

The file of a device mirrors `DeviceProfile` and its parts (`parts.py`) field by field; its name is
the device's id. Numbers are kept as written (`quantity.py`); the accessors of `DeviceProfile`
return SI floats for the whole device, or None for what is not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from costmodel.hardware.dtypes import canonical_dtype
from costmodel.hardware.parts import (
    Achievable,
    ClockKind,
    Compute,
    EnergyCosts,
    Engine,
    Link,
    MemoryLevel,
    Peak,
    Source,
)
from costmodel.hardware.quantity import Duration, Entry, Number, Power

if TYPE_CHECKING:
    from rich.table import Table

DeviceKind = Literal["gpu", "cpu", "npu", "tpu", "mcu"]


class DeviceProfile(Entry):
    """One device. Accessors return SI floats for the whole device; None is unknown."""

    id: str = Field(description="Name of the file.")
    name: str = Field(description="Marketing name in full.", min_length=2)
    vendor: str = Field(description="Who makes it.", min_length=2)
    kind: DeviceKind = Field(description="gpu, cpu, npu, tpu or mcu (microcontroller).")
    year: int = Field(description="Year of first availability.", ge=1990, le=2100, strict=True)
    microarchitecture: str = Field(description="Architecture and chip, such as Volta (GV100).")
    aliases: tuple[str, ...] = Field(
        default=(), description="Other names, among them those that drivers print."
    )
    note: str | None = Field(
        default=None, description="What the profile covers, where that is not plain."
    )
    sources: dict[str, Source] = Field(description="Documents by the key that numbers cite.")
    compute: Compute = Field(description="Units and clocks.")
    peaks: tuple[Peak, ...] = Field(
        description="Dense peaks, one row per dtype, engine and accumulate type."
    )
    memory: tuple[MemoryLevel, ...] = Field(description="Memory levels, innermost first.")
    power: Power = Field(
        alias="board_power", description="Board power limit, or the chip's thermal design power."
    )
    energy: EnergyCosts = Field(
        default=EnergyCosts(), description="Energy per operation and byte, and static power."
    )
    interconnect: tuple[Link, ...] = Field(default=(), description="Links to host and peers.")
    launch: Duration = Field(
        alias="launch_overhead",
        description="From the host's call of one operator to its start on the device, eager mode.",
    )
    achievable: Achievable = Field(
        default=Achievable(), description="Measured shares of the peaks."
    )

    @property
    def units(self) -> float:
        """Number of SMs, CUs or cores."""
        return self.compute.units.si or 1.0

    @property
    def levels(self) -> tuple[str, ...]:
        """Names of the memory levels, innermost first."""
        return tuple(level.name for level in self.memory)

    @property
    def main_memory(self) -> str:
        """Name of the outermost level that tensors live in: dram, or sram where there is none."""
        data_levels = [name for name in self.levels if name != "flash"]
        return data_levels[-1] if data_levels else self.levels[-1]

    @property
    def board_power(self) -> float | None:
        """Power limit in W."""
        return self.power.si

    @property
    def launch_overhead(self) -> float | None:
        """Seconds from an eager operator call to its start on the device."""
        return self.launch.si

    @property
    def vector_width_bits(self) -> float | None:
        """Bits of a CPU's vector register."""
        width = self.compute.vector_width
        return None if width is None else width.si

    def clock(self, kind: ClockKind = "boost") -> float | None:
        """Return a clock in Hz; the boost clock for matrix work too, where there is but one."""
        clocks = self.compute.clocks
        named = {
            "base": clocks.base,
            "boost": clocks.boost,
            "matrix_boost": clocks.matrix_boost or clocks.boost,
            "sustained": clocks.sustained,
        }
        return named[kind].si

    def find_peak(
        self, dtype: str, engine: Engine | None = None, accumulate: str | None = None
    ) -> Peak | None:
        """Return the fastest row of `peaks` that fits, None where the device has none.

        A row that does not state its accumulate type fits any.
        """
        dtype = canonical_dtype(dtype)
        accumulate = None if accumulate is None else canonical_dtype(accumulate)
        rows = [
            row
            for row in self.peaks
            if row.dtype == dtype
            and (engine is None or row.engine == engine)
            and (accumulate is None or row.accumulate in (None, accumulate))
            and row.si is not None
        ]
        return max(rows, key=lambda row: row.si or 0.0, default=None)

    def peak(
        self, dtype: str, engine: Engine | None = None, accumulate: str | None = None
    ) -> float | None:
        """Return the dense peak of a dtype in FLOP/s (OP/s for integers), the best that fits."""
        row = self.find_peak(dtype, engine, accumulate)
        return None if row is None else row.si

    def level(self, name: str) -> MemoryLevel | None:
        """Return a memory level, None if the device has none of that name."""
        return next((level for level in self.memory if level.name == name), None)

    def instances(self, level: str) -> float:
        """Return how many of a memory level the device has: one, or one per unit or cluster."""
        found = self.level(level)
        if found is None or found.scope == "device":
            return 1.0
        if found.instances is not None and found.instances.si is not None:
            return found.instances.si
        return self.units

    def bandwidth(
        self, level: str = "dram", *, per: Literal["device", "instance"] = "device"
    ) -> float | None:
        """Return the read bandwidth of a memory level in B/s, of all its instances or of one."""
        found = self.level(level)
        if found is None or found.bandwidth.si is None:
            return None
        return found.bandwidth.si * (self.instances(level) if per == "device" else 1.0)

    def capacity(
        self, level: str = "dram", *, per: Literal["device", "instance"] = "device"
    ) -> float | None:
        """Return the size of a memory level in bytes, of all its instances or of one."""
        found = self.level(level)
        if found is None or found.capacity.si is None:
            return None
        return found.capacity.si * (self.instances(level) if per == "device" else 1.0)

    def ridge_point(
        self, dtype: str, engine: Engine | None = None, level: str = "dram"
    ) -> float | None:
        """Return the intensity in FLOP/B above which work is bound by compute, not by `level`."""
        peak, bandwidth = self.peak(dtype, engine), self.bandwidth(level)
        return None if peak is None or bandwidth is None else peak / bandwidth

    def unknowns(self) -> list[tuple[str, str]]:
        """Return path and reason of every number that is null."""
        return [(path, number.reason or "") for path, number in numbers(self) if number.si is None]

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"DeviceProfile({self.id!r}: {self.name}, {self.kind}, {self.year})"

    def __rich__(self) -> Table:
        from costmodel.hardware.display import profile_table

        return profile_table(self)

    def _repr_html_(self) -> str:
        from costmodel.reports.display import device_html

        return device_html(self)


def numbers(entry: object, path: str = "") -> Iterator[tuple[str, Number]]:
    """Yield every number under a part of a profile, with its path such as "memory[0].capacity"."""
    if isinstance(entry, Number):
        yield path, entry
    elif isinstance(entry, Entry):
        for name, field in type(entry).model_fields.items():
            key = field.alias or name
            yield from numbers(getattr(entry, name), f"{path}.{key}" if path else key)
    elif isinstance(entry, tuple):
        for index, item in enumerate(entry):
            yield from numbers(item, f"{path}[{index}]")
