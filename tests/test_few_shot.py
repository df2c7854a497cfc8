"""Few-shot refinement: made-up devices that differ from their profile by known factors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from costmodel.errors import UsageError
from costmodel.estimation import resolve_target
from costmodel.measurement.tables.conditions import RunConditions
from costmodel.measurement.validation.device_factors import (
    NEUTRAL,
    DeviceFactors,
    network_times,
    sum_rows,
)
from costmodel.measurement.validation.few_shot import MOST, pick_models, refine
from costmodel.measurement.validation.networks import Case, Networks, stack_networks
from costmodel.measurement.validation.validation import take, validate_networks
from costmodel.roofline.engine import enabled_laws
from costmodel.tracing.source import load_graph

NAMES = (
    "fasternet_t0", "fasternet_t1", "fasternet_s", "mobilenet_v2", "resnet50", "convnext_t",
)  # fmt: skip
BATCHES = (1, 8, 64, 256)


@pytest.fixture(scope="module")
def networks() -> Networks:
    from costmodel import zoo

    names = [name for name in NAMES if name in zoo.names()]
    assert len(names) >= 4
    cases = []
    for name in names:
        graph = load_graph(f"zoo:{name}")
        cases += [Case(f"{name} batch {batch}", graph, batch, 1.0) for batch in BATCHES]
    return stack_networks(cases)


def measured_with(
    networks: Networks, factors: DeviceFactors, noise: float = 0.0, seed: int = 0
) -> Networks:
    """The networks, timed on a made-up device: its profile changed by factors, with noise."""
    target = resolve_target("a100-pcie-40gb")
    seconds = sum_rows(networks, network_times(networks, target, factors=factors).total[0, 0])
    jitter = np.random.default_rng(seed).normal(0, noise, len(seconds))
    return replace(networks, measured=seconds * np.exp(jitter))


def test_neutral_factors_change_nothing(networks: Networks) -> None:
    target = resolve_target("a100-pcie-40gb")
    seconds = sum_rows(networks, network_times(networks, target, factors=NEUTRAL).total[0, 0])
    np.testing.assert_allclose(seconds, networks.predict(target))


def test_everything_twice_as_fast_halves_the_time(networks: Networks) -> None:
    target = resolve_target("a100-pcie-40gb")
    laws = enabled_laws(["power"])  # which keeps the clock down where the board's power stays
    slow = network_times(networks, target, laws=laws).total
    factors = DeviceFactors(2.0, 2.0, 2.0, 2.0, 0.5)
    fast = network_times(networks, target, laws=laws, factors=factors).total
    lanes = network_times(networks, target).lanes > 0  # starved kernels follow the clock alone
    np.testing.assert_allclose(fast[~lanes], slow[~lanes] / 2, rtol=0.02)


def test_known_departures_are_recovered(networks: Networks) -> None:
    truth = DeviceFactors(matrix=0.7, vector=0.8, bandwidth=0.85, launch=1.5)
    measured = measured_with(networks, truth)
    target = resolve_target("a100-pcie-40gb")
    spec_only = validate_networks(measured, target, RunConditions())
    refined = validate_networks(measured, target, RunConditions(), few_shot=10)
    assert refined.refinement is not None
    assert refined.refinement.refined
    assert spec_only.score.mape > 0.15
    assert refined.score.mape < 0.2 * spec_only.score.mape
    assert refined.refinement.factors.launch > 1.1
    assert refined.refinement.factors.bandwidth < 0.95


def test_slow_launches_and_lanes_say_that_products_are_slow_too(
    networks: Networks,
) -> None:
    """All factors share a part: models bound by launches and lanes slow the matrix rate as well."""
    target = resolve_target("a100-pcie-40gb")
    measured = measured_with(networks, DeviceFactors(0.75, 0.75, 0.75, 0.75, 1 / 0.75))
    small = np.flatnonzero([name.endswith("batch 1") for name in measured.names])
    found = refine(take(measured, small), target)
    assert found.refined
    assert found.factors.matrix < 0.98
    assert found.factors.launch > 1.05


def test_used_models_are_not_judged(networks: Networks) -> None:
    found = validate_networks(
        measured_with(networks, NEUTRAL, 0.05),
        resolve_target("a100-pcie-40gb"),
        RunConditions(),
        few_shot=6,
    )
    assert found.refinement is not None
    assert len(found.refinement.used) == 6
    assert found.score.n == len(networks) - 6
    assert not set(found.refinement.used) & set(found.names)


def test_a_device_that_follows_its_profile_is_left_alone(networks: Networks) -> None:
    target = resolve_target("a100-pcie-40gb")
    worse = 0
    for seed in range(12):
        measured = measured_with(networks, NEUTRAL, noise=0.08, seed=seed)
        chosen = pick_models(measured.names, 8, seed)
        found = refine(take(measured, chosen), target)
        rest = np.setdiff1d(np.arange(len(measured)), chosen)
        times = network_times(measured, target, factors=found.factors)
        errors = np.abs(np.log(sum_rows(measured, times.total[0, 0]) / measured.measured))
        plain = np.abs(np.log(measured.predict(target) / measured.measured))
        worse += errors[rest].mean() > plain[rest].mean() + 0.005
        assert found.refined or found.factors == NEUTRAL
    assert worse <= 2


def test_one_broken_measurement_does_not_decide(networks: Networks) -> None:
    target = resolve_target("a100-pcie-40gb")
    measured = measured_with(networks, NEUTRAL, noise=0.02)
    seconds = measured.measured.copy()
    seconds[3] *= 20
    chosen = np.arange(0, len(networks), 3)[:8]
    assert 3 in chosen
    found = refine(take(replace(measured, measured=seconds), chosen), target)
    times = network_times(measured, target, factors=found.factors)
    ratio = sum_rows(measured, times.total[0, 0]) / measured.measured
    assert abs(np.log(np.median(ratio))) < 0.1


def test_models_are_spread_over_families_and_seeded() -> None:
    families = ["vit"] * 50 + ["resnet"] * 30 + ["swin"] * 2 + ["vgg"]
    chosen = pick_models(families, 4, seed=3)
    assert sorted(families[i] for i in chosen) == ["resnet", "swin", "vgg", "vit"]
    assert pick_models(families, 4, seed=3).tolist() == chosen.tolist()
    assert any(pick_models(families, 4, seed=s).tolist() != chosen.tolist() for s in range(5))
    assert len(set(pick_models(families, 10, seed=0).tolist())) == 10
    assert len(pick_models(families[:3], 10)) == 3


def test_too_few_or_too_many_are_refused(networks: Networks) -> None:
    target = resolve_target("t4")
    for count in (2, MOST + 1):
        with pytest.raises(UsageError, match="3 to 10"):
            refine(take(networks, np.arange(count)), target)
    with pytest.raises(UsageError, match="no measured model is left"):
        validate_networks(take(networks, np.arange(4)), target, RunConditions(), few_shot=4)
