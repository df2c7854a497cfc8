"""Commands whose work is long, met with hostile words and files: search, sweep, fit, calibrate,
serve. What takes long in them is left out; every word and file is read as it always is.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.measurement.measuring import calibration
from costmodel.measurement.measuring.calibration import Calibration, Level
from tests.fuzzing import ODD_NUMBERS, ODD_TEXTS, ODD_WORDS, cases, check_command, drew

SPACE = """\
family: fasternet
description: Eight designs.
parameters:
  width: [32, 40]
  depth1: [1, 2]
  depth3: {from: 2, to: 4, step: 2}
  resolution: 64
conditions:
  - depth3 >= depth1
"""
TABLE = (
    "opname,latency_ms,device,kernel_name,grid_x,grid_y,grid_z,b,h\n"
    + "add,0.5,Tesla T4,k,1,1,1,4096,1024\n" * 12
)
NETWORK = {
    "source": "zoo:fasternet_t0", "batch": 1, "precision": "fp32", "execution": "eager",
    "device": "cuda", "seconds": 0.01, "low": 0.01, "high": 0.01, "runs": 9, "confident": True,
    "started": "2026-01-01T00:00:00+00:00",
    "machine": {"processor": "P", "cores": 1, "system": "S", "software": {}},
}  # fmt: skip
FILES = {
    "space.yaml": SPACE,
    "kernels.csv": TABLE,
    "measured.jsonl": json.dumps(NETWORK) + "\n",
    "timm.csv": "model,infer_batch_size,infer_img_size,infer_step_time,param_count\n"
    "resnet18,1,64,1.5,11.69\n",
    "constants.json": '{"constants": {"launch": 4e-6}}',
    "score.py": "def score(choices):\n    return 1 / choices['width']\n",
}
"""What the commands below read; one of them is damaged in each case."""

MACHINE = Calibration(
    name="Made up", vendor="AMD", kind="cpu", microarchitecture="made up", unit_name="core",
    units=4, clock=3e9, vector_width=256, peaks={"float32": 3e11}, matrix_engine=frozenset(),
    levels=(Level("l2", "unit", 2**20, 40e9), Level("dram", "device", 2**34, 3e10)),
    dispatch=2e-6, power=None, scaling={1: 1.0}, software={},
)  # fmt: skip


@contextmanager
def folder_of_files(damage: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """A folder with these files, to work in."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for file, text in FILES.items():
            (place / file).write_text(text)
        (place / "folder.csv").mkdir()
        if damage is not None:
            damage(place)
        os.chdir(place)
        try:
            yield place
        finally:
            os.chdir(before)


PUT = st.one_of(
    ODD_TEXTS.filter(lambda text: "\ud800" not in text),
    ODD_NUMBERS.map(repr).filter(lambda text: len(text) < 400),
    st.sampled_from(
        ["[", "]", "{", "}", ":", ",", "-", "\n", "&a ", "*a", "|", "'", '"', "\x00", "\ufeff",
         "from", "1e400", ".inf", "depth1", "__import__('os')", "9**9**9", "not ", "width *"]
    ),
)  # fmt: skip


