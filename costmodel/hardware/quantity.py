"""A number of a device profile: its value with unit, where it is from, and how it was come by.

    {value: 900 GB/s, source: datasheet, kind: datasheet}
    {value: 897 GB/s, source: whitepaper, kind: derived, how: "4096 bit x 1.752 Gb/s"}
    {value: null, reason: "not published"}

A value keeps the text it was written as; `.si` is the SI float. There is one class per kind of
quantity, and each names the units it takes, so that what looks alike cannot be mistaken: memory
bandwidth comes in decimal bytes (GB/s, never GiB/s or Gb/s), capacity in binary bytes (GiB), the
data rate of a pin in bits (Gb/s).
"""

from __future__ import annotations

import re
from abc import abstractmethod
from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, field_validator
from pydantic_core import CoreSchema

from costmodel import units
from costmodel.errors import UsageError

Kind = Literal["datasheet", "measured", "derived"]


class Entry(BaseModel):
    """A mapping of a profile: frozen, and without fields that the schema does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Number(Entry):
    """A value with its source; or null with the reason why it is not known."""

    source: str | tuple[str, ...] | None = Field(
        default=None,
        description="Key into `sources`; a list of keys where it takes two to be believed, or "
        "where it is calculated from numbers of both.",
    )
    kind: Kind | None = Field(
        default=None,
        description="datasheet: printed in the source. measured: timed by the source. "
        "derived: calculated from what the source prints; see `how`.",
    )
    how: str | None = Field(
        default=None, description="The calculation; required when kind is derived."
    )
    note: str | None = Field(
        default=None, description="What one must know to use the number right."
    )
    reason: str | None = Field(
        default=None, description="Why the value is null; required when it is."
    )

    @property
    @abstractmethod
    def si(self) -> float | None:
        """The value as an SI float; None when it is not known."""


class Quantity(Number):
    """A number with a unit."""

    called: ClassVar[str]
    unit: ClassVar[str]
    accepted: ClassVar[tuple[str, ...]]
    example: ClassVar[str]

    value: str | None = Field(description="Number and unit as text; or null.")

    @field_validator("value", mode="before")
    @classmethod
    def _check_unit(cls, value: Any) -> str | None:
        return None if value is None else cls.check(value)

    @classmethod
    def check(cls, value: Any) -> str:
        """Return `value` if it is text that this quantity takes; raises ValueError if not."""
        expected = f"expected {cls.called} such as {cls.example!r}"
        if not isinstance(value, str):
            raise ValueError(f"{expected}, got {value!r} without a unit")
        if not re.fullmatch(cls.pattern(), value):
            try:
                units.parse(value, cls.unit)
            except UsageError as error:
                why = str(error).partition("; ")[2]  # which unit, and perhaps how to write it
                raise ValueError(f"{expected}, got {value!r}{why and f'; {why}'}") from error
            raise ValueError(f"{expected}, in {' or '.join(cls.accepted)}; got {value!r}")
        if cls.parse(value) <= 0:
            raise ValueError(f"{expected}, above zero; got {value!r}")
        return value

    @classmethod
    def pattern(cls) -> str:
        """Return the regular expression that the text of a value matches."""
        return rf"^[0-9]{{1,9}}(\.[0-9]{{1,9}})? ?({'|'.join(cls.accepted)})$"

    @classmethod
    def parse(cls, value: str) -> float:
        """Return the text of a value as an SI float."""
        return units.parse(value, cls.unit)

    @cached_property
    def si(self) -> float | None:
        """The value as an SI float; None when it is not known."""
        return None if self.value is None else self.parse(self.value)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        schema = handler.resolve_ref_schema(handler(core_schema))
        value = schema["properties"]["value"]
        value["description"] = f"Number and unit ({', '.join(cls.accepted)}) as text; or null."
        value["examples"] = [cls.example]
        value["anyOf"] = [{"type": "string", "pattern": cls.pattern()}, {"type": "null"}]
        return schema


class Throughput(Quantity):
    """Operations per second: FLOP/s of floating-point dtypes, OP/s of integer ones."""

    called = "a throughput"
    unit = "FLOP/s"
    accepted = ("MFLOP/s", "GFLOP/s", "TFLOP/s", "PFLOP/s", "MOP/s", "GOP/s", "TOP/s", "POP/s")
    example = "312 TFLOP/s"

    @classmethod
    def parse(cls, value: str) -> float:
        return units.parse(value, "OP/s" if "OP/s" in value.replace("FLOP", "") else "FLOP/s")


class Bandwidth(Quantity):
    """Bytes per second of a memory level or a link."""

    called = "a bandwidth"
    unit = "B/s"
    accepted = ("MB/s", "GB/s", "TB/s")
    example = "900 GB/s"


class Capacity(Quantity):
    """Size of a memory. Chips come in powers of two, so what is sold as 40 GB is 40 GiB."""

    called = "a capacity"
    unit = "B"
    accepted = ("KiB", "MiB", "GiB", "TiB")
    example = "40 GiB"


class Frequency(Quantity):
    """A clock."""

    called = "a frequency"
    unit = "Hz"
    accepted = ("MHz", "GHz")
    example = "1.53 GHz"


class Power(Quantity):
    """Sustained electrical power."""

    called = "a power"
    unit = "W"
    accepted = ("mW", "W")
    example = "300 W"


class SwitchingEnergy(Quantity):
    """Energy of one operation, or of moving one byte."""

    called = "an energy"
    unit = "J"
    accepted = ("pJ", "nJ")
    example = "2.3 pJ"


class Duration(Quantity):
    """A span of time."""

    called = "a duration"
    unit = "s"
    accepted = ("ns", "us", "ms")
    example = "5 us"


class Width(Quantity):
    """Bits side by side: of a bus or a vector register."""

    called = "a width"
    unit = "b"
    accepted = ("bit",)
    example = "384 bit"


class DataRate(Quantity):
    """Bits per second and pin of a memory bus; DDR4-3200 is 3.2 Gb/s."""

    called = "a data rate"
    unit = "b/s"
    accepted = ("Mb/s", "Gb/s")
    example = "19.5 Gb/s"


class Count(Number):
    """How many there are of something."""

    value: float | None = Field(description="A plain number; or null.", gt=0, strict=True)

    @property
    def si(self) -> float | None:
        """The count itself; None when it is not known."""
        return self.value


class Share(Number):
    """A part of a whole, such as achieved bandwidth of the printed one."""

    value: float | None = Field(description="Between 0 and 1; or null.", gt=0, le=1, strict=True)

    @property
    def si(self) -> float | None:
        """The share itself; None when it is not known."""
        return self.value
