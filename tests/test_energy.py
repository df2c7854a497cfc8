"""Energy by hand, against the board's power, and what profiles may state."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from torch import nn

import costmodel as cm
from costmodel.energy import ARITHMETIC, STATIC_SHARE, energy_rates
from costmodel.estimation import resolve_target
from costmodel.hardware.validation import parse_profile

DEVICES = ("v100-sxm2", "rtx-4090", "a100-sxm4-80gb", "t4", "jetson-orin-nano", "epyc-73f3")


@pytest.fixture(scope="module")
def convolution() -> cm.Graph:
    return cm.trace(nn.Conv2d(256, 256, 3, padding=1, bias=False), (32, 256, 56, 56))


@pytest.fixture(scope="module")
def activation() -> cm.Graph:
    return cm.trace(nn.ReLU(), (1, 10**8))


def test_an_activation_by_hand(activation: cm.Graph) -> None:
    """V100, 300 W, of which 90 W are taken as static and 210 W for 15.7 TFLOP/s.

    8 x 10^8 bytes move: the first read and the write both reach HBM2 at 31.36 pJ/B, all pass a
    cache of 100 pJ per 64 bits, at 12/45 of its size. 10^8 comparisons.
    """
    estimate = cm.estimate(activation, "v100-sxm2")
    moved = 8e8
    expected = (
        90 * estimate.latency
        + moved * (31.36e-12 + 12.5e-12 * 12 / 45)
        + float(estimate.total.flops) * 210 / 15.7e12
    )
    assert estimate.energy is not None
    assert estimate.energy.joules == pytest.approx(expected, rel=1e-6)
    assert "static power is assumed to be 30% of 300 W" in estimate.energy.notes[0]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_mean_power_is_between_static_and_board_power(
    convolution: cm.Graph, activation: cm.Graph, device: str, precision: str
) -> None:
    board = cm.load_device(device).board_power
    assert board is not None
    for graph in (convolution, activation):
        estimate = cm.estimate(graph, device, precision=precision)
        energy = estimate.energy
        assert energy is not None
        power = energy.joules / estimate.latency
        assert STATIC_SHARE * board < power <= board * (1 + 1e-12)
        assert energy.ceiling == pytest.approx(board * estimate.latency)
        assert not energy.floor > energy.joules


def test_dense_work_at_peak_takes_the_board_power(convolution: cm.Graph) -> None:
    """With the plain roofline a compute-bound operator runs at the peak, which is what the board
    power is for."""
    estimate = cm.estimate(convolution, "v100-sxm2", without=["all"])
    assert estimate.bound == "compute"
    assert estimate.energy is not None
    assert estimate.energy.joules / estimate.latency == pytest.approx(300, rel=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_no_device_beats_its_circuits(device: str) -> None:
    """J per operation from the board power is above the published energy of the arithmetic."""
    rates = energy_rates(resolve_target(device), ["float32", "float16", "int8"])
    assert rates is not None
    assert (rates.vector[:2] > rates.vector_floor[:2]).all()
    assert rates.matrix[0] > rates.matrix_floor[0]


def test_published_energies_are_in_proportion() -> None:
    """Of Horowitz's table: a float32 multiplication takes 18.5 times an 8-bit one, and so on."""
    assert ARITHMETIC["float32"][0] / ARITHMETIC["int8"][0] == pytest.approx(18.5)
    assert ARITHMETIC["float32"][1] / ARITHMETIC["int8"][1] == pytest.approx(30)
    assert sum(ARITHMETIC["float32"]) == pytest.approx(4.6)


def test_energy_adds_up_over_time_and_batch(convolution: cm.Graph) -> None:
    one, two = (cm.estimate(convolution, "a100-sxm4-80gb", batch) for batch in (32, 64))
    assert one.energy is not None
    assert two.energy is not None
    assert one.energy.joules < two.energy.joules < 2.1 * one.energy.joules


def test_some_cores_draw_their_share() -> None:
    whole = energy_rates(resolve_target("epyc-73f3"), ["float32"])
    core = energy_rates(resolve_target("epyc-73f3@1"), ["float32"])
    assert whole is not None
    assert core is not None
    assert core.matrix[0] == pytest.approx(whole.matrix[0])
    assert core.static == whole.static
    assert core.limit - core.static == pytest.approx((whole.limit - whole.static) / 16)


