"""The numbers of every device against each other and against its architecture.

The profiles are checked when they are loaded, too; these tests hold the checks up against
tables written down here independently, and against rules for the catalogue as a whole.
"""

import re
from collections import defaultdict

import pytest

from costmodel.hardware import catalogue_folder, device_ids, list_devices, load_device
from costmodel.hardware.catalogue import _plain
from costmodel.hardware.profile import numbers


@pytest.fixture(params=device_ids())
def device(request):
    return load_device(request.param)


def test_the_catalogue_is_large_and_of_all_kinds():
    devices = list_devices()
    assert len(devices) >= 70
    assert {device.kind for device in devices} == {"gpu", "cpu", "npu", "tpu", "mcu"}


def test_peaks_are_units_times_width_times_clock(device):
    for row in device.peaks:
        clock = device.clock(row.clock)
        if row.si is not None and row.per_clock is not None and clock is not None:
            product = device.units * row.per_clock * clock
            assert row.si == pytest.approx(product, rel=0.03), row.dtype


def test_all_but_npus_state_operations_per_clock(device):
    if device.kind != "npu":
        assert all(row.per_clock for row in device.peaks if row.si is not None)
        assert device.clock("boost") is not None


def test_memory_bandwidth_is_bus_width_times_data_rate(device):
    for level in device.memory:
        if level.bus_width and level.data_rate and level.data_rate.si and level.bandwidth.si:
            product = level.bus_width.si * level.data_rate.si / 8
            assert level.bandwidth.si == pytest.approx(product, rel=0.03)


def test_float32_vector_peak_is_two_per_lane(device):
    lanes = device.compute.vector_lanes
    if lanes is not None and device.kind in ("gpu", "cpu"):
        clock = device.find_peak("float32", "vector").clock
        peak = 2 * lanes.si * device.units * device.clock(clock)
        assert device.peak("float32", "vector") == pytest.approx(peak, rel=0.03)


# Dense operations per clock and SM, from NVIDIA's architecture papers: (dtype, sums) -> rate.
# A sparse figure would be twice these. GeForce cards halve float16 with float32 sums.
DENSE = {
    "Volta": {("float16", "float32"): 1024},
    r"Turing \(TU104": {("float16", "float32"): 1024, ("int8", "int32"): 2048},
    r"Turing \(TU102": {("float16", "float32"): 512, ("float16", "float16"): 1024},
    r"Ampere \(GA100": {
        ("tf32", "float32"): 1024,
        ("float16", "float32"): 2048,
        ("bfloat16", "float32"): 2048,
        ("int8", "int32"): 4096,
    },
    "Hopper": {
        ("tf32", "float32"): 2048,
        ("float16", "float32"): 4096,
        ("fp8", "float32"): 8192,
        ("int8", "int32"): 8192,
    },
    "GeForce RTX 3": {("float16", "float32"): 512, ("float16", "float16"): 1024},
    "GeForce RTX 4": {("float16", "float32"): 512, ("fp8", "float32"): 1024},
    "GeForce RTX 5": {("float16", "float32"): 512, ("fp8", "float32"): 1024},
    "NVIDIA (L4|L40S)$": {("float16", "float32"): 1024, ("fp8", "float32"): 2048},
    "NVIDIA L40$": {("float16", "float32"): 512, ("fp8", "float32"): 1024},
    "NVIDIA A10$": {("float16", "float32"): 1024, ("tf32", "float32"): 512},
    "RTX PRO": {("float16", "float32"): 1024, ("fp8", "float32"): 2048},
    r"CDNA \(": {("float16", "float32"): 1024, ("bfloat16", "float32"): 512},
    "CDNA 2": {("float16", "float32"): 1024, ("bfloat16", "float32"): 1024},
    "CDNA 3": {("float16", "float32"): 2048, ("fp8", "float32"): 4096},
}


