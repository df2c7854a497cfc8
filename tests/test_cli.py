"""The commands: what they print, in which format, and that it equals the Python API."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from costmodel.cli import main

MODEL = """
import torch
from torch import nn

print("noise on stdout while importing")

class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.head = nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(512, 10))

    def forward(self, x):
        return self.head(self.conv(x))

def small():
    return Small()

small.input_shape = (3, 8, 8)
"""

# Worked by hand for one 3x8x8 image: 3x3 convolution 3 -> 8, then 512 -> 10.
CONV_MACS = 8 * 3 * 3 * 3 * 8 * 8
LINEAR_MACS = 512 * 10
PARAMETERS = 8 * 3 * 3 * 3 + 512 * 10 + 10

ESTIMATE_KEYS = [
    "model", "device", "batch", "precision", "latency_s", "throughput_per_s", "macs", "flops",
    "params", "bytes_read", "bytes_written", "peak_memory_bytes", "energy_j",
    "energy_floor_j", "bound", "interval_s",
    "operators", "uncovered",
]  # fmt: skip
OPERATOR_KEYS = [
    "name", "op", "module", "macs", "flops", "bytes_read", "bytes_written",
    "intensity_flop_per_byte", "time_s", "bound",
]  # fmt: skip


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "small.py"
    path.write_text(MODEL)
    return f"{path}:small"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*words: str) -> tuple[int, str, str]:
        code = main(list(words))
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def document(run: Any) -> Any:
    def call(*words: str) -> Any:
        code, out, _ = run(*words, "--format", "json")
        assert code == 0
        return json.loads(out)

    return call


def test_predict_json_has_exactly_the_promised_keys(document: Any, model: str) -> None:
    found = document("predict", model, "-d", "v100-sxm2", "-b", "2")
    assert list(found) == ["schema_version", "estimates"]
    assert found["schema_version"] == 1
    (estimate,) = found["estimates"]
    assert list(estimate) == ESTIMATE_KEYS
    assert all(list(operator) == OPERATOR_KEYS for operator in estimate["operators"])
    assert estimate["interval_s"] is None or len(estimate["interval_s"]) == 2
    assert estimate["uncovered"] == []


def test_predict_numbers_are_those_worked_by_hand(document: Any, model: str) -> None:
    (estimate,) = document("predict", model, "-d", "v100-sxm2", "-b", "2")["estimates"]
    assert (estimate["batch"], estimate["precision"]) == (2, "fp32")
    assert estimate["macs"] == 2 * (CONV_MACS + LINEAR_MACS)
    assert estimate["params"] == PARAMETERS
    assert type(estimate["macs"]) is int
    conv = estimate["operators"][0]
    assert (conv["name"], conv["op"], conv["module"]) == ("conv", "aten::convolution", "conv")
    assert conv["macs"] == 2 * CONV_MACS
    assert conv["bytes_read"] == 4 * (2 * 3 * 8 * 8 + 8 * 3 * 3 * 3)
    assert conv["bytes_written"] == 4 * (2 * 8 * 8 * 8)


def test_predict_numbers_equal_the_python_api(document: Any) -> None:
    from costmodel.estimation import estimate
    from costmodel.tracing.source import load_graph

    graph = load_graph("zoo:fasternet_t0", batch=2)
    words = ("predict", "zoo:fasternet_t0", "-d", "a100", "-d", "epyc-73f3@4", "-b", "1,16")
    found = document(*words, "-p", "fp32", "-p", "fp16")["estimates"]
    cases = [
        (device, batch, precision)
        for device in ("a100", "epyc-73f3@4")
        for batch in (1, 16)
        for precision in ("fp32", "fp16")
    ]
    assert len(found) == len(cases)
    for shown, case in zip(found, cases, strict=True):
        expected = estimate(graph, *case)
        assert shown["device"] == expected.device
        assert shown["latency_s"] == expected.latency
        assert shown["throughput_per_s"] == pytest.approx(shown["batch"] / shown["latency_s"])
        assert shown["peak_memory_bytes"] == expected.peak_memory
        assert shown["bound"] == expected.bound
        assert sum(o["time_s"] for o in shown["operators"]) == pytest.approx(expected.latency)
        assert sum(o["macs"] for o in shown["operators"]) == shown["macs"]


def test_predict_csv_and_table_agree(run: Any, model: str) -> None:
    words = ("predict", model, "-d", "v100-sxm2", "-d", "a100", "--baseline", "a100")
    code, out, _ = run(*words, "-f", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert [row["device"] for row in rows] == ["a100-sxm4-80gb", "v100-sxm2"]
    assert float(rows[0]["speed_vs_baseline"]) == 1
    ratio = float(rows[0]["latency_s"]) / float(rows[1]["latency_s"])
    assert float(rows[1]["speed_vs_baseline"]) == pytest.approx(ratio)
    code, out, _ = run(*words)
    assert code == 0
    assert "MACs" in out
    assert "vs a100-sxm4-80gb" in out
    code, out, _ = run(*words, "-f", "md")
    assert code == 0
    assert out.count("\n| ") >= 3


def test_top_lists_the_slowest_operators(run: Any, model: str) -> None:
    code, out, _ = run("predict", model, "-d", "v100-sxm2", "--top", "2")
    assert code == 0
    assert "Slowest operators: small" in out


def test_budgets_decide_the_exit_code(run: Any, model: str) -> None:
    words = ("predict", model, "-d", "v100-sxm2")
    assert run(*words, "--max-latency", "10 s", "--max-memory", "1GiB")[0] == 0
    code, out, err = run(*words, "--max-latency", "1ns")
    assert code == 1
    assert "small on v100-sxm2" in err
    assert "exceeds 1 ns" in err
    assert "Prediction" in out
    code, _, err = run(*words, "--max-memory", "1B")
    assert code == 1
    assert "exceeds 1 B" in err


def test_threads_apply_to_cpus_only(document: Any, model: str) -> None:
    words = ("predict", model, "-d", "v100-sxm2", "-d", "epyc-73f3", "--threads", "4")
    found = document(*words)["estimates"]
    assert [estimate["device"] for estimate in found] == ["v100-sxm2", "epyc-73f3@4"]


def test_all_devices_that_can(run: Any, model: str) -> None:
    from costmodel.hardware import list_devices

    code, out, err = run("predict", model, "-d", "all", "-p", "int8", "-f", "json")
    assert code == 0
    shown = {estimate["device"] for estimate in json.loads(out)["estimates"]}
    for profile in list_devices():
        # A device without int8 computes in float32; one that cannot is left out, and said so.
        computes = profile.peak("int8") or profile.peak("float32")
        able = bool(computes and profile.bandwidth(profile.main_memory))
        assert able == (profile.id in shown)
        assert able != (f"left out: {profile.id}" in err)


@pytest.mark.parametrize("command", ["predict", "roofline", "report", "compare", "timeline"])
def test_commands_that_predict_take_the_same_setting(run: Any, command: str) -> None:
    _, usage, _ = run(command, "--help")
    setting = ["--device", "--devices", "--batch", "--precision", "--input", "--threads"]
    given = [name for name in re.findall(r"^ .*?(--[a-z-]+)", usage, re.M) if name in setting]
    assert given == setting


def test_a_file_is_written_whole_in_the_format_of_its_name(
    run: Any, model: str, tmp_path: Path
) -> None:
    for name in ("r.json", "r.csv", "r.md", "r.txt"):
        path = tmp_path / name
        path.write_text("old")
        code, out, err = run("predict", model, "-d", "v100-sxm2", "-o", str(path))
        assert (code, out) == (0, "")
        assert f"wrote {path}" in err
        assert "v100-sxm2" in path.read_text()
    assert json.loads((tmp_path / "r.json").read_text())["schema_version"] == 1
    assert sorted(p.name for p in tmp_path.glob("r.*")) == ["r.csv", "r.json", "r.md", "r.txt"]
    assert not list(tmp_path.glob(".r*"))


def test_what_the_model_prints_stays_off_stdout(
    model: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """It runs in a process of its own, which has the same stderr."""
    assert main(["predict", model, "-d", "v100-sxm2", "-f", "json"]) == 0
    out, err = capfd.readouterr()
    assert "noise" not in out
    assert "noise on stdout" in err


def test_summary_sums_up(document: Any, run: Any, model: str) -> None:
    modules = {m["module"]: m for m in document("summary", model, "-b", "2")["modules"]}
    assert list(modules) == ["", "conv", "head", "head.0", "head.1", "head.2"]
    root = modules[""]
    assert root["params"] == PARAMETERS
    assert (
        root["macs"]
        == 2 * (CONV_MACS + LINEAR_MACS)
        == sum(modules[name]["macs"] for name in ("conv", "head"))
    )
    for key in ("params", "macs", "flops", "bytes_read", "bytes_written", "operators"):
        assert root[key] == modules["conv"][key] + modules["head"][key]
        assert modules["head"][key] == sum(modules[f"head.{i}"][key] for i in range(3))
    assert modules["conv"]["input_shape"] == [2, 3, 8, 8]
    assert modules["conv"]["output_shape"] == [2, 8, 8, 8]
    assert modules["head.2"]["output_shape"] == [2, 10]
    code, out, _ = run("summary", model, "--depth", "1")
    assert code == 0
    assert "├─ conv" in out
    assert "└─ head" in out
    assert "3 modules below depth 1" in out


def test_compare_ops_is_the_hand_worked_example(document: Any) -> None:
    words = ("compare-ops", "conv", "dwconv", "pwconv", "separable", "pconv:1/4")
    (found,) = document(*words, "--channels", "256", "-d", "v100-sxm2")["comparisons"]
    macs = {point["operator"]: point["macs"] for point in found["points"]}
    assert macs["conv"] == 1_849_688_064
    assert macs["dwconv"] == 7_225_344
    assert macs["pwconv"] == 205_520_896
    assert macs["separable"] == 212_746_240
    assert macs["pconv:1/4"] * 16 == macs["conv"]


def test_compare_ops_without_laws_is_the_plain_roofline(document: Any) -> None:
    words = ("compare-ops", "dwconv", "conv", "--channels", "256", "-d", "v100-sxm2")
    (found,) = document(*words, "--without", "all")["comparisons"]
    depthwise, conv = found["points"]
    moved = 4 * (2 * 256 * 56 * 56 + 256 * 9)
    assert depthwise["bytes"] == moved
    assert depthwise["latency_s"] == pytest.approx(moved / 900e9)
    assert conv["latency_s"] == pytest.approx(2 * 1_849_688_064 / 15.7e12)
    assert depthwise["bound"] == "memory"
    assert conv["bound"] == "compute"


def test_compare_ops_marks_fewer_flops_that_are_not_faster(document: Any, run: Any) -> None:
    words = ("compare-ops", "dwconv", "pconv:1/4", "--channels", "32:64", "-d", "v100-sxm2")
    (found,) = document(*words, "-b", "256", "--without", "all")["comparisons"]
    assert [point["channels"] for point in found["points"]] == [32, 32, 64, 64]
    for depthwise, partial in zip(found["points"][::2], found["points"][1::2], strict=True):
        assert depthwise["flops"] < partial["flops"]
        assert depthwise["latency_s"] > partial["latency_s"]
        assert depthwise["fewer_flops_not_faster_than"] == ["pconv:1/4"]
        assert partial["fewer_flops_not_faster_than"] == []
    code, out, _ = run(*words)
    assert code == 0
    assert "MACs" in out
    assert "note: pconv is written in place" in out


def test_roofline_in_the_terminal(run: Any, document: Any, model: str) -> None:
    code, out, _ = run("roofline", model, "-d", "v100-sxm2", "-b", "64")
    assert code == 0
    assert "FLOP/byte" in out
    assert "float32 vector" in out
    assert "\x1b[" not in out
    (found,) = document("roofline", model, "-d", "v100-sxm2", "-b", "64")["rooflines"]
    assert found["roofs"] == [{"name": "float32 vector", "flop_per_s": 15.7e12}]
    assert {"name": "dram", "bytes_per_s": 900e9, "main": True} in found["memory_levels"]
    assert sum(o["time_share"] for o in found["operators"]) == pytest.approx(1)


def test_explain_puts_the_numbers_in(document: Any, run: Any, model: str) -> None:
    sizes = "n=1,c_in=256,c_out=256,h_in=56,w_in=56,h_out=56,w_out=56,k_h=3,k_w=3"
    found = document("explain", "conv2d", "--set", sizes)["quantities"]
    assert found["macs"]["value"] == 1_849_688_064
    assert found["parameters"]["value"] == 589_824
    assert found["bytes_written"]["value"] == 4 * 256 * 56 * 56
    assert r"\frac" in found["macs"]["latex"]
    words = ("explain", "pconv", "--set", "c_p=c_in/4", "--set", "c_in=256,h=56,w=56,k=3,n=1")
    assert document(*words)["quantities"]["macs"]["value"] * 16 == 1_849_688_064
    code, out, _ = run("explain", "pconv")
    assert code == 0
    for part in ("c_p", "equations 5 and 6", "Run, Don't Walk", "LaTeX"):
        assert part in out
    found = document("explain", model, "--op", "conv", "-b", "2")
    assert found["kind"] == "convolution"
    assert found["quantities"]["macs"]["value"] == 2 * CONV_MACS
    assert found["assumptions"]["c_out"] == 8
    assert run("explain", model, "--op", "head")[0] == 0
    code, out, _ = run("explain")
    assert code == 0
    assert "conv2d" in out
    code, out, _ = run("explain", "conv2d", "--set", sizes)
    assert "not given, assumed: b_x = 4" in out


def test_devices(run: Any, document: Any, tmp_path: Path) -> None:
    listed = {d["device"]: d for d in document("devices", "list")["devices"]}
    assert listed["v100-sxm2"]["dram_bandwidth_bytes_per_s"] == 900e9
    assert listed["v100-sxm2"]["float32_ridge_flop_per_byte"] == pytest.approx(15.7e12 / 900e9)
    kinds = {d["kind"] for d in document("devices", "list", "--kind", "cpu")["devices"]}
    assert kinds == {"cpu"}
    code, out, _ = run("devices", "show", "v100")
    assert code == 0
    for text in ("15.7 TFLOP/s", "900 GB/s", "17.4", "not known", "Sources"):
        assert text in out
    assert document("devices", "show", "v100")["device"]["peaks"]
    compared = document("devices", "compare", "v100-sxm2", "a100")
    row = next(r for r in compared["comparison"] if r["property"] == "dram bandwidth")
    assert row["values"][0] == 900e9
    assert run("devices", "validate")[0] == 0
    schema = json.loads(run("devices", "schema")[1])
    assert schema["$schema"].startswith("https://json-schema.org/")
    new = tmp_path / "my-device.yaml"
    assert run("devices", "new", "My Device", "-o", str(new))[0] == 0
    code, _, err = run("devices", "validate", str(new))
    assert code == 2
    assert f"{new}:" in err
    for name, why in ((new, "exists already"), (tmp_path / "new.json", "ends in .yaml")):
        code, _, err = run("devices", "new", "My Device", "-o", str(name))
        assert code == 2
        assert why in err


def test_no_words_show_the_help(run: Any) -> None:
    code, out, _ = run()
    assert code == 0
    assert "predict" in out
    assert run("--version")[1].startswith("costmodel ")


# ------------------------------------------------------------------- in a process of its own


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    root = str(Path(__file__).parent.parent)
    paths = os.pathsep.join(filter(None, [root, kept.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("words", [[], ["predict"], ["devices"], ["compare-ops"], ["explain"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    ended = python(
        f"import sys; from costmodel.cli import main; code = main({[*words, '--help']!r});"
        "print(code, [m for m in ('torch', 'sympy', 'plotly', 'numpy', 'pandas', 'rich.console')"
        " if m in sys.modules])"
    )
    assert ended.stdout.splitlines()[-1] == "0 []"
    assert "Usage: costmodel" in ended.stdout


def test_help_answers_in_less_than_twice_the_time_of_its_libraries() -> None:
    resource = pytest.importorskip("resource", reason="processor time of children needs POSIX")

    def seconds(code: str) -> float:
        """Processor time, which other work on the machine adds little to."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert python(code).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    imports = "import typer, rich"
    shown = "import sys; from costmodel.cli import main; sys.exit(main(['--help']))"
    pairs = [(seconds(imports), seconds(shown)) for _ in range(7)]
    assert min(b for _, b in pairs) < 2 * min(a for a, _ in pairs)


COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9[0-7])[;m]")


def test_no_color_is_respected(model: str) -> None:
    code = (
        "import sys; from costmodel.cli import main;"
        f"sys.exit(main(['roofline', {model!r}, '-d', 'v100-sxm2']))"
    )
    assert COLOUR.search(python(code, FORCE_COLOR="1").stdout)
    assert not COLOUR.search(python(code, FORCE_COLOR="1", NO_COLOR="1").stdout)


def test_a_closed_pipe_is_no_error() -> None:
    code = "import sys; from costmodel.cli import main; sys.exit(main(['devices', 'schema']))"
    command = f'{sys.executable} -c "{code}" | head -c 1'
    root = str(Path(__file__).parent.parent)
    ended = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stderr == ""
    assert ended.returncode == 0
