"""`costmodel devices`: filters, columns, ridge points, the picture, folders of one's own."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from costmodel.cli import main
from costmodel.hardware import catalogue_folder, list_devices, load_device
from costmodel.reports.device_catalogue import catalogue_page

USAGE_ERROR = 2


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*words: str) -> tuple[int, str, str]:
        code = main(list(words))
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def listed(run: Any) -> Any:
    def call(*words: str) -> list[str]:
        code, out, err = run("devices", "list", *words, "--format", "json")
        assert code == 0, err
        return [device["device"] for device in json.loads(out)["devices"]]

    return call


@pytest.fixture
def own_folder(tmp_path: Path) -> Path:
    """A folder with a V100 that draws one watt more, and a device of its own."""
    text = (catalogue_folder() / "v100-sxm2.yaml").read_text(encoding="utf-8")
    (tmp_path / "v100-sxm2.yaml").write_text(text.replace("300 W", "301 W"), encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("aliases:")]
    (tmp_path / "mine.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def test_filters(listed: Any) -> None:
    apple = listed("--vendor", "apple")
    assert {"m1-cpu", "m1-gpu", "a17-pro-neural-engine"} <= set(apple)
    assert "v100-sxm2" not in apple
    assert listed("--vendor", "Apple", "--kind", "npu") == ["a17-pro-neural-engine"]


def test_years(listed: Any) -> None:
    # NVIDIA's years of launch: P100 2016, V100 2017 or 2018, T4 2018, A100 2020, H100 2022.
    older = listed("--vendor", "nvidia", "--year", ":2016")
    assert "p100-pcie" in older
    assert not {"t4", "a100-sxm4-40gb"} & set(older)
    assert "a100-sxm4-40gb" in listed("--year", "2020")
    span = listed("--year", "2018:2020")
    assert {"t4", "a100-sxm4-40gb"} <= set(span)
    assert not {"p100-pcie", "h100-sxm5"} & set(span)
    assert set(listed("--year", ":2019")) | set(listed("--year", "2020:")) == set(listed())


@pytest.mark.parametrize("year", ["20", ":", "2020:2018", "last", "2018-2020", ""])
def test_what_is_no_year(run: Any, year: str) -> None:
    code, out, err = run("devices", "list", "--year", year)
    assert (code, out) == (USAGE_ERROR, "")
    assert err.startswith("error: --year")
    assert err.count("\n") == 1


def test_a_vendor_that_does_not_exist(run: Any) -> None:
    code, _, err = run("devices", "list", "--vendor", "nvidja")
    assert code == USAGE_ERROR
    assert "NVIDIA" in err
    assert "Arm" in err


def test_columns(run: Any) -> None:
    code, out, _ = run(
        "devices", "list", "--vendor", "Google", "--columns", "name,year", "--columns", "power",
        "--format", "csv",
    )  # fmt: skip
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert list(rows[0]) == ["name", "year", "board_power_w"]
    assert len(rows) == sum(profile.vendor == "Google" for profile in list_devices())


def test_all_unknown_columns_are_named_with_those_there_are(run: Any) -> None:
    code, _, err = run("devices", "list", "--columns", "name,weight,height")
    assert code == USAGE_ERROR
    assert err.count("\n") == 1
    assert "weight,height" in err
    assert "vendor" in err
    assert "dram-size" in err


def test_ridge_points_by_dtype_and_level(run: Any) -> None:
    code, out, _ = run("devices", "show", "v100-sxm2", "--format", "json")
    assert code == 0
    points = {
        (p["dtype"], p["engine"], p["accumulate"]): p["ops_per_byte"]
        for p in json.loads(out)["ridge_points"]
    }
    # NVIDIA's 15.7 and 125 TFLOP/s over 900 GB/s of HBM2.
    assert points["float32", "vector", None]["dram"] == pytest.approx(15.7e12 / 900e9)
    assert points["float16", "matrix", "float32"]["dram"] == pytest.approx(125e12 / 900e9)
    # 128 FLOP and 128 B per clock and SM: one operation per byte of L1.
    assert points["float32", "vector", None]["l1"] == pytest.approx(1, rel=0.01)


def test_the_picture_is_for_people_only(run: Any, tmp_path: Path) -> None:
    _, shown, _ = run("devices", "show", "v100-sxm2")
    chart = shown[shown.index("dense peaks over") :]
    assert "l1, l2, dram" in chart
    assert "float16 matrix 125 TFLOP/s" in chart
    assert "float32 vector 15.7 TFLOP/s" in chart
    assert "FLOP/byte" in chart
    for form in ("json", "csv", "md"):
        assert "dense peaks over" not in run("devices", "show", "v100-sxm2", "-f", form)[1]
    written = tmp_path / "v100.txt"
    assert run("devices", "show", "v100-sxm2", "-o", str(written))[0] == 0
    assert "dense peaks over" not in written.read_text(encoding="utf-8")


def test_every_device_has_a_picture_or_lacks_a_peak_or_a_bandwidth() -> None:
    pytest.importorskip("plotext", reason="draws the picture")
    from costmodel.reports.roofline.device import device_chart

    for profile in list_devices():
        peaks = [row for row in profile.peaks if row.si is not None]
        rates = [level for level in profile.levels if profile.bandwidth(level)]
        assert bool(device_chart(profile, colour=False, width=100)) == bool(peaks and rates)


def test_own_folders_come_first(run: Any, own_folder: Path) -> None:
    def power(*words: str) -> float:
        code, out, err = run(
            "devices", "list", *words, "--columns", "device,power", "--format", "json"
        )
        assert code == 0, err
        found = {d["device"]: d["board_power_w"] for d in json.loads(out)["devices"]}
        assert ("mine" in found) == bool(words)
        return float(found["v100-sxm2"])

    assert power("--devices", str(own_folder)) == 301
    assert power() == 300  # the folder counts for one command only
    assert load_device("v100-sxm2").board_power == 300


@pytest.mark.parametrize(
    "words",
    [("devices", "show", "mine"), ("devices", "compare", "mine", "v100-sxm2")],
)
def test_a_device_of_ones_own(run: Any, own_folder: Path, words: tuple[str, ...]) -> None:
    assert run(*words, "--devices", str(own_folder))[0] == 0
    assert run(*words)[0] == USAGE_ERROR


def test_predictions_find_own_devices(run: Any, own_folder: Path) -> None:
    pytest.importorskip("torch", reason="traces the model")
    model = own_folder / "small.py"
    model.write_text(
        "import torch\n\ndef small():\n    return torch.nn.Linear(8, 4)\n\n"
        "small.input_shape = (8,)\n",
        encoding="utf-8",
    )
    words = ("-d", "mine", "--devices", str(own_folder), "--format", "json")
    for command in ("predict", "roofline"):
        code, out, err = run(command, f"{model}:small", *words)
        assert code == 0, err
        assert '"device": "mine"' in out


def test_a_folder_that_is_none(run: Any, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    code, _, err = run("devices", "list", "--devices", str(missing))
    assert code == USAGE_ERROR
    assert str(missing) in err
    assert err.count("\n") == 1


def test_the_page_of_all_devices_is_up_to_date() -> None:
    page = Path(__file__).resolve().parent.parent / "docs" / "devices.md"
    if not page.is_file():
        pytest.skip("the documentation is not installed with the tests")
    text = page.read_text(encoding="utf-8")
    assert text == catalogue_page(list_devices()), (
        "run `python -m costmodel.reports.device_catalogue --write`"
    )
    first_cells = [line.split("|")[1].strip() for line in text.splitlines() if line[:1] == "|"]
    assert sorted(set(first_cells) - {"device", "---"}) == [p.id for p in list_devices()]