@st.composite
def damages(draw: st.DrawFn) -> Callable[[Path], None]:
    """Something that goes wrong with one of the files."""
    name = draw(st.sampled_from(sorted(FILES)))
    text = FILES[name]
    how = draw(st.sampled_from(["put", "put", "put", "cut", "empty", "folder", "bytes", "large"]))
    if how == "put":
        for _ in range(draw(st.integers(1, 3))):
            start = draw(st.integers(0, len(text)))
            end = start + draw(st.sampled_from([0, 1, 2, 5, 30]))
            text = text[:start] + draw(PUT) + text[end:]
    elif how == "cut":
        text = text[: draw(st.integers(0, len(text)))]
    data = text.encode(errors="replace")
    if how == "empty":
        data = b""
    elif how == "bytes":
        data = draw(st.sampled_from([b"\xff\xfe\x00", b"\x1f\x8b\x08", b"PK\x03\x04", b"\x80"])) * 9
    elif how == "large":
        data = data * (2**16 // len(data))

    def damage(place: Path) -> None:
        if how == "folder":
            (place / name).unlink()
            (place / name).mkdir()
        else:
            (place / name).write_bytes(data)

    return damage


def call(words: list[str], place: Path) -> int:
    """Run a command with nothing in it that measures or serves."""
    drew(f"`{words[0]}`")
    with patch.object(calibration, "calibrate", _calibrated):
        return check_command(words, place)


def _calibrated(device: str, say: Any = None, **_: Any) -> Calibration:
    from costmodel.errors import UsageError

    if device not in ("cpu", "cuda"):
        raise UsageError(f"device {device!r}: expected cpu or cuda")
    return MACHINE


FILE = st.sampled_from([*FILES, "folder.csv", "none.csv", "."])
SPEC = st.builds(
    lambda file, device: file + device,
    FILE,
    st.sampled_from(["@t4", "@v100-sxm2", "@epyc-73f3@1", "@", "", "@none", "@t4@t4"]),
)
BUDGET = st.sampled_from(["5ms", "1 us", "1 year", "64MiB", "10M", "1e30", "500", "1 GB/s", "0"])
COMMANDS: dict[str, tuple[st.SearchStrategy[str], dict[str, st.SearchStrategy[str] | None]]] = {
    "search": (
        st.just("space.yaml"),
        {
            **dict.fromkeys(
                ("--latency", "--memory", "--parameters", "--macs", "--bytes", "--energy",
                 "--throughput", "--reward"),
                BUDGET,
            ),
            "--maximize": st.sampled_from(["capacity", "macs", "throughput", "accuracy", "none"]),
            "--minimize": st.sampled_from(["latency", "energy", "accuracy", "none"]),
            "--accuracy": st.sampled_from(["published", "score.py:score", "score.py:none"]),
            "--fix": st.sampled_from(["width=40", "width=41", "depth1=1,2", "none=1", "width="]),
            "-d": st.sampled_from(["t4", "v100-sxm2", "epyc-73f3@1", "stm32h743"]),
            "-b": st.sampled_from(["1", "64"]),
            "-p": st.sampled_from(["fp32", "fp16", "int8"]),
            "--without": st.sampled_from(["all", "launch", "none"]),
            "--method": st.sampled_from(["exhaustive", "random"]),
            "--trials": st.sampled_from(["1", "3"]),
            "--seed": st.sampled_from(["0", "7"]),
            "--top": st.sampled_from(["1", "2"]),
            "--storage": st.sampled_from(["study.db", "space.yaml", "folder.csv", "no/study.db"]),
            "--engine": st.just("none"),
            "--address": st.just("localhost:1"),
            "-f": st.sampled_from(["json", "csv", "md"]),
        },
    ),
    "fit": (
        SPEC,
        {
            "--hold-out": SPEC,
            "--only": st.sampled_from(["launch", "dram_share", "none", "launch,launch", ","]),
            "--limit": st.just("1"),
            "--rows": st.just("10"),
            "--seed": st.just("1"),
            "--constants": st.one_of(st.just("constants.json"), FILE),
            "--fast-norm": None,
            "-f": st.sampled_from(["json", "csv"]),
            "-o": st.sampled_from(["c.json", "folder.csv", "no/c.json", "c"]),
        },
    ),
    "sweep": (
        st.sampled_from(["zoo:fasternet_t0", "zoo:none", "space.yaml", "measured.jsonl"]),
        {
            "-d": st.sampled_from(["t4", "epyc-73f3@1", "none"]),
            "-b": st.sampled_from(["1", "2,4"]),
            "-p": st.sampled_from(["fp32", "fp16"]),
            "--store": st.sampled_from(["kept", "space.yaml", "folder.csv"]),
            "--without": st.sampled_from(["all", "launch"]),
            "-f": st.sampled_from(["json", "csv"]),
            "-o": st.sampled_from(["s.json", "no/s.json"]),
        },
    ),
    "calibrate": (
        st.nothing(),
        {
            "-o": st.sampled_from(["here.yaml", "Here.yaml", "space.yaml", "no/here.yaml", "x"]),
            "--device": st.sampled_from(["cpu", "cuda", "tpu"]),
            "--force": None,
        },
    ),
}  # fmt: skip
"""Commands, what they are given, and values of their options that can be."""


@st.composite
def lines(draw: st.DrawFn, command: str) -> list[str]:
    """A command line that is right in most words."""
    given_to, options = COMMANDS[command]
    odd = st.integers(0, 9).flatmap(lambda n: ODD_WORDS if n == 0 else st.nothing())
    words = [command]
    if not given_to.is_empty:
        words += draw(st.lists(st.one_of(given_to, given_to, given_to, odd), min_size=1, max_size=2)
                      if command != "search" else st.tuples(given_to).map(list))  # fmt: skip
    for option in draw(st.lists(st.sampled_from(sorted(options)), max_size=4)):
        words.append(option)
        values = options[option]
        if values is not None:
            words.append(draw(st.one_of(values, values, values, ODD_WORDS)))
    if command in ("search", "sweep") and "-d" not in words:
        words += ["-d", "t4"]
    if command == "search":
        words += ["--jobs", "1", *draw(st.sampled_from([[], ["-o", "found"], ["-o", "no.csv"]]))]
    if command == "fit":
        words += ["--steps", "1", "--rows", "10", "--no-ablate", "--no-cache"]
    return words


@cases(20)
@given(damage=st.none() | damages(), words=lines("search"))
def test_searches(damage: Callable[[Path], None] | None, words: list[str]) -> None:
    with folder_of_files(damage) as place, patch("costmodel.search.searching.EXHAUSTIVE", 5000):
        call(words if "--trials" in words else [*words, "--trials", "3"], place)


@cases(20)
@given(damage=st.none() | damages(), words=lines("fit"))
def test_fits(damage: Callable[[Path], None] | None, words: list[str]) -> None:
    pytest.importorskip("scipy", reason="fitting needs the extra fit")
    with folder_of_files(damage) as place:
        call(words, place)


@cases(20)
@given(damage=st.none() | damages(), words=lines("sweep"))
def test_sweeps(damage: Callable[[Path], None] | None, words: list[str]) -> None:
    with folder_of_files(damage) as place:
        call(words, place)


@cases(30)
@given(words=lines("calibrate"))
def test_calibrations(words: list[str]) -> None:
    with folder_of_files() as place:
        call(words, place)


HOST = st.one_of(
    st.sampled_from(["127.0.0.1", "::1", "0", "", "256.1.1.1", "[::1]", "::", "a" * 300]),
    ODD_WORDS.filter(lambda text: not any(sign.isalnum() for sign in text)),
)  # fmt: skip
"""Addresses; none that a name server would be asked for."""


@cases(40)
@given(
    host=HOST,
    port=st.one_of(st.just("0"), st.just("0"), st.just("1"), ODD_WORDS),
    limit=st.one_of(st.sampled_from(["1 KiB", "0 B", "1e30 B", "5 s", "nan B"]), ODD_WORDS),
    folder=st.none() | st.sampled_from([".", "none", "space.yaml", ""]),
)
def test_servers(host: str, port: str, limit: str, folder: str | None) -> None:
    pytest.importorskip("dash", reason="the workbench needs the extra app")
    pytest.importorskip("waitress", reason="the workbench needs the extra app")
    from costmodel.workbench.server import Server

    words = ["serve", "--host", host, "--port", port, "--max-upload", limit]
    words += [] if folder is None else ["--devices", folder]
    flask = SimpleNamespace(server=SimpleNamespace(config={"MAX_CONTENT_LENGTH": 2**20}))
    with (
        folder_of_files() as place,
        patch("costmodel.workbench.app.create_app", lambda limit: flask),
        patch.object(Server, "run", Server.close),
    ):
        call(words, place)
