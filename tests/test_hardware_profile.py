"""What a profile answers, on a device small enough to check by hand."""

import io

import pytest

from costmodel.errors import UnknownNameError
from costmodel.hardware import load_device
from costmodel.hardware.dtypes import canonical_dtype
from costmodel.hardware.profile import numbers
from costmodel.hardware.validation import parse_profile

TEXT = """\
name: A GPU of two units
vendor: Nobody
kind: gpu
year: 2020
microarchitecture: None
aliases: [Two]
sources:
  sheet: {title: A datasheet, publisher: Nobody, section: all, date: 2020, verified: vendor}
compute:
  unit_name: SM
  units: {value: 2, source: sheet, kind: datasheet}
  clocks:
    base: {value: 800 MHz, source: sheet, kind: datasheet}
    boost: {value: 1 GHz, source: sheet, kind: datasheet}
    sustained: {value: null, reason: not published}
  vector_lanes: {value: 64, source: sheet, kind: datasheet}
peaks:
  - {dtype: float32, engine: vector, value: 256 GFLOP/s, per_clock: 128, source: sheet,
     kind: datasheet}
  - {dtype: float16, engine: vector, value: 512 GFLOP/s, per_clock: 256, source: sheet,
     kind: datasheet}
  - {dtype: float16, engine: matrix, accumulate: float32, value: 1 TFLOP/s, per_clock: 512,
     source: sheet, kind: datasheet}
  - {dtype: float16, engine: matrix, accumulate: float16, value: 2 TFLOP/s, per_clock: 1024,
     source: sheet, kind: datasheet}
  - {dtype: int8, engine: matrix, value: null, reason: not published}
memory:
  - name: l1
    scope: unit
    capacity: {value: 128 KiB, source: sheet, kind: datasheet}
    bandwidth: {value: 128 GB/s, source: sheet, kind: datasheet}
  - name: l2
    scope: cluster
    instances: {value: 4, source: sheet, kind: datasheet}
    capacity: {value: 1 MiB, source: sheet, kind: datasheet}
    bandwidth: {value: null, reason: not published}
  - name: dram
    scope: device
    capacity: {value: 4 GiB, source: sheet, kind: datasheet}
    bandwidth: {value: 32 GB/s, source: sheet, kind: datasheet}
board_power: {value: 20 W, source: sheet, kind: datasheet}
launch_overhead: {value: 5 us, source: sheet, kind: measured}
"""


@pytest.fixture(scope="module")
def device():
    return parse_profile("two", TEXT)


def test_peaks(device):
    assert device.peak("float32") == 256e9
    assert device.peak("fp16", "vector") == 512e9
    assert device.peak("half") == 2e12
    assert device.peak("torch.float16", "matrix", accumulate="fp32") == 1e12
    assert device.peak("float16", accumulate="float16") == 2e12
    assert device.peak("bfloat16") is None
    assert device.peak("int8") is None
    assert device.peak("float32", "matrix") is None


def test_memory(device):
    assert device.levels == ("l1", "l2", "dram")
    assert device.main_memory == "dram"
    assert device.capacity() == 4 * 2**30
    assert device.capacity("l1") == 2 * 128 * 2**10
    assert device.capacity("l1", per="instance") == 128 * 2**10
    assert device.capacity("l2") == 4 * 2**20
    assert device.bandwidth("l1") == 256e9
    assert device.bandwidth("l2") is None
    assert device.bandwidth("llc") is None
    assert device.bandwidth() == 32e9


def test_ridge_point_is_peak_over_bandwidth(device):
    assert device.ridge_point("float32") == 8.0
    assert device.ridge_point("float32", level="l1") == 1.0
    assert device.ridge_point("float16", "vector") == 16.0
    assert device.ridge_point("float32", level="l2") is None
    assert device.ridge_point("bfloat16") is None


def test_the_rest(device):
    assert (device.id, device.kind, device.units) == ("two", "gpu", 2)
    assert device.clock() == 1e9
    assert device.clock("base") == 800e6
    assert device.clock("matrix_boost") == 1e9
    assert device.clock("sustained") is None
    assert device.board_power == 20
    assert device.launch_overhead == 5e-6
    assert device.vector_width_bits is None


def test_unknowns_have_reasons(device):
    assert device.unknowns() == [
        ("compute.clocks.sustained", "not published"),
        ("peaks[4]", "not published"),
        ("memory[1].bandwidth", "not published"),
    ]


def test_paths_of_numbers_are_those_of_the_file(device):
    paths = dict(numbers(device))
    assert paths["board_power"].si == 20
    assert paths["launch_overhead"].value == "5 us"
    assert paths["peaks[0]"].si == 256e9


def test_profiles_are_frozen(device):
    with pytest.raises(ValueError, match="frozen"):
        device.year = 2021


def test_it_shows_itself(device):
    from rich.console import Console

    console = Console(width=120, record=True, file=io.StringIO())
    console.print(device)
    text = console.export_text()
    for part in (
        "A GPU of two units",
        "float16 matrix, float32 sums",
        "8 FLOP/B",
        "4 x 1 MiB",
        "?",
    ):
        assert part in text
    assert repr(device) == "DeviceProfile('two': A GPU of two units, gpu, 2020)"
    assert str(device) == "two"


def test_unknown_dtype_names_the_nearest():
    with pytest.raises(UnknownNameError, match="float16"):
        canonical_dtype("flot16")


def test_a_core_of_a_cpu_is_its_peak_over_its_units():
    cpu = load_device("epyc-73f3")
    per_core = cpu.peak("float32") / cpu.units
    assert per_core == 2 * 8 * 2 * cpu.clock("base")  # FMA units x lanes x 2
    assert cpu.vector_width_bits == 256