PROFILE = """
name: A device
vendor: Somebody
kind: gpu
year: 2021
microarchitecture: Test (T1)
sources:
  sheet: {title: A sheet, publisher: Somebody, section: All, date: "2021", verified: vendor}
compute:
  unit_name: SM
  units: {value: 80, source: sheet, kind: datasheet}
  clocks:
    base: {value: 1 GHz, source: sheet, kind: datasheet}
    boost: {value: 1.53 GHz, source: sheet, kind: datasheet}
    sustained: {value: null, reason: not published}
peaks:
  - {dtype: float32, engine: vector, value: 15.7 TFLOP/s, per_clock: 128, source: sheet,
     kind: datasheet}
memory:
  - name: l2
    scope: device
    capacity: {value: 6 MiB, source: sheet, kind: datasheet}
    bandwidth: {value: 3 TB/s, source: sheet, kind: datasheet}
  - name: dram
    scope: device
    capacity: {value: 32 GiB, source: sheet, kind: datasheet}
    bandwidth: {value: 900 GB/s, source: sheet, kind: datasheet}
    type: HBM2
board_power: {value: 300 W, source: sheet, kind: datasheet}
launch_overhead: {value: null, reason: unknown}
"""
STATED = """
energy:
  operations:
    - {dtype: float32, engine: vector, value: 12 pJ, source: sheet, kind: measured}
  bytes:
    - {level: dram, value: 40 pJ, source: sheet, kind: measured}
    - {level: l2, value: 5 pJ, source: sheet, kind: measured}
  static: {value: 55 W, source: sheet, kind: measured}
"""


def test_what_a_profile_states_is_used(activation: cm.Graph) -> None:
    profile = parse_profile("a-device", PROFILE + STATED)
    estimate = cm.estimate(activation, profile)
    energy = estimate.energy
    assert energy is not None
    expected = 55 * estimate.latency + 8e8 * 45e-12 + float(estimate.total.flops) * 12e-12
    assert energy.joules == pytest.approx(expected, rel=1e-6)
    assert energy.notes == ()


def test_what_a_profile_does_not_state_is_said_to_be_assumed(activation: cm.Graph) -> None:
    energy = cm.estimate(activation, parse_profile("a-device", PROFILE)).energy
    assert energy is not None
    said = ("an operation is taken", "a byte of cache is taken", "static power is assumed")
    assert [sum(words in note for note in energy.notes) for words in said] == [1, 1, 1]
    one = STATED.replace("    - {level: l2, value: 5 pJ, source: sheet, kind: measured}\n", "")
    energy = cm.estimate(activation, parse_profile("a-device", PROFILE + one)).energy
    assert energy is not None
    (note,) = energy.notes
    assert "a byte of cache is taken" in note


def test_unknown_power_is_unknown_energy(activation: cm.Graph) -> None:
    power = "board_power: {value: 300 W, source: sheet, kind: datasheet}"
    unknown = PROFILE.replace(power, "board_power: {value: null, reason: unknown}")
    assert cm.estimate(activation, parse_profile("a-device", unknown)).energy is None


def test_energies_have_units() -> None:
    from costmodel.errors import SpecError

    with pytest.raises(SpecError, match=r"energy.static.value: .*W"):
        parse_profile("a-device", PROFILE + STATED.replace("55 W", "55 pJ"))
    with pytest.raises(SpecError, match="expected an energy such as"):
        parse_profile("a-device", PROFILE + STATED.replace("40 pJ", "40 W"))


def test_static_power_is_within_the_board_power() -> None:
    for device in cm.list_devices():
        stated = device.energy.static
        if stated is not None and stated.si is not None and device.board_power is not None:
            assert stated.si < device.board_power


def test_half_the_traffic_half_its_energy(activation: cm.Graph) -> None:
    full, half = (cm.estimate(activation, "v100-sxm2", precision=p) for p in ("fp32", "fp16"))
    assert full.energy is not None
    assert half.energy is not None
    dynamic = [e.energy.joules - 90 * e.latency for e in (full, half)]  # type: ignore[union-attr]
    assert dynamic[1] < 0.55 * dynamic[0]
    assert np.isfinite(replace(full).latency)
