"""A device as the roofline sees it: peaks, bandwidths, clocks and sizes, each with its source.

The file of a device mirrors these classes field by field; its name is the device's id. Numbers
are kept as written (`quantity.py`); the accessors of `DeviceProfile` return SI floats for the
whole device, or None for what is not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from costmodel.hardware.dtypes import DType, canonical_dtype
from costmodel.hardware.quantity import (
    Bandwidth,
    Capacity,
    Count,
    DataRate,
    Duration,
    Entry,
    Frequency,
    Number,
    Power,
    Share,
    SwitchingEnergy,
    Throughput,
    Width,
)

if TYPE_CHECKING:
    from rich.table import Table

DeviceKind = Literal["gpu", "cpu", "npu", "tpu", "mcu"]
Engine = Literal["scalar", "vector", "matrix"]
ClockKind = Literal["base", "boost", "matrix_boost", "sustained"]
DATE_PATTERN = r"^[12][0-9]{3}(-[01][0-9](-[0-3][0-9])?)?$"
Scope = Literal["unit", "cluster", "device"]
Verified = Literal["vendor", "secondary", "unverified"]


class Source(Entry):
    """A document that numbers are taken from."""

    title: str = Field(description="Title as printed on the document.", min_length=3)
    publisher: str = Field(description="Who published it.", min_length=2)
    section: str = Field(description="Section, table or page that has the numbers.", min_length=1)
    date: str = Field(
        description="Date of the document: YYYY, YYYY-MM or YYYY-MM-DD.",
        json_schema_extra={"type": ["string", "integer"], "pattern": DATE_PATTERN},
    )
    url: str | None = Field(
        default=None, description="Where it can be read.", pattern=r"^https?://\S+$"
    )
    verified: Verified = Field(
        description="vendor: the text of the maker's own document was compared with this file. "
        "secondary: a document by others was, or what others reproduce of the maker's. "
        "unverified: neither was at hand; see README."
    )

    @field_validator("date", mode="before")
    @classmethod
    def _year_alone(cls, value: Any) -> Any:
        return str(value) if type(value) is int else value

    @field_validator("date")
    @classmethod
    def _exists(cls, value: str) -> str:
        padded = value + "-01-01"[len(value) - 4 :] if len(value) in (4, 7) else value
        try:
            date.fromisoformat(padded)
        except ValueError as error:
            raise ValueError(f"expected YYYY, YYYY-MM or YYYY-MM-DD, got {value!r}") from error
        return value


class Clocks(Entry):
    """Clock frequencies of the compute units."""

    base: Frequency = Field(description="Guaranteed under any load within the power limit.")
    boost: Frequency = Field(description="Highest the vendor names; peaks are quoted at it.")
    matrix_boost: Frequency | None = Field(
        default=None,
        description="Highest with the matrix engines at work, where the vendor names another one.",
    )
    sustained: Frequency = Field(
        description="Held under matrix load for minutes, all units busy, at the power limit."
    )


class Cluster(Entry):
    """Cores of another kind on the same chip, not counted in the profile's peaks."""

    name: str = Field(description="The cores' name, such as Cortex-A55.")
    units: Count = Field(description="How many there are.")
    clock: Frequency = Field(description="Their highest clock.")


class Compute(Entry):
    """What calculates, and how fast it is clocked."""

    unit_name: str = Field(description="What a unit is called: SM, CU, core, Xe-core, tile, chip.")
    units: Count = Field(description="Number of units that are enabled.")
    clocks: Clocks = Field(description="Clock frequencies of the units.")
    vector_lanes: Count | None = Field(
        default=None, description="float32 lanes with a fused multiply-add each, per unit."
    )
    matrix_engines: Count | None = Field(
        default=None,
        description="Matrix engines (tensor cores, matrix cores, systolic arrays) per unit.",
    )
    vector_width: Width | None = Field(
        default=None, description="Width of a CPU's vector registers."
    )
    fma_units: Count | None = Field(
        default=None,
        description="Fused multiply-add instructions of full width per cycle and CPU core.",
    )
    threads: Count | None = Field(default=None, description="Hardware threads per unit.")
    registers: Capacity | None = Field(default=None, description="Register file per unit.")
    shared_memory: Capacity | None = Field(
        default=None, description="Most scratchpad memory that a unit's running kernels can hold."
    )
    others: tuple[Cluster, ...] = Field(
        default=(), description="Other kinds of cores on the chip, left out of units and peaks."
    )


