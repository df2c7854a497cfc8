"""`costmodel fit`: constants come back from times that other constants made."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import costmodel as cm
from costmodel.cli.app import main
from costmodel.errors import CostModelError
from costmodel.hardware import load_device
from costmodel.measurement.fitting.fit import parse_source, read_constants
from costmodel.measurement.fitting.network_fit import fit_networks
from costmodel.measurement.tables.records import Machine, Record
from costmodel.measurement.validation.kernel_prediction import predicted_latency
from costmodel.measurement.validation.networks import Case, stack_networks
from costmodel.roofline.ceilings import Target
from costmodel.roofline.constants import DEFAULT, Constants, constant_table
from costmodel.roofline.device_columns import device_columns

pytest.importorskip("scipy", reason="scipy is an optional extra: pip install .[fit]")

TRUTH = replace(DEFAULT, dram_share=0.83, launch=3e-6)
MODELS = ("zoo:fasternet_t0", "zoo:fasternet_t1", "zoo:partialnet_t0")


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of additions on two devices, timed by the laws under `TRUTH`."""
    path = tmp_path_factory.mktemp("kernels") / "add.csv"
    generator = np.random.default_rng(3)
    sizes = {
        "b": np.concatenate([np.ones(5), generator.integers(1, 16_000, 115)]).astype(float),
        "h": np.concatenate([np.full(5, 300), generator.integers(300, 4_000, 115)]).astype(float),
    }
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["opname", "latency_ms", "device", "kernel_name", "grid_x", "grid_y", "grid_z", *sizes]
        )
        for name in ("Tesla T4", "NVIDIA A100-PCIE-40GB"):
            device = device_columns([Target(load_device(name))]).expand()
            latency = predicted_latency("add", sizes, device, 20e-6, TRUTH)
            for b, h, seconds in zip(*sizes.values(), latency, strict=True):
                writer.writerow(["add", 1e3 * seconds, name, "k", 1, 1, 1, b, h])
    return path


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Networks on a GPU at small batches, timed by the laws under `TRUTH`."""
    path = tmp_path_factory.mktemp("networks") / "measured.jsonl"
    target, lines = Target(load_device("v100-sxm2")), []
    for source in MODELS:
        for batch in (1, 4, 64):
            graph = cm.load_graph(source, batch)
            networks = stack_networks([Case(source, graph, batch, 1.0)])
            seconds = float(networks.predict(target, TRUTH)[0])
            record = Record(
                source=source, batch=batch, precision="fp32", execution="eager", device="cuda",
                seconds=seconds, low=seconds, high=seconds, runs=9, confident=True,
                started="2026-01-01T00:00:00+00:00",
                machine=Machine(processor="P", cores=1, system="S", software={}),
            )  # fmt: skip
            lines.append(record.model_dump_json())
    path.write_text("\n".join(lines) + "\n")
    return path


def fitted(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["fit", "--format", "json", *words]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_kernels_give_their_constants_back_and_predict_an_unseen_device(
    kernels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unseen = f"{kernels}@a100-pcie-40gb"
    found = fitted(capsys, f"{kernels}@t4", "--hold-out", unseen, "--rows", "100", "--no-ablate")
    assert found["constants"]["dram_share"] * found["constants"]["ecc_share"] == pytest.approx(
        TRUTH.dram_share * TRUTH.ecc_share, rel=0.02
    ), "the T4 alone shows the product of both"
    scores = {entry["source"]: entry for entry in found["scores"]}
    assert [entry["held_out"] for entry in found["scores"]] == [False, True]
    assert scores[f"{kernels.name} on t4"]["after"]["mape"] < 0.02
    assert scores[f"{kernels.name} on a100-pcie-40gb"]["after"]["n"] == 100


def test_networks_give_the_launch_back_and_the_file_of_constants_is_read(
    networks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, kept = f"{networks}@v100-sxm2", tmp_path / "constants.json"
    found = fitted(capsys, source, "--only", "launch,dram_share", "--no-ablate")
    assert set(found["constants"]) == {"launch"}, "networks do not identify the share of DRAM"
    again = fitted(capsys, source, "--only", "launch", "--no-ablate")
    assert again["constants"] == found["constants"]
    assert main(["fit", source, "--only", "launch", "--no-ablate", "-o", str(kept)]) == 0
    constants = read_constants(kept)
    assert constants == replace(DEFAULT, launch=constants.launch)
    before, after = (found["scores"][0][key]["mape"] for key in ("before", "after"))
    assert after < before / 2
    words = ["validate", "--against", str(networks), "-d", "v100-sxm2", "--format", "json"]
    assert main([*words, "--constants", str(kept)]) == 0
    assert json.loads(capsys.readouterr().out)["mape"] == pytest.approx(after)


def test_a_fit_that_starts_in_the_middle_of_a_range_arrives() -> None:
    """The middle is all but zero to the optimiser, whose first step is as long as its start."""
    target = Target(cm.load_device("i9-10940x"))
    (row,) = (row for row in constant_table() if row.name == "cpu_launch")
    middle = DEFAULT.with_values({row.name: (row.low + row.high) / 2})
    truth = DEFAULT.with_values({row.name: row.low + 0.2 * (row.high - row.low)})
    graph = cm.load_graph("zoo:fasternet_t0")
    networks = stack_networks([Case("fasternet_t0", graph, 1, 1.0)])
    measured = replace(networks, measured=networks.predict(target, truth))
    found = fit_networks([(target, measured)], middle, [row.name])
    assert found.cpu_launch == pytest.approx(truth.cpu_launch, rel=0.05)


def test_folds_are_families_predicted_by_fits_to_the_others(
    networks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two folds of two families: each is held out from a fit to the other, as files can be."""
    words = ["--only", "launch", "--no-ablate"]
    (fold,) = fitted(capsys, f"{networks}@v100-sxm2", *words, "--folds", "2")["folds"]
    parts = {name: tmp_path / f"{name}.jsonl" for name in ("fasternet", "partialnet")}
    for name, path in parts.items():
        lines = [line for line in networks.read_text().splitlines() if f"zoo:{name}" in line]
        path.write_text("\n".join(lines) + "\n")
    errors = []
    for name, other in (("fasternet", "partialnet"), ("partialnet", "fasternet")):
        sources = [f"{parts[other]}@v100-sxm2", "--hold-out", f"{parts[name]}@v100-sxm2"]
        held_out = fitted(capsys, *sources, *words)["scores"][1]
        errors += [held_out["after"]["mape"]] * held_out["after"]["n"]
    assert (fold["n"], fold["mape"]) == (9, pytest.approx(np.mean(errors), rel=1e-6))


