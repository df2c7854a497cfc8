"""Tables of measured GPU kernels: one CSV (or CSV.gz) per operator, one row per run.

Columns: opname, latency_ms, device, kernel_name, the launch (grid_x ... block_z), and the sizes
of the operator: b, h of row operators; b, m, n, k of products, (m x n) by (n x k) in b batches;
b, input_channel ... padding of convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from costmodel.errors import UsageError
from costmodel.measurement.tables.csv_files import csv_rows

Array = np.ndarray

LARGEST = 1e15
"""Numbers of a table lie below: of what is larger, products overflow."""

ROW_SIZES = ("b", "h")
PRODUCT_SIZES = ("b", "m", "n", "k")
CONVOLUTION_SIZES = (
    "b", "input_channel", "output_channel", "kernel_size", "input_size", "stride", "padding",
)  # fmt: skip
SIZES: dict[str, tuple[str, ...]] = {
    "add": ROW_SIZES, "gelu": ROW_SIZES, "relu": ROW_SIZES, "softmax": ROW_SIZES, "ln": ROW_SIZES,
    "linear": PRODUCT_SIZES, "bmm": PRODUCT_SIZES, "conv": CONVOLUTION_SIZES,
}  # fmt: skip
"""Size columns by operator name."""


@dataclass(frozen=True)
class KernelTable:
    """Measured runs of one operator; arrays are (rows,)."""

    operator: str
    device: Array
    """Names as the driver prints them, str."""
    latency: Array
    """Seconds between two events around the operator."""
    sizes: dict[str, Array]
    """Float arrays by column name."""
    kernel: Array
    """Names of the kernels, str."""
    blocks: Array
    """Blocks of the launch."""

    def __len__(self) -> int:
        return len(self.latency)

    @property
    def devices(self) -> tuple[str, ...]:
        """Distinct device names, in the order of the file."""
        return tuple(dict.fromkeys(self.device.tolist()))

    def take(self, rows: Array) -> KernelTable:
        """Keep some rows, by index or mask."""
        return KernelTable(
            self.operator,
            self.device[rows],
            self.latency[rows],
            {name: column[rows] for name, column in self.sizes.items()},
            self.kernel[rows],
            self.blocks[rows],
        )

    def of_device(self, name: str) -> KernelTable:
        """Keep the rows of one device."""
        return self.take(self.device == name)

    @property
    def work(self) -> Array:
        """A number that grows with the operator's work: the product of its sizes."""
        skipped = ("stride", "padding")
        work: Array = np.prod([v for k, v in self.sizes.items() if k not in skipped], axis=0)
        return work


def read_kernels(path: Path | str) -> KernelTable:
    """Read one table.

    Raises:
        UsageError: with file and line, if the file is missing or empty, lacks a column, holds
            another operator, or a number that is not positive.
    """
    path = Path(path)
    with csv_rows(path) as reader:
        header = tuple(reader.fieldnames or ())
        sizes = _sizes_of(path, header)
        needed = ("opname", "latency_ms", "device", "kernel_name", "grid_x", "grid_y", "grid_z")
        missing = [name for name in needed if name not in header]
        if missing:
            raise UsageError(f"{path}:1: no column {', '.join(missing)}")
        operators, devices, kernels = [], [], []
        numbers: list[list[float]] = []
        columns = ("latency_ms", "grid_x", "grid_y", "grid_z", *sizes)
        for row in reader:
            line = reader.line_num
            numbers.append([_number(path, line, name, row[name]) for name in columns])
            operators.append(row["opname"])
            devices.append(row["device"])
            kernels.append(row["kernel_name"])
    if not numbers:
        raise UsageError(f"{path}: no rows")
    if len(set(operators)) > 1 or operators[0] not in SIZES:
        raise UsageError(
            f"{path}: expected one operator of {', '.join(SIZES)}; found "
            f"{', '.join(sorted(set(operators)))}"
        )
    values = np.array(numbers)
    return KernelTable(
        operators[0],
        np.array(devices),
        values[:, 0] * 1e-3,
        {name: values[:, 4 + i] for i, name in enumerate(sizes)},
        np.array(kernels),
        values[:, 1:4].prod(1),
    )


def read_kernel_folder(folder: Path | str, operators: Sequence[str]) -> dict[str, KernelTable]:
    """Read OPERATOR.csv or OPERATOR.csv.gz from a folder.

    Raises:
        UsageError: if a table is missing or broken.
    """
    tables = {}
    for operator in operators:
        candidates = [Path(folder) / f"{operator}.csv{end}" for end in ("", ".gz")]
        found = next((path for path in candidates if path.is_file()), None)
        if found is None:
            raise UsageError(f"{folder}: neither {candidates[0].name} nor {candidates[1].name}")
        tables[operator] = read_kernels(found)
    return tables


def _sizes_of(path: Path, header: tuple[str, ...]) -> tuple[str, ...]:
    for sizes in (CONVOLUTION_SIZES, PRODUCT_SIZES, ROW_SIZES):
        if all(name in header for name in sizes):
            return sizes
    raise UsageError(
        f"{path}:1: no sizes; expected the columns {', '.join(ROW_SIZES)}, or "
        f"{', '.join(PRODUCT_SIZES)}, or {', '.join(CONVOLUTION_SIZES)}"
    )


def _number(path: Path, line: int, name: str, text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = float("nan")
    if not (0 < value < LARGEST or (value == 0 and name == "padding")):
        raise UsageError(f"{path}:{line}: {name} is {text!r}; expected a positive number")
    return value
