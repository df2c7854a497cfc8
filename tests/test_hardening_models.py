"""Model files that raise, exit, crash, hang, print or lie: an estimate or one clear error.

Each case that needs it runs as a user would run it, in a process that is helped by another.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from costmodel.cli import main
from costmodel.errors import TraceError, UsageError
from costmodel.graph import Graph
from costmodel.tracing import isolated
from costmodel.tracing.source import load_graph
from costmodel.tracing.trust import require_trust, trusting

CODE = """
import os, sys, time
import torch
from torch import nn

def conv():
    return nn.Conv2d(3, 8, 3)

def chatty():
    print("from python")
    os.write(1, b"from below\\n")
    return conv()

def leaves():
    os._exit(0)

def crashes():
    os.abort()

def hangs():
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass

def exits():
    sys.exit("no thanks")

def interrupts():
    raise KeyboardInterrupt

class Exits(nn.Module):
    def forward(self, x):
        sys.exit(0)

def exits_late():
    return Exits()

def three():
    return conv(), (torch.empty(1, 3, 8, 8),), "more"

def words():
    return conv(), "not tensors"

def nothing():
    return None

def shaped():
    return conv()

shaped.input_shape = "3x8x8"

class Deep(nn.Module):
    def forward(self, x):
        return self.forward(x)

def deep():
    return Deep()

class Greedy(nn.Module):
    def forward(self, x):
        return [0] * 10**13

def greedy():
    return Greedy()

def forks():
    os.fork()
    return conv()