def test_the_ablation_names_what_each_law_is_worth(
    networks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = fitted(capsys, f"{networks}@v100-sxm2", "--only", "launch", "--steps", "3")
    (label,) = found["ablation"][""]
    everything = found["ablation"][""][label]
    assert found["ablation"]["launch"][label] > everything + 0.1, "small batches wait to start"
    assert found["ablation"]["starved"][label] == pytest.approx(everything), "nothing upsamples"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"constants": {"launch": 1}}', "lies outside"),
        ('{"constants": {"lunch": 1}}', "lunch"),
        ('{"constants": [1]}', "under 'constants'"),
        ("{", "not a file of constants"),
    ],
)
def test_constants_that_make_no_sense(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(CostModelError, match=message):
        read_constants(path)


def test_sources_that_make_no_sense(networks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CostModelError, match="of which device"):
        parse_source(str(networks))
    for words in (
        [f"{networks}@v100-sxm9"],
        [f"{networks}@v100-sxm2", "--only", "lunch"],
        [f"{networks}@v100-sxm2", "--only", "cpu_launch"],
        ["nowhere.csv@t4"],
        [f"{networks}@v100-sxm2", "--folds", "1"],
    ):
        assert main(["fit", *words]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_holding_out_every_device_leaves_nothing_to_fit_to(
    kernels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", f"{kernels}@t4", "--hold-out", f"{kernels}@t4"]) == 2
    assert "no kernels to use; is every device held out?" in capsys.readouterr().err


def test_every_constant_of_the_laws_can_be_set_and_no_other() -> None:
    assert Constants().with_values({"launch": 4e-6}).launch == 4e-6
    with pytest.raises(CostModelError):
        Constants().with_values({"launch": 1.0})
