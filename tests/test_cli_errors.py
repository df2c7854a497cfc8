"""Wrong usage and bad input: one clear line each, no traceback, exit code 2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from costmodel.cli import main

MODELS = """
import torch
from torch import nn

class Raises(nn.Module):
    def forward(self, x):
        raise ValueError("the gate is closed")

class Conv(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, x):
        return self.conv(x)

def raises():
    return Raises()

def conv():
    return Conv()

def number():
    return 7

def views():
    return nn.Flatten()

def broken():
    raise RuntimeError("no weights here")
"""

CUSTOM = """
import torch
from torch import nn

@torch.library.custom_op("costmodel_cli_test::wobble", mutates_args=())
def wobble(x: torch.Tensor) -> torch.Tensor:
    return x.clone()

@wobble.register_fake
def _(x):
    return torch.empty_like(x)

class Wobbly(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, x):
        return wobble(wobble(self.conv(x)))

def wobbly():
    return Wobbly()
"""


@pytest.fixture
def models(tmp_path: Path) -> str:
    path = tmp_path / "models.py"
    path.write_text(MODELS)
    return str(path)


@pytest.fixture(scope="module")
def custom(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One file for the whole module: torch registers an operator once per process."""
    path = tmp_path_factory.mktemp("custom") / "wobbly.py"
    path.write_text(CUSTOM)
    return str(path)


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command that must fail with one line on stderr and nothing on stdout."""

    def call(*words: str) -> str:
        code = main(list(words))
        out, err = capsys.readouterr()
        assert code == 2
        assert out == ""
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert "Traceback" not in err
        return err

    return call


def test_unknown_device_names_the_nearest(fails: Any) -> None:
    assert "v100-sxm2" in fails("predict", "zoo:fasternet_t0", "-d", "v100-smx2")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("zoo:fastnet_t0", "fasternet_t0"),
        ("zo:fasternet_t0", "zoo"),
        ("fasternet_t0", "zoo:fasternet_t0"),
        ("no_such_file.py:factory", "no such file"),
    ],
)
def test_unknown_model(fails: Any, source: str, expected: str) -> None:
    assert expected in fails("predict", source, "-d", "v100-sxm2")


@pytest.mark.parametrize(
    ("factory", "expected"),
    [
        ("raises", "the gate is closed"),
        ("number", "expected a torch.nn.Module"),
        ("broken", "no weights here"),
        ("views", "no operator that takes time"),
        ("rises", "raises"),
    ],
)
def test_model_that_does_not_work(fails: Any, models: str, factory: str, expected: str) -> None:
    assert expected in fails("predict", f"{models}:{factory}", "-d", "v100-sxm2")


def test_input_of_the_wrong_shape(fails: Any, models: str) -> None:
    words = ("predict", f"{models}:conv", "-d", "v100-sxm2", "--input", "4x32x32")
    message = fails(*words)
    assert "(1, 4, 32, 32)" in message
    assert "channel" in message


@pytest.mark.parametrize("text", ["3x", "axb", "3x0x4", "", "3,8,8"])
def test_input_that_is_no_shape(fails: Any, models: str, text: str) -> None:
    assert "input" in fails("predict", f"{models}:conv", "-d", "v100-sxm2", "--input", text)


@pytest.mark.parametrize("batch", ["-4", "0", "two", "1.5"])
def test_batch_that_is_none(fails: Any, models: str, batch: str) -> None:
    message = fails("predict", f"{models}:conv", "-d", "v100-sxm2", "--batch", batch)
    assert f"batch {batch}" in message.replace("'", "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "no device"),
        (["-d", "v100-sxm2", "-p", "fp12"], "fp16"),
        (["-d", "v100-sxm2", "--threads", "4"], "none of the devices is a cpu"),
        (["-d", "epyc-73f3@99"], "16 cores"),
        (["-d", "epyc-73f3@x"], "threads"),
        (["-d", "v100-sxm2", "--max-latency", "5"], "without a unit"),
        (["-d", "v100-sxm2", "--max-latency", "5 GB"], "--max-latency"),
        (["-d", "v100-sxm2", "-o", "result.xyz"], "--format"),
        (["-d", "v100-sxm2", "-o", "no/such/folder/r.json"], "cannot write"),
        (["-d", "v100-sxm2", "--format", "yaml"], "yaml"),
        (["-d", "v100-sxm2", "--nonsense"], "--nonsense"),
        (["-d", "v100-sxm2", "--without", "gravity"], "gravity"),
    ],
)
def test_wrong_options(fails: Any, models: str, words: list[str], expected: str) -> None:
    assert expected in fails("predict", f"{models}:conv", "--input", "3x8x8", *words)


@pytest.mark.parametrize(
    "words",
    [
        ["report", "zoo:nothing", "-d", "t4", "-o", "no/folder/x.html"],
        ["roofline", "zoo:nothing", "-d", "t4", "-o", "no/folder/x.html"],
        ["compare", "-m", "zoo:nothing", "-d", "t4", "-o", "no/folder/x.html"],
        ["timeline", "zoo:nothing", "-d", "t4", "-o", "no/folder/x.json"],
        ["predict", "zoo:nothing", "-d", "t4", "-o", "no/folder/x.json", "-f", "md"],
        ["sweep", "zoo:nothing", "-d", "t4", "-o", "no/folder/x.csv"],
        ["reproduce", "-o", "no/folder/x.html"],
        ["calibrate", "-o", "no/folder/x.yaml"],
    ],
)
def test_a_missing_folder_is_found_out_before_the_work(
    fails: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """The model that does not exist was not asked for yet."""
    monkeypatch.chdir(tmp_path)
    assert "there is no folder 'no/folder'; make it first" in fails(*words)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["predict"], "MODEL"),
        (["predikt"], "predikt"),
        (["devices"], "command"),
        (["devices", "show", "v1000"], "unknown device"),
        (["devices", "validate", "nowhere.yaml"], "no such file"),
        (["devices", "list", "--kind", "abacus"], "abacus"),
        (["compare-ops", "covn", "-d", "v100-sxm2"], "conv"),
        (["compare-ops", "pconv:5/4", "-d", "v100-sxm2"], "ratio"),
        (["compare-ops", "conv:2", "-d", "v100-sxm2"], "colon"),
        (["compare-ops", "gconv:1.5", "-d", "v100-sxm2"], "groups"),
        (["compare-ops", "gconv:7", "-d", "v100-sxm2"], "divide"),
        (["compare-ops", "conv", "-d", "v100-sxm2", "--channels", "64:32"], "above"),
        (["compare-ops", "conv", "-d", "v100-sxm2", "--channels", "many"], "channels"),
        (["compare-ops", "conv", "-d", "v100-sxm2", "--kernel", "4"], "odd"),
        (["compare-ops", "conv", "-d", "v100-sxm2", "-f", "csv", "-o", "r.html"], "html"),
        (["explain", "pcnv"], "pconv"),
        (["explain", "pconv", "--set", "q=1"], "no symbol 'q'"),
        (["explain", "pconv", "--set", "heads=1"], "no use for 'heads'"),
        (["explain", "pconv", "--set", "n"], "SYMBOL=VALUE"),
        (["explain", "zoo:fasternet_t0"], "--op"),
        (["explain", "zoo:fasternet_t0", "--op", "stages.2.0.mlp.9"], "stages.2.0.mlp"),
    ],
)
def test_wrong_words(fails: Any, words: list[str], expected: str) -> None:
    assert expected in fails(*words)


def test_profile_with_five_mistakes_reports_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from costmodel.hardware import catalogue_folder

    text = (catalogue_folder() / "v100-sxm2.yaml").read_text()
    for good, bad in (
        ("kind: gpu", "kind: gpuu"),
        ("value: 900 GB/s", "value: 900"),
        ("value: 300 W", "value: 300 GB"),
        ("units: {value: 80,", "units: {value: minus,"),
        ("year: 2018", "year: soon"),
    ):
        assert good in text
        text = text.replace(good, bad, 1)
    path = tmp_path / "five-mistakes.yaml"
    path.write_text(text)
    for words in (
        ["devices", "validate", str(path)],
        ["predict", "zoo:fasternet_t0", "-d", str(path)],
    ):
        assert main(words) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) >= 5
        for line in lines:
            name, number, column, _ = line.split(":", 3)
            assert name == str(path)
            assert int(number) > 0
            assert int(column.split()[0]) > 0
        for field in ("kind", "memory[2].bandwidth", "board_power", "compute.units", "year"):
            assert any(field in line for line in lines)


def test_unknown_operator_is_listed_and_never_zero(
    custom: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import json

    words = ["predict", f"{custom}:wobbly", "-d", "v100-sxm2", "--input", "3x32x32"]
    assert main([*words, "-f", "json"]) == 0
    (estimate,) = json.loads(capsys.readouterr().out)["estimates"]
    (entry,) = estimate["uncovered"]
    assert (entry["op"], entry["count"]) == ("costmodel_cli_test::wobble", 2)
    assert 0 < entry["time_share"] < 1
    charged = [o for o in estimate["operators"] if o["op"] == "costmodel_cli_test::wobble"]
    assert all(o["bytes_read"] == o["bytes_written"] == 4 * 8 * 30 * 30 for o in charged)
    assert all(o["time_s"] > 0 for o in charged)

    for command in ("predict", "roofline"):
        assert main([command, *words[1:]]) == 0
        out = capsys.readouterr().out
        assert "no formula for costmodel_cli_test::wobble (2 times" in out
    assert main(["summary", f"{custom}:wobbly", "--input", "3x32x32"]) == 0
    assert "no formula for costmodel_cli_test::wobble (2 times" in capsys.readouterr().out


def test_strict_refuses_an_unknown_operator(custom: str, fails: Any) -> None:
    for command in ("predict", "roofline", "summary"):
        device = [] if command == "summary" else ["-d", "v100-sxm2"]
        words = (command, f"{custom}:wobbly", *device, "--input", "3x32x32", "--strict")
        assert "costmodel_cli_test::wobble (x2)" in fails(*words)


def test_a_bug_is_told_from_bad_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def explode(*_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("costmodel.hardware.list_devices", explode)
    assert main(["devices", "list"]) == 70
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "bug in costmodel" in err
