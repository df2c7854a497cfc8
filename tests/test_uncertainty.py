"""Intervals: they hold what they promise on residuals whose spread is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from costmodel.cli import main
from costmodel.errors import UsageError
from costmodel.estimation import estimate
from costmodel.measurement.fitting.residuals import FEWEST, conformal_quantile, fit_residuals
from costmodel.measurement.fitting.uncertainty import read_case
from costmodel.measurement.tables.conditions import RunConditions
from costmodel.roofline.constants import DEFAULT
from costmodel.roofline.interval import (
    FAR_DEVICE_SPREAD,
    FAR_KIND,
    FILE,
    OTHER_WAY,
    UNCOVERED,
    UNSEEN,
    Residuals,
    half_widths,
    load_residuals,
    read_residuals,
    time_shares,
)
from costmodel.tracing.source import load_graph

KINDS = ("convolution", "matmul", "softmax")


def residuals(**changes: Any) -> Residuals:
    values: dict[str, Any] = {
        "device_kind": "gpu", "execution": "eager", "precision": "fp32", "judged": "made up",
        "networks": 100, "floor": 0.03, "kinds": {"convolution": 0.04, "matmul": 0.2},
        "quantile": 2.0, "between_devices": 0.0,
    }  # fmt: skip
    return Residuals(**{**values, **changes})


def made_up(count: int, seed: int, spread: tuple[float, ...]) -> tuple[Any, Any]:
    generator = np.random.default_rng(seed)
    shares = generator.dirichlet((0.5, 0.5, 0.02), count)
    scale = np.sqrt(0.03**2 + ((shares * spread) ** 2).sum(1))
    return generator.laplace(0, scale / np.sqrt(2)), shares


def test_spread_is_found_where_there_is_data_and_stays_wide_elsewhere() -> None:
    pytest.importorskip("scipy")
    errors, shares = made_up(3000, 0, (0.02, 0.3, 0.1))
    found = fit_residuals([errors], KINDS, [shares], "gpu", "eager", "fp32", "made up")
    assert found.of_kind("matmul") == pytest.approx(0.3, rel=0.2)
    assert found.of_kind("convolution") < 0.06
    assert found.of_kind("never seen") == UNSEEN
    assert found.of_kind("uncovered") == UNCOVERED


def test_no_kind_is_less_sure_than_operators_without_a_formula() -> None:
    """Small shares with large errors must not make a network of that kind uncertain without end."""
    pytest.importorskip("scipy")
    shares = np.tile([0.99, 0.0, 0.01], (50, 1))
    errors = np.full(50, 0.8)
    found = fit_residuals([errors], KINDS, [shares], "gpu", "eager", "fp32", "made up")
    assert max(found.kinds.values()) <= UNCOVERED * (1 + 1e-9)


def test_coverage_of_new_networks_is_what_it_says() -> None:
    pytest.importorskip("scipy")
    errors, shares = made_up(1000, 1, (0.02, 0.3, 0.1))
    found = fit_residuals([errors], KINDS, [shares], "gpu", "eager", "fp32", "made up")
    fresh, mix = made_up(4000, 2, (0.02, 0.3, 0.1))
    width, _ = half_widths(KINDS, mix, "gpu", "eager", "fp32", [found])
    assert np.mean(np.abs(fresh) <= width) == pytest.approx(0.9, abs=0.03)
    # Also where the networks are hard and where they are easy, not only on average.
    hard = mix[:, 1] > 0.7
    assert np.mean(np.abs(fresh[hard]) <= width[hard]) == pytest.approx(0.9, abs=0.05)
    assert np.mean(np.abs(fresh[~hard]) <= width[~hard]) == pytest.approx(0.9, abs=0.05)


def test_the_quantile_is_the_right_order_statistic() -> None:
    assert conformal_quantile(np.arange(1.0, 100.0)) == 90
    assert conformal_quantile(np.arange(1.0, 20.0)) == 18
    assert conformal_quantile(np.array([3.0, 1.0])) == 3


def test_hand_worked_width() -> None:
    way = ("gpu", "eager", "fp32")
    found, basis = half_widths(("matmul",), np.array([[1.0]]), *way, residuals=[residuals()])
    assert found[0] == pytest.approx(2 * (0.03**2 + 0.2**2) ** 0.5)
    assert "100 networks" in basis
    with_devices = residuals(between_devices=0.1)
    wider, _ = half_widths(("matmul",), np.array([[1.0]]), *way, residuals=[with_devices])
    assert wider[0] == pytest.approx(np.hypot(found[0], 1.645 * 0.1))


def test_what_was_not_judged_is_wider_and_says_so() -> None:
    share = np.array([[1.0]])

    def width(*way: str, kind: str = "matmul") -> tuple[float, str]:
        values, basis = half_widths((kind,), share, *way, residuals=[residuals()])
        return float(values[0]), basis

    own, plain = width("gpu", "eager", "fp32")
    assert "as wide" not in plain
    other, why = width("gpu", "compiled", "fp32")
    assert other == pytest.approx(OTHER_WAY * own)
    assert "no compiled run" in why
    far, why = width("npu", "eager", "fp32")
    assert far == pytest.approx(np.hypot(FAR_KIND * own, 1.645 * FAR_DEVICE_SPREAD))
    assert "no npu" in why
    assert "an assumed 40% from device to device" in why
    assert width("gpu", "eager", "int8")[0] > own
    assert width("gpu", "eager", "fp32", kind="never seen")[0] > own
    assert width("gpu", "eager", "fp32", kind="uncovered")[0] > own


def test_gpus_of_another_vendor_were_not_judged_and_say_so() -> None:
    """Twice the half-width of 2 x sqrt(0.03^2 + 0.2^2), and 15 % from device to device."""
    way, share = ("gpu", "eager", "fp32"), np.array([[1.0]])
    judged = [residuals(vendor="NVIDIA")]
    (own,), said = half_widths(("matmul",), share, *way, judged, vendor="NVIDIA")
    assert own == pytest.approx(2 * np.hypot(0.03, 0.2))
    assert "was judged" not in said
    (other,), said = half_widths(("matmul",), share, *way, judged, vendor="AMD")
    assert other == pytest.approx(np.hypot(2 * own, 1.645 * 0.15))
    assert "2x as wide, since no gpu of AMD was judged" in said


def test_the_nearest_way_of_running_is_chosen() -> None:
    sets = [residuals(), residuals(execution="compiled", floor=0.5), residuals(device_kind="cpu")]
    _, basis = half_widths(("matmul",), np.array([[1.0]]), "cpu", "eager", "fp32", sets)
    assert "as wide" not in basis
    wide, _ = half_widths(("matmul",), np.array([[1.0]]), "gpu", "compiled", "fp32", sets)
    assert wide[0] > 1


def test_kinds_that_were_lacking_are_taken_from_another_way_of_running() -> None:
    """Half-width: quantile 2 x sqrt(0.03^2 + (1.3 x 0.05)^2), as eager runs were not compiled."""
    eager = residuals(kinds={"convolution": 0.04})
    compiled = residuals(execution="compiled", kinds={"convolution": 0.5, "softmax": 0.05})
    (width,), _ = half_widths(
        ["softmax"], np.ones((1, 1)), "gpu", "eager", "fp32", [eager, compiled]
    )
    assert width == pytest.approx(2 * np.hypot(0.03, OTHER_WAY * 0.05))
    (own,), _ = half_widths(
        ["convolution"], np.ones((1, 1)), "gpu", "eager", "fp32", [eager, compiled]
    )
    assert own == pytest.approx(2 * np.hypot(0.03, 0.04))


def test_shares_sum_to_one_and_launches_count_apart() -> None:
    names, shares = time_shares(
        ["conv", "conv", "relu"],
        np.array([False, True, False]),
        np.array([1.0, 2.0, 1.0]),
        np.array([0, 0, 1]),
        2,
    )
    found = [dict(zip(names, row, strict=True)) for row in shares.tolist()]
    assert found[0] == {"conv": pytest.approx(1 / 3), "relu": 0, "start-up": pytest.approx(2 / 3)}
    assert found[1]["relu"] == 1


def test_the_data_file_is_sound() -> None:
    document = json.loads(FILE.read_text())
    assert document["command"].startswith("python -m costmodel.measurement.fitting.uncertainty")
    assert document["level"] == 0.9
    sets = read_residuals(document)
    assert {entry.device_kind for entry in sets} == {"cpu", "gpu"}
    for entry in sets:
        assert entry.networks >= FEWEST
        assert 0 < entry.floor < 0.2
        assert 1 < entry.quantile < 4
        assert 0 <= entry.between_devices < 0.3
        assert all(0 < value <= UNCOVERED for value in entry.kinds.values())
    assert load_residuals()[0].networks == max(entry.networks for entry in sets)


def test_estimates_carry_an_interval_around_their_latency() -> None:
    graph = load_graph("zoo:resnet50")
    widths = {}
    for device in ("rtx-4090", "epyc-73f3", "ethos-u55-256"):
        precision = "int8" if device.startswith("ethos") else "fp32"
        found = estimate(graph, device, 8, precision)
        assert found.interval is not None
        assert found.interval.low < found.latency < found.interval.high
        # Symmetric in the logarithm: low x high = latency^2.
        assert found.interval.low * found.interval.high == pytest.approx(found.latency**2)
        widths[device] = found.interval.high / found.latency
        assert ("was judged" in found.interval.basis) == device.startswith("ethos")
    assert widths["ethos-u55-256"] > max(widths["epyc-73f3"], widths["rtx-4090"])
    assert min(widths.values()) > 1.1


def test_no_interval_where_the_laws_are_others() -> None:
    from dataclasses import replace

    graph = load_graph("zoo:fasternet_t0")
    assert estimate(graph, "t4", without=["tiles"]).interval is None
    assert estimate(graph, "t4", constants=replace(DEFAULT, launch=4e-6)).interval is None
    assert estimate(graph, "t4").interval is not None


def test_predict_shows_the_interval_of_the_api(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["predict", "zoo:fasternet_t0", "-d", "t4", "-b", "8"]
    assert main([*words, "-f", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["estimates"]
    expected = estimate(load_graph("zoo:fasternet_t0", batch=2), "t4", 8).interval
    assert expected is not None
    assert found["interval_s"] == [expected.low, expected.high]
    assert main(words) == 0
    assert "90 % interval" in capsys.readouterr().out
    assert main([*words, "--without", "all", "-f", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["estimates"][0]["interval_s"] is None


def test_too_few_networks_are_refused() -> None:
    pytest.importorskip("scipy")
    errors, shares = made_up(10, 0, (0.1, 0.1, 0.1))
    with pytest.raises(UsageError, match="too few"):
        fit_residuals([errors], KINDS, [shares], "gpu", "eager", "fp32", "made up")


def test_a_case_is_the_rows_of_its_table_under_the_conditions_it_states(tmp_path: Path) -> None:
    pytest.importorskip("timm", reason="timm's tables are of timm's models")
    parameters = load_graph("timm:test_vit", 2, (3, 64, 64)).parameters / 1e6
    table = tmp_path / "nothing-in-the-name.csv"
    table.write_text(
        "model,infer_img_size,infer_batch_size,infer_step_time,param_count\n"
        f"test_vit,64,2,1.5,{parameters:.2f}\ntest_byobnet,64,2,2.5,99\n"
    )
    constants = tmp_path / "constants.json"
    constants.write_text('{"constants": {"launch": 5e-6}}')
    text = f"{table}@rtx-4090,amp-fp16,fast-norm,constants={constants}"
    ((run, used),) = read_case(text, load_graph)
    assert run.target.label == "rtx-4090"
    assert run.conditions == RunConditions("amp-fp16", "nchw", fast_norm=True)
    assert run.networks.names == ("test_vit",)  # the other row is another model: 99 M parameters
    assert run.networks.measured.tolist() == [1.5e-3]
    assert (used.launch, used.overlap) == (5e-6, DEFAULT.overlap)
    ((_, shipped),) = read_case(f"{table}@rtx-4090,fp32", load_graph)
    assert shipped == DEFAULT


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("missing.csv,fp32", "missing.csv: no such file"),
        ("missing.csv@rtx-4090,fp32", "missing.csv: no such file"),
        ("missing.csv@rtx-4090,constants=none.json", "none.json: not a file of constants"),
    ],
)
def test_a_case_that_makes_no_sense_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_case(text, load_graph)