class Peak(Throughput):
    """The dense peak of one dtype on one engine, whole device. Sparse figures never enter."""

    dtype: DType = Field(description="Format of the operands.")
    engine: Engine = Field(
        description="scalar: one at a time. vector: SIMD or CUDA lanes. matrix: tensor cores "
        "and their like."
    )
    accumulate: DType | None = Field(
        default=None,
        description="Format of the sums, where the rate depends on it (matrix engines).",
    )
    per_clock: float | None = Field(
        default=None,
        description="Operations per clock cycle and unit; a fused multiply-add counts two. "
        "Checked: value = units x per_clock x clock within 3 %.",
        gt=0,
        strict=True,
    )
    clock: ClockKind = Field(default="boost", description="Which clock the value is quoted at.")


class MemoryLevel(Entry):
    """One level of the memory hierarchy."""

    name: Literal["l1", "l2", "llc", "dram", "sram", "flash"] = Field(
        description="l1: innermost. llc: a cache behind l2. dram: main memory. sram: on-chip "
        "memory that software manages. flash: program memory of a microcontroller."
    )
    scope: Scope = Field(description="Who shares one instance: a unit, a cluster, the device.")
    instances: Count | None = Field(
        default=None,
        description="How many there are on the device; required when scope is cluster.",
    )
    capacity: Capacity = Field(description="Size of one instance.")
    bandwidth: Bandwidth = Field(
        description="Read bandwidth of one instance, at the highest clock."
    )
    type: str | None = Field(default=None, description="Memory technology, such as HBM2 or GDDR6X.")
    bus_width: Width | None = Field(default=None, description="Data pins of the memory interface.")
    data_rate: DataRate | None = Field(
        default=None,
        description="Rate of one pin. Checked: bandwidth = bus_width x data_rate within 3 %.",
    )
    channels: Count | None = Field(default=None, description="Memory channels of a CPU socket.")
    ecc: Literal["none", "in-line", "side-band", "on-die"] | None = Field(
        default=None,
        description="Error correction: in-line takes bandwidth and capacity, the others do not.",
    )


class Link(Entry):
    """A connection to the host or to other devices."""

    name: str = Field(description="Standard and width, such as PCIe 4.0 x16 or NVLink 3.")
    bandwidth: Bandwidth = Field(description="Sum of all lanes, one direction.")


class Achievable(Entry):
    """Shares of the printed peaks that were measured."""

    dram_bandwidth: Share | None = Field(
        default=None, description="Long reads, of dram's bandwidth."
    )
    matrix_peak: Share | None = Field(
        default=None, description="Large matrix products, of the peak."
    )
    vector_peak: Share | None = Field(default=None, description="Large vector work, of the peak.")


class OperationEnergy(SwitchingEnergy):
    """Energy of one operation of a dtype; a fused multiply-add counts two."""

    dtype: DType = Field(description="Format of the operands.")
    engine: Engine = Field(description="scalar, vector or matrix, as of peaks.")


class ByteEnergy(SwitchingEnergy):
    """Energy of moving one byte to or from a memory level."""

    level: Literal["l1", "l2", "llc", "dram", "sram", "flash"] = Field(
        description="Name of the level, as of memory."
    )


class EnergyCosts(Entry):
    """What work takes in energy, where it is known; the rest follows from the board power."""

    operations: tuple[OperationEnergy, ...] = Field(
        default=(), description="Per operation, by dtype and engine, all that it takes included."
    )
    bytes: tuple[ByteEnergy, ...] = Field(default=(), description="Per byte, by memory level.")
    static: Power | None = Field(
        default=None, description="Drawn while ready for work but idle, at working clocks."
    )


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