@pytest.mark.parametrize("family", DENSE)
def test_no_sparse_figures(family):
    members = [d for d in list_devices() if re.search(family, f"{d.microarchitecture}; {d.name}")]
    assert members
    for device in members:
        for (dtype, sums), rate in DENSE[family].items():
            clock = device.clock("matrix_boost")
            peak = device.peak(dtype, "matrix", sums)
            if peak is None and dtype not in {row.dtype for row in device.peaks}:
                continue
            assert peak == pytest.approx(device.units * rate * clock, rel=0.03), device.id


# What the devices with measured timings are, written down once more by hand:
# SMs or cores, boost MHz, float32 TFLOP/s, GB/s, GiB, L2 MiB, scratchpad KiB, W
MEASURED = {
    "p4": (20, 1063, 5.5, 192, 8, 2, 96, 75),
    "p100-pcie": (56, 1303, 9.3, 732, 16, 4, 64, 250),
    "v100-pcie-32gb": (80, 1380, 14.0, 900, 32, 6, 96, 250),
    "v100-sxm2": (80, 1530, 15.7, 900, 32, 6, 96, 300),
    "t4": (40, 1590, 8.1, 320, 16, 4, 64, 70),
    "a100-pcie-40gb": (108, 1410, 19.5, 1555, 40, 40, 164, 250),
    "rtx-3090": (82, 1695, 35.6, 936, 24, 6, 100, 350),
    "rtx-4090": (128, 2520, 82.6, 1008, 24, 72, 100, 450),
    "mi250-gcd": (104, 1700, 22.6, 1638.4, 64, 8, 64, 250),
}


@pytest.mark.parametrize("name", MEASURED)
def test_devices_with_timings(name):
    units, boost, peak, bandwidth, memory, l2, scratchpad, power = MEASURED[name]
    device = load_device(name)
    assert device.units == units
    assert device.clock() == boost * 1e6
    assert device.peak("float32", "vector") == pytest.approx(peak * 1e12, rel=0.002)
    assert device.bandwidth() == bandwidth * 1e9
    assert device.capacity() == memory * 2**30
    assert device.capacity("l2") == l2 * 2**20
    assert device.compute.shared_memory.si == scratchpad * 2**10
    assert device.board_power == power


def test_ridge_points_are_plausible(device):
    ridge = device.ridge_point("float32", "vector")
    low, high = {"gpu": (5, 150), "cpu": (1, 40)}.get(device.kind, (0.1, 1000))
    assert ridge is None or low < ridge < high


def test_matrix_engines_are_no_slower_than_vectors(device):
    for dtype in ("float32", "float16", "bfloat16", "int8"):
        matrix, vector = device.peak(dtype, "matrix"), device.peak(dtype, "vector")
        if matrix is not None and vector is not None:
            assert matrix >= 0.99 * vector


def test_inner_levels_are_faster(device):
    known = [device.bandwidth(level) for level in ("l1", "l2", "llc", "dram")]
    known = [rate for rate in known if rate is not None]
    assert known == sorted(known, reverse=True)


def test_no_two_devices_share_a_name():
    owners = defaultdict(set)
    for device in list_devices():
        for name in (device.id, *device.aliases):
            owners[_plain(name)].add(device.id)
    assert {name: ids for name, ids in owners.items() if len(ids) > 1} == {}


def test_no_alias_repeats_the_id(device):
    assert device.id not in {_plain(alias) for alias in device.aliases}


def test_sources_are_cited_and_unique(device):
    cited = set()
    for _, number in numbers(device):
        keys = number.source if isinstance(number.source, tuple) else (number.source,)
        cited.update(key for key in keys if key)
    assert cited == set(device.sources)
    documents = [(source.title, source.section) for source in device.sources.values()]
    assert len(documents) == len(set(documents))


def test_files_begin_with_the_editor_modeline():
    for path in catalogue_folder().glob("*.yaml"):
        first = path.read_text().splitlines()[0]
        assert first == "# yaml-language-server: $schema=device.schema.json"