"""


STATE_INPUTS = ("shaped", "words")
"""Factories whose mistake is in the inputs they state."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "net.py"
    path.write_text(CODE)
    return path


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("exits", "could not be built: SystemExit: no thanks"),
        ("exits_late", "SystemExit"),
        ("three", "returned tuple; expected a torch.nn.Module or a pair"),
        ("words", "forward failed"),
        ("nothing", "returned NoneType"),
        ("shaped", "input_shape is '3x8x8'"),
        ("deep", "RecursionError"),
        ("greedy", "MemoryError"),
    ],
)
def test_what_factories_do_wrong_is_named(file: Path, factory: str, message: str) -> None:
    with pytest.raises(TraceError, match=message) as caught:
        load_graph(f"{file}:{factory}", input_shape=None if factory in STATE_INPUTS else (3, 8, 8))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["def f(:\n", "\0", "import sys\nsys.exit(3)", "raise ValueError('gate')", "import no_such_x"],
)
def test_files_that_cannot_be_imported(tmp_path: Path, text: str) -> None:
    path = tmp_path / "net.py"
    path.write_text(text)
    with pytest.raises(TraceError, match="importing it failed"):
        load_graph(f"{path}:f")


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("leaves", "its code ended the process (exit code 0) while it was traced"),
        ("crashes", "it was ended by SIGABRT while it was traced"),
        ("interrupts", "KeyboardInterrupt"),
    ],
)
def test_code_that_ends_its_process_ends_the_helper_only(
    file: Path, factory: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", f"{file}:{factory}", "-d", "v100-sxm2", "--input", "3x8x8"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_code_that_hangs_is_given_up(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["summary", f"{file}:hangs", "--timeout", "0.5"]
    assert main(words) == 2
    _, err = capsys.readouterr()
    assert err == f"error: {file}:hangs: not traced within 0.5 s; --timeout SECONDS allows more\n"


def test_a_configuration_of_a_billion_layers_is_given_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("transformers", reason="the hf extra is not installed")
    path = tmp_path / "config.json"
    path.write_text('{"model_type": "bert", "num_hidden_layers": 1000000000}')
    assert main(["summary", f"hf:{path}", "--timeout", "8"]) == 2
    _, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert "not traced within 8 s" in err


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_timeouts_that_make_no_sense(
    file: Path, seconds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["summary", f"{file}:conv", "--timeout", seconds]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_what_code_prints_stays_out_of_the_result(file: Path) -> None:
    command = [sys.executable, "-m", "costmodel.cli", "summary", f"{file}:chatty", "-f", "json"]
    done = subprocess.run([*command, "--input", "3x8x8"], capture_output=True, text=True)
    assert done.returncode == 0
    assert json.loads(done.stdout)["schema_version"] == 1
    assert "from python" in done.stderr
    assert "from below" in done.stderr


def test_a_graph_comes_back_from_the_helper_as_it_is(file: Path) -> None:
    here = load_graph(f"{file}:conv", 2, (3, 8, 8))
    for factory in ("conv", "forks"):
        there = isolated.load_isolated(f"{file}:{factory}", 2, (3, 8, 8))
        assert isinstance(there, Graph)
        assert there.renamed("conv").to_json() == here.to_json()


# ----------------------------------------------------------------------- trust


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Choose COSTMODEL_TRUST; nothing for its default."""

    def choose(setting: str | None) -> None:
        monkeypatch.delenv("COSTMODEL_TRUST", raising=False)
        if setting is not None:
            monkeypatch.setenv("COSTMODEL_TRUST", setting)

    return choose


def test_code_is_announced_once_per_content(
    tmp_path: Path, asked: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(None)
    file, folder = tmp_path / "net.py", tmp_path / "trusted"
    said = []
    for text in ("a = 1", "a = 1", "a = 2", "a = 1"):
        file.write_text(text)
        require_trust(file, folder)
        said.append(capsys.readouterr().err)
    assert [bool(line) for line in said] == [True, False, True, False]
    assert said[0].count("\n") == 1
    assert str(file) in said[0]


def test_trust_needs_no_word(
    tmp_path: Path, asked: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "net.py"
    file.write_text("a = 1")
    asked("always")
    require_trust(file, tmp_path / "one")
    asked(None)
    with trusting():
        require_trust(file, tmp_path / "two")
    assert capsys.readouterr().err == ""
    assert not (tmp_path / "one").exists()


def test_a_folder_that_cannot_be_written_to_only_forgets(
    tmp_path: Path, asked: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(None)
    file, blocked = tmp_path / "net.py", tmp_path / "blocked"
    file.write_text("a = 1")
    blocked.write_text("in the way")
    for _ in range(2):
        require_trust(file, blocked)
        assert "running the code" in capsys.readouterr().err


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_asking_takes_no_for_an_answer(
    tmp_path: Path, asked: Any, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    asked("ask")
    file = tmp_path / "net.py"
    file.write_text("a = 1")
    monkeypatch.setattr(sys, "stdin", _Terminal(answer))
    with pytest.raises(UsageError, match="its code was not run"):
        require_trust(file, tmp_path / "trusted")


def test_asking_takes_yes_for_an_answer_once(
    tmp_path: Path, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked("ask")
    file = tmp_path / "net.py"
    file.write_text("a = 1")
    monkeypatch.setattr(sys, "stdin", _Terminal("y\n"))
    require_trust(file, tmp_path / "trusted")
    monkeypatch.setattr(sys, "stdin", None)
    require_trust(file, tmp_path / "trusted")


class _Terminal:
    def __init__(self, answer: str) -> None:
        self.answer = answer

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self.answer


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("never", "COSTMODEL_TRUST=never refuses"),
        ("ask", "no terminal to ask at"),
        ("maybe", "expected always, ask, never"),
    ],
)
def test_code_that_must_not_run_does_not(
    tmp_path: Path, asked: Any, setting: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(setting)
    ran = tmp_path / "ran"
    file = tmp_path / "net.py"
    file.write_text(f"open({str(ran)!r}, 'w')")
    with pytest.raises(UsageError, match=message):
        load_graph(f"{file}:f")
    for words in (["predict", f"{file}:f", "-d", "v100-sxm2"], ["summary", f"{file}:f"]):
        assert main(words) == 2
        assert message in capsys.readouterr().err
    assert not ran.exists()


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pkl", ".bin", ".ckpt", ".PT"])
def test_pickles_are_refused_unopened(
    tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    assert main(["summary", str(path)]) == 2
    err = capsys.readouterr().err
    assert "can run any code" in err
    assert err.count("\n") == 1


def test_the_current_folder_cannot_stand_in_for_a_library(tmp_path: Path, file: Path) -> None:
    (tmp_path / "torch.py").write_text("raise SystemExit('the wrong torch')")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "costmodel.cli", "summary", f"{file}:conv", "-i", "3x8x8"],
        capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
