"""The efficiency laws are plausible: bounded by the roofline, monotone, right in their limits."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.errors import UnknownNameError, UsageError
from costmodel.hardware import load_device
from costmodel.hardware.parts import Achievable
from costmodel.hardware.quantity import Share
from costmodel.roofline.ceilings import Target
from costmodel.roofline.constants import Constants, constant_table
from costmodel.roofline.device_columns import DeviceColumns, device_columns
from costmodel.roofline.laws import (
    bandwidth,
    convolution,
    gemm,
    library,
    memory,
    pointwise,
    power,
    selection,
)
from costmodel.roofline.laws.issue import issue_share
from costmodel.roofline.laws.launch import timed_alone
from costmodel.roofline.laws.overlap import p_norm

GPUS = ("p4", "p100-pcie", "t4", "v100-pcie-32gb", "a100-pcie-40gb", "rtx-3090", "rtx-4090")
C = Constants()


def columns_of(*ids: str) -> DeviceColumns:
    return device_columns([Target(load_device(i)) for i in ids]).expand()


def scaled(device: DeviceColumns, **factors: float) -> DeviceColumns:
    return replace(device, **{name: getattr(device, name) * by for name, by in factors.items()})


def product(b: float, m: float, k: float, n: float, **extra: object) -> gemm.Product:
    return gemm.Product(*(np.array([v]) for v in (b, m, k, n)), **extra)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def gpus() -> DeviceColumns:
    return columns_of(*GPUS)


def test_every_constant_lies_in_its_range_and_says_where_it_comes_from() -> None:
    for row in constant_table():
        assert row.low <= row.value <= row.high, row.name
        assert row.meaning, row.name
        assert row.source, row.name
    assert len({row.name for row in constant_table()}) == len(fields(Constants))


def test_a_value_outside_its_range_is_refused() -> None:
    with pytest.raises(UsageError, match=r"dram_share = 1\.2 lies outside 0\.8 to 0\.97"):
        C.with_values({"dram_share": 1.2})
    with pytest.raises(UnknownNameError, match="did you mean dram_share"):
        C.with_values({"dram_shard": 0.9})


# The p-norm


@given(a=st.floats(1e-9, 1e3), b=st.floats(1e-9, 1e3), p=st.floats(1, 60))
def test_the_norm_lies_between_the_maximum_and_the_sum(a: float, b: float, p: float) -> None:
    joined = p_norm(np.array(a), np.array(b), p)
    assert max(a, b) * (1 - 1e-12) <= joined <= (a + b) * (1 + 1e-12)


def test_the_norm_of_3_and_4_is_5() -> None:
    assert p_norm(np.array([3.0]), np.array([4.0]), 2)[0] == pytest.approx(5)
    assert p_norm(np.array([0.0]), np.array([0.0]), 2)[0] == 0


# Clocks


def test_small_boards_cannot_hold_their_boost_clock_and_large_ones_can(gpus: DeviceColumns) -> None:
    energy = power.flop_energy(gpus.year, C)
    clock = power.sustained_clock(gpus, 2 * gpus.vector_lanes, energy, C)[:, 0]
    share = dict(zip(GPUS, clock / gpus.clock[:, 0], strict=True))
    assert share["t4"] < 0.6
    assert share["p4"] < 0.85
    assert share["p100-pcie"] == share["a100-pcie-40gb"] == 1
    assert (clock >= gpus.base_clock[:, 0]).all()


def test_the_power_law_by_hand() -> None:
    # (70 - 10) W / (40 units x 128 FLOPs x 18 pJ) = 651 MHz, between 585 and 1590 MHz.
    constants = replace(C, idle_power=10.0)
    device, energy = columns_of("t4"), np.array([[18e-12]])
    clock = power.sustained_clock(device, np.array([[128.0]]), energy, constants)
    assert clock[0, 0] == pytest.approx(651.04e6, rel=1e-4)
    # Work that issues multiply-adds at three clocks in four may run a third faster.
    faster = power.sustained_clock(device, np.array([[96.0]]), energy, constants)
    assert faster == pytest.approx(clock * 4 / 3)


def test_lanes_for_every_slot_leave_none_for_loads() -> None:
    """70 instructions of which 64 are multiply-adds: 64 / 70 of the rate with 32 lanes a scheduler,
    all of it with 16 lanes, or where two instructions are issued at a time."""
    for name in ("h100-sxm5", "rtx-4090", "l4", "rtx-3090"):
        assert issue_share(columns_of(name)) == pytest.approx(64 / 70)
    for name in ("v100-sxm2", "t4", "a100-pcie-40gb", "p4", "p100-pcie", "mi250-gcd"):
        assert issue_share(columns_of(name)) == 1


def test_unknown_power_means_boost_clock() -> None:
    device = replace(columns_of("t4"), board_power=np.array([[np.nan]]))
    clock = power.sustained_clock(device, np.array([[128.0]]), np.array([[2e-11]]), C)
    assert clock == 1590e6


def test_energy_per_flop_falls_with_each_process_step() -> None:
    energy = power.flop_energy(np.array([2016, 2019, 2020, 2022]), C)
    expected = C.flop_energy * np.array([1, 1, C.process_gain, C.process_gain**2])
    np.testing.assert_allclose(energy, expected)


def test_a_burst_ends_at_the_sustained_clock() -> None:
    device, sustained = columns_of("t4"), np.array([[700e6]])
    clocks = [power.burst_clock(sustained, device, np.array(t), C)[0, 0] for t in (0, 1e-3, 10.0)]
    assert 1590e6 == clocks[0] > clocks[1] > clocks[2]
    assert clocks[2] == pytest.approx(700e6, rel=1e-3)


def test_a_board_twice_over_its_limit_uses_a_burst_up_in_half_the_time() -> None:
    """At a clock of 1 / sqrt(2) of the boost clock, f V^2 with V following the root of f has half
    the power: after half of the window, half of the headroom is left."""
    device, constants = columns_of("t4"), replace(C, burst_window=4e-3)
    sustained = device.clock / np.sqrt(2)
    clock = power.burst_clock(sustained, device, np.array(2e-3), constants)
    np.testing.assert_allclose(clock, (sustained + device.clock) / 2)


# Bandwidth


def test_delivered_bandwidth_stays_below_the_peak(gpus: DeviceColumns) -> None:
    stream, strided = bandwidth.stream_bandwidth(gpus, C), bandwidth.strided_bandwidth(gpus, C)
    assert (stream < gpus.dram_bandwidth).all()
    assert (strided <= stream).all()
    assert (bandwidth.l2_bandwidth(gpus, C) >= gpus.dram_bandwidth).all()


def test_channels_of_memory_limit_loads_across_rows_by_hand() -> None:
    """With 8 ns between rows. P4: 256 bits are 8 channels of GDDR5, 8 x 32 B / 8 ns = 32 GB/s.
    T4: 16 of GDDR6, with segments of 64 B 128 GB/s. A100: 80 of HBM2, 640 GB/s. P100: 32 of HBM's
    128 bits, 128 GB/s."""
    names = ("p4", "t4", "a100-pcie-40gb", "p100-pcie")
    found = bandwidth.strided_bandwidth(columns_of(*names), replace(C, row_interval=8e-9))
    np.testing.assert_allclose(found[:, 0], [32e9, 128e9, 640e9, 128e9])


def test_unknown_channels_of_memory_load_across_rows_as_streams() -> None:
    device = replace(columns_of("t4"), memory_channels=np.array([[np.nan]]))
    found = bandwidth.strided_bandwidth(device, C)
    assert found == bandwidth.stream_bandwidth(device, C)


def test_a_measured_bandwidth_is_what_streams_reach() -> None:
    """A share of the printed bandwidth that was measured counts before the laws' own, and of a
    bandwidth that was measured itself streams reach all."""
    printed = load_device("mi250-gcd")
    shared = printed.model_copy(
        update={"achievable": Achievable(dram_bandwidth=measured_share(0.8))}
    )
    dram = printed.level("dram")
    assert dram is not None
    own = dram.model_copy(
        update={"bandwidth": dram.bandwidth.model_copy(update={"kind": "measured"})}
    )
    levels = tuple(own if level is dram else level for level in printed.memory)
    measured = printed.model_copy(update={"memory": levels})
    columns = device_columns([Target(p) for p in (printed, shared, measured)]).expand()
    reached = bandwidth.stream_bandwidth(columns, C)[:, 0] / columns.dram_bandwidth[:, 0]
    np.testing.assert_allclose(reached, [C.dram_share, 0.8, 1.0])


def measured_share(value: float) -> Share:
    return Share.model_validate({"value": value, "source": "bench", "kind": "measured"})


def test_half_hits_where_size_and_cache_are_equal() -> None:
    assert bandwidth.hit_share(np.array(6e6), np.array(6e6), 4.0) == 0.5
    assert bandwidth.hit_share(np.array(1.0), np.array(6e6), 4.0) == pytest.approx(1)
    for unknown in (np.nan, 0.0):
        assert bandwidth.hit_share(np.array(6e6), np.array(unknown), 4.0) == 0
        assert memory.hit_rate(np.array(6e6), np.array(unknown)) < 1e-200


@settings(deadline=None)
@given(size=st.floats(1e3, 1e10))
def test_memory_time_lies_between_cache_and_dram(size: float) -> None:
    device = columns_of("v100-pcie-32gb")
    time = bandwidth.memory_time(np.array([size]), np.array([size]), device, C)
    slow = size / bandwidth.stream_bandwidth(device, C)
    fast = size / bandwidth.l2_bandwidth(device, C)
    assert fast * (1 - 1e-9) <= time <= slow * (1 + 1e-9)


# Matrix products

sizes = st.tuples(
    st.integers(1, 300), st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 3000)
)


def linear_seconds(p: gemm.Product, device: DeviceColumns) -> np.ndarray:
    rate = power.vector_unit_rate(device, C)
    return chosen(p, library.linear_kernels(device), rate, device)[0]


def chosen(
    p: gemm.Product, kernels: selection.Kernels, rate: np.ndarray, device: DeviceColumns
) -> tuple[np.ndarray, np.ndarray]:
    return selection.chosen_time(p, [selection.Offer(kernels, len(p.rows))], rate, device, C)


def tile_of(kernels: selection.Kernels, index: np.ndarray) -> list[tuple[int, int]]:
    """Columns and rows of the tile that each device takes for the first product."""
    tile = kernels.tile.take(index[:, 0])
    return list(zip(tile.columns, tile.rows, strict=True))


@settings(deadline=None, max_examples=60)
@given(s=sizes, strided=st.booleans())
def test_no_product_beats_the_roofline(s: tuple[int, ...], strided: bool) -> None:
    device = columns_of(*GPUS)
    p = product(*s, strided=strided)
    flops = 2 * np.prod([float(v) for v in s])
    peak = 2 * device.vector_lanes * device.units * device.clock
    least = np.maximum(flops / peak, (p.operand_bytes + p.result_bytes) / device.dram_bandwidth)
    for kernels in (library.linear_kernels(device), library.batched_kernels(device)):
        rate = 2 * device.vector_lanes * device.clock
        offers = [selection.Offer(kernels, 1)]
        fastest = selection.fastest_time(p, offers, rate, device, C)
        taken = selection.chosen_time(p, offers, rate, device, C)[0]
        assert (fastest >= least * (1 - 1e-9)).all()
        assert (taken >= fastest * (1 - 1e-9)).all()
        assert np.isfinite(taken).all()


@pytest.mark.parametrize("dimension", range(4))
def test_one_kernel_takes_longer_for_larger_products(dimension: int) -> None:
    device = columns_of(*GPUS)
    rate = power.vector_unit_rate(device, C)
    tile, last = gemm.Tile(128, 64, 128), np.zeros(1)
    for factor in (1, 1.3, 2, 3.7, 8, 30):
        size = [4.0, 500.0, 700.0, 300.0]
        size[dimension] = np.ceil(size[dimension] * factor)
        tiling = gemm.Tiling(product(*size), tile)
        time = gemm.compute_time(tiling, rate, device, C)
        time = time + gemm.transfer_time(tiling, device, C)
        assert (time >= last).all()
        last = time


def test_more_peak_bandwidth_or_units_never_hurt() -> None:
    device = columns_of(*GPUS)
    p = product(3, 777, 1234, 456, strided=True)
    before = linear_seconds(p, device)
    for change in ({"clock": 2.0, "board_power": 2.0}, {"dram_bandwidth": 2.0}):
        after = linear_seconds(p, scaled(device, **change))
        assert (after <= before * (1 + 1e-9)).all()
        assert (after < before * (1 - 1e-6)).any()


def test_twice_as_fast_in_everything_takes_half_the_time() -> None:
    device = columns_of(*GPUS)
    twice = scaled(
        device, clock=2, base_clock=2, dram_bandwidth=2, memory_channels=2, l2_bandwidth=2
    )
    twice = replace(twice, board_power=2 * device.board_power - C.idle_power)  # above idle, twice
    p = product(1, 4000, 300, 900, strided=True)
    np.testing.assert_allclose(linear_seconds(p, twice), linear_seconds(p, device) / 2)
    rows, length = np.array([5000.0]), np.array([3000.0])
    for law in (pointwise.layer_norm_time, pointwise.softmax_time):
        np.testing.assert_allclose(law(rows, length, twice, C), law(rows, length, device, C) / 2)


def test_a_huge_product_reaches_the_ceiling_of_its_tile() -> None:
    device = columns_of("v100-pcie-32gb")
    tile = gemm.Tile(128, 128, 256)
    p = product(1, 128 * 800, 128 * 100, 1e6)
    rate = np.array([[1e12]])
    time = gemm.compute_time(gemm.Tiling(p, tile), rate, device, C)[0, 0]
    ideal = 2 * 128 * 800 * 128 * 100 * 1e6 / (80 * 1e12)
    assert ideal / time == pytest.approx(gemm.tile_efficiency(tile, C), rel=1e-4)


def test_pascal_takes_the_tiles_that_its_library_was_seen_to_take() -> None:
    # Linear layers on a P4 (20 units), from the names of measured kernels; rows, contraction,
    # columns -> columns x rows of the tile.
    seen = {
        (34, 1658, 29431): (64, 64), (69, 6662, 40493): (64, 64), (290, 5547, 30779): (64, 64),
        (1582, 51301, 7833): (64, 64), (7393, 5836, 86): (32, 128),
        (4419, 3912, 25894): (32, 128), (4730, 1798, 10951): (32, 128),
    }  # fmt: skip
    device = columns_of("p4")
    kernels, rate = library.linear_kernels(device), power.vector_unit_rate(device, C)
    for (rows, depth, columns), tile in seen.items():
        p = product(1, rows, columns, depth, strided=True)
        _, index = chosen(p, kernels, rate, device)
        assert tile_of(kernels, index) == [tile], (rows, depth, columns)


def test_equal_waves_go_to_the_tile_whose_last_resident_blocks_are_fuller() -> None:
    # 20 units hold sets of 8 blocks of 64 threads or of 4 blocks of 256: nine waves are two sets
    # of 8 or three of 4.
    device = columns_of("p4")
    kernels = library.linear_kernels(device)
    unsplit = kernels.take(np.flatnonzero(kernels.splits == 1))
    tiling = gemm.Tiling(product(1, 64 * 17, 64 * 10, 512, strided=True), unsplit.tile)
    factor = selection.tie_break(unsplit.resident, tiling, device)[0]
    tiles = zip(unsplit.tile.columns, unsplit.tile.rows, strict=True)
    by_tile = dict(zip(tiles, factor, strict=True))
    # 17 x 10 tiles of 64 x 64: (0.05 x 8.5 + 0.01 x 16) / 9
    assert by_tile[64, 64] == pytest.approx(1 + (0.05 * 8.5 + 0.16) / 9)
    # 9 x 20 tiles of 32 x 128: (0.05 x 9 + 0.01 x 12) / 9
    assert by_tile[32, 128] == pytest.approx(1 + (0.05 * 9 + 0.12) / 9)
    assert not library.linear_kernels(columns_of("t4")).resident.any()


def test_waves_by_hand() -> None:
    # 80 units: 80 tiles take one wave, 81 take two and last twice as long.
    device = columns_of("v100-pcie-32gb")
    tile, rate = gemm.Tile(64, 64, 512), np.array([[1e12]])
    one, two, less = (
        gemm.compute_time(gemm.Tiling(product(*size, 512), tile), rate, device, C)
        for size in ((80, 64, 64), (81, 64, 64), (1, 1, 1))
    )
    assert two[0, 0] == pytest.approx(2 * one[0, 0])
    assert less[0, 0] == one[0, 0]


def test_operands_are_read_once_while_they_fit_and_by_every_tile_when_they_do_not() -> None:
    device = columns_of("v100-pcie-32gb")
    tile = gemm.Tile(128, 128, 256)
    small = product(1, 256, 256, 64)
    reads = gemm.operand_reads(gemm.Tiling(small, tile), device, C)
    assert reads[0, 0] == pytest.approx(4 * 64 * 512, rel=0.02)
    large = product(1, 128 * 40, 128 * 50, 1e8)
    by_tile = 40 * 50 * (128 + 128) * 1e8 * 4
    reads = gemm.operand_reads(gemm.Tiling(large, tile), device, C)
    assert reads[0, 0] == pytest.approx(by_tile, rel=0.02)


def test_products_of_two_libraries_are_decided_together_as_they_are_apart() -> None:
    device = columns_of(*GPUS)
    rate = power.vector_unit_rate(device, C)
    linear, batched = library.linear_kernels(device), library.batched_kernels(device)
    layers = gemm.Product(*(np.array(v) for v in ([1.0, 1], [500.0, 8], [700.0, 4096], [96.0, 64])))
    heads = gemm.Product(*(np.array(v) for v in ([96.0], [197.0], [197.0], [64.0])))
    offers = [selection.Offer(linear, 2), selection.Offer(batched, 1)]
    for decide in (lambda *a: selection.chosen_time(*a)[0], selection.fastest_time):
        together = decide(gemm.stacked([layers, heads]), offers, rate, device, C)
        apart = [
            decide(p, [o], rate, device, C) for p, o in zip((layers, heads), offers, strict=True)
        ]
        np.testing.assert_allclose(together, np.concatenate(apart, axis=-1), rtol=1e-12)


def test_a_small_tile_reaches_less_and_splitting_helps_a_deep_narrow_product() -> None:
    shares = [gemm.tile_efficiency(gemm.Tile(s, s, 128), C) for s in (16, 32, 64, 128)]
    assert shares == sorted(shares)
    assert shares[-1] < 1
    device = columns_of("v100-pcie-32gb")
    rate = power.vector_unit_rate(device, C)
    p = product(1, 64, 64, 50_000, strided=True)
    kernels = library.linear_kernels(device)
    _, index = chosen(p, kernels, rate, device)
    assert kernels.splits[index[0, 0]] > 8


def test_libraries_offer_each_generation_the_tiles_of_its_kernels() -> None:
    device = columns_of("p100-pcie", "t4", "a100-pcie-40gb", "mi250-gcd")
    rate = power.vector_unit_rate(device, C)
    kernels = library.batched_kernels(device)
    _, index = chosen(product(512, 100, 100, 64), kernels, rate, device)
    tiles = tile_of(kernels, index)
    assert tiles[0] == (128, 64)
    assert tiles[2] == tiles[3] == (128, 128)


# Convolutions


def conv(b: int, c: int, f: int, k: int, s: int, stride: int = 1) -> convolution.Convolution:
    values = (b, c, f, k, s, stride, k // 2)
    return convolution.Convolution.square(*(np.array([float(v)]) for v in values))


def test_winograd_needs_fewer_multiplications_than_36_per_patch() -> None:
    # The roofline bound of F(4x4, 3x3): 36 multiplications for 16 outputs, a quarter of direct.
    device = columns_of(*GPUS)
    rate = 2 * device.vector_lanes * device.clock
    times = convolution.algorithm_times(conv(64, 512, 512, 3, 28), rate, device, C)
    time, algorithm = times.min(axis=0), times.argmin(axis=0)
    direct = 2 * 64 * 28 * 28 * 512 * 512 * 9 / (device.units * rate)
    assert (time > direct / 4).all()
    assert (time < direct * 1.3).all()
    assert (algorithm > 0).all()


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (5, 1), (3, 2), (7, 2)])
def test_only_3x3_with_stride_1_runs_winograd(kernel: int, stride: int) -> None:
    device = columns_of(*GPUS)
    rate = power.vector_unit_rate(device, C)
    shape = conv(8, 64, 64, kernel, 56, stride)
    times = convolution.algorithm_times(shape, rate, device, C)
    time, algorithm = times.min(axis=0), times.argmin(axis=0)
    assert (algorithm == 0).all()
    macs = 8 * 64 * 64 * kernel**2 * shape.out[0] ** 2
    assert (time > 2 * macs / (device.units * 2 * device.vector_lanes * device.clock)).all()


def test_output_size_of_a_strided_convolution() -> None:
    assert conv(1, 3, 64, 7, 224, 2).out[0] == 112


# Pointwise kernels


@settings(deadline=None, max_examples=40)
@given(rows=st.integers(1, 20_000), length=st.integers(1, 8_000))
def test_row_kernels_move_their_tensors_at_least_once(rows: int, length: int) -> None:
    device = columns_of(*GPUS)
    traffic = 8.0 * rows * length
    fastest = np.minimum(
        traffic / bandwidth.l2_bandwidth(device, C), traffic / device.dram_bandwidth
    )
    for law in (pointwise.layer_norm_time, pointwise.softmax_time):
        time = law(np.array([float(rows)]), np.array([float(length)]), device, C)
        assert (time >= fastest * (1 - 1e-9)).all()


def test_a_large_addition_runs_at_stream_bandwidth() -> None:
    device = columns_of("v100-pcie-32gb")
    time = pointwise.elementwise_time(np.array([8e9]), np.array([4e9]), device, C)
    assert time[0, 0] == pytest.approx(12e9 / (900e9 * C.dram_share), rel=1e-3)


# Dispatch


def test_a_short_kernel_hides_behind_the_host_and_a_long_one_follows_it() -> None:
    kernels = np.array([0.0, 1.0])
    short, long = timed_alone(kernels, np.array(30e-6), 0.5, C)
    assert short == 30e-6
    assert long == pytest.approx(1 + 15e-6 + C.kernel_latency)


def test_aligned_products_spare_pascal_the_short_segments() -> None:
    device = columns_of("p100-pcie", "v100-pcie-32gb")
    aligned = product(1, 4096, 4096, 1024, strided=True)
    odd = product(1, 4095, 4095, 1023, strided=True)
    np.testing.assert_array_equal(aligned.across_rows(device), [[False], [True]])
    np.testing.assert_array_equal(odd.across_rows(device), [[True], [True]])
    rate = power.vector_unit_rate(device, C)
    kernels = library.linear_kernels(device)
    for p, tile in ((aligned, (128, 64)), (odd, (32, 128))):
        assert tile_of(kernels, chosen(p, kernels, rate, device)[1])[0] == tile
    ratio = linear_seconds(odd, device) / linear_seconds(aligned, device)
    assert ratio[0, 0] > 1.15
    assert ratio[1, 0] == pytest.approx(1, abs=0.05)
