"""The parts of a device's file: sources, compute, peaks, memory, links and energy."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from pydantic import Field, field_validator

from costmodel.hardware.dtypes import DType
from costmodel.hardware.quantity import (
    Bandwidth,
    Capacity,
    Count,
    DataRate,
    Entry,
    Frequency,
    Power,
    Share,
    SwitchingEnergy,
    Throughput,
    Width,
)

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
