"""The project's own measurements: one JSON object per line, appended, never rewritten.

A line says what ran, how, where, how long it took and how sure that is. Lines of other schema
versions are refused; a last line that was cut off (the machine went down) is passed over.
`python -m costmodel.measurement.tables.records` prints the JSON Schema of a line.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from costmodel.errors import UsageError
from costmodel.measurement.tables.conditions import AUTOCAST, RunConditions
from costmodel.roofline.precision import PRECISIONS

SCHEMA_VERSION = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Clock(_Part):
    """Frequencies seen during a run, in Hz; None where the system does not tell."""

    before: float | None = Field(default=None, description="Before the first timed run, Hz.", gt=0)
    after: float | None = Field(default=None, description="After the last timed run, Hz.", gt=0)


class Machine(_Part):
    """Where it was measured."""

    processor: str = Field(description="Model of the CPU, as the system prints it.")
    cores: int = Field(description="Cores available to the process.", ge=1)
    memory_bytes: int | None = Field(default=None, description="Main memory, bytes.", gt=0)
    system: str = Field(description="Operating system and its version.")
    accelerator: str | None = Field(
        default=None, description="Name of the accelerator as its driver prints it, if used."
    )
    software: dict[str, str] = Field(description="Versions by package name.")


class Record(_Part):
    """One measured step of one model or operator."""

    schema_version: Literal[1] = Field(default=1, description="Version of this format.")
    source: str = Field(
        description='What ran: "timm:resnet50" or "op:linear n=8 ...".', min_length=3
    )
    batch: int = Field(description="Samples per step.", ge=1)
    input_shape: tuple[int, ...] | None = Field(
        default=None, description="Shape of one sample; null for the model's own."
    )
    precision: str = Field(description="fp32, tf32, bf16, fp16, amp-fp16 or amp-bf16.")
    layout: Literal["nchw", "nhwc"] = Field(default="nchw", description="Memory layout of images.")
    execution: Literal["eager", "compiled"] = Field(description="How the framework ran it.")
    fast_norm: bool = Field(default=False, description="Norms in the precision of autocast.")
    device: Literal["cpu", "cuda"] = Field(description="Where it ran.")
    threads: int | None = Field(default=None, description="CPU threads; null on a GPU.", ge=1)
    parameters: int | None = Field(default=None, description="Of the model.", ge=0)
    seconds: float = Field(description="Median time of a step, s.", gt=0)
    low: float = Field(description="Lower end of the median's 95% confidence interval, s.", gt=0)
    high: float = Field(description="Upper end of the same, s.", gt=0)
    runs: int = Field(description="Timed runs that count.", ge=1)
    outliers: int = Field(default=0, description="Timed runs that were set aside.", ge=0)
    warmup: int = Field(default=0, description="Runs before the first timed one.", ge=0)
    confident: bool = Field(description="Whether the interval is as narrow as was asked for.")
    load: float | None = Field(
        default=None, description="Load average of the last minute, before the run.", ge=0
    )
    clock: Clock = Field(default=Clock(), description="Frequencies during the run.")
    started: str = Field(description="When, in UTC, ISO 8601.")
    machine: Machine = Field(description="Where.")

    @model_validator(mode="after")
    def _consistent(self) -> Record:
        if not self.low <= self.seconds <= self.high:
            raise ValueError("expected low <= seconds <= high")
        if self.precision not in (*PRECISIONS, *AUTOCAST):
            raise ValueError(f"unknown precision {self.precision!r}")
        return self

    @property
    def conditions(self) -> RunConditions:
        """How it was run."""
        return RunConditions(
            self.precision, self.layout, self.execution == "compiled", self.fast_norm
        )

    @property
    def key(self) -> tuple[Any, ...]:
        """What must be equal for a run to be the same measurement once more."""
        where = self.machine.accelerator or self.machine.processor
        return (
            self.source, self.batch, self.input_shape, self.precision, self.layout,
            self.execution, self.fast_norm, self.device, self.threads, where,
        )  # fmt: skip


def read_records(path: Path) -> list[Record]:
    """All records of a file.

    Raises:
        UsageError: with file and line, if the file is missing or a whole line is no record.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    return list(_parsed(path, text))


def _parsed(path: Path, text: str) -> Iterator[Record]:
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            document = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == len(lines):  # no line break behind it: cut off while being written
                return
            raise UsageError(f"{path}:{number}: not JSON: {error}") from None
        version = document.get("schema_version") if isinstance(document, dict) else None
        if version != SCHEMA_VERSION:
            raise UsageError(
                f"{path}:{number}: schema_version {version!r}; this release reads {SCHEMA_VERSION}"
            )
        try:
            yield Record.model_validate(document)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"])) or "record"
            raise UsageError(f"{path}:{number}: {place}: {first['msg']}") from None


def append_record(path: Path, record: Record) -> None:
    """Add one line, whole or not at all; a line that was cut off before it is removed first.

    Processes that add to the same file wait for each other where the system has file locks.

    Raises:
        UsageError: if the file cannot be written.
    """
    line = (record.model_dump_json() + "\n").encode()
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            _lock(handle)
            size = _whole_lines(handle)
            os.ftruncate(handle, size)
            try:
                if os.write(handle, line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(handle)
            except OSError:
                os.ftruncate(handle, size)
                raise
        finally:
            os.close(handle)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error


def _lock(handle: int) -> None:
    """Wait until no other process holds the file; closing it lets the next one in."""
    try:
        import fcntl
    except ImportError:
        return  # Windows, which has others
    with suppress(OSError):  # a file system without locks
        fcntl.flock(handle, fcntl.LOCK_EX)


def _whole_lines(handle: int) -> int:
    """Size of a file up to its last line break, if its last line is no whole record."""
    size = os.fstat(handle).st_size
    start = max(0, size - 2**20)
    os.lseek(handle, start, os.SEEK_SET)
    tail = os.read(handle, size - start)
    if not tail or tail.endswith(b"\n"):
        return size
    return start + tail.rfind(b"\n") + 1


def schema() -> dict[str, Any]:
    """JSON Schema of a line."""
    return Record.model_json_schema()


def known_keys(records: Iterable[Record]) -> set[tuple[Any, ...]]:
    """Keys of what a file holds already."""
    return {record.key for record in records}


if __name__ == "__main__":
    json.dump(schema(), sys.stdout, indent=2)
