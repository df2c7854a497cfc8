"""Damaged device profiles: finite estimates, or a list of mistakes with their places."""

from __future__ import annotations

from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.cli import main
from costmodel.errors import CostModelError, SpecError
from costmodel.estimation import sweep
from costmodel.hardware import catalogue_folder, load_device
from costmodel.tracing.source import load_graph
from tests.fuzzing import cases, drew

TEXTS = {path.stem: path.read_text() for path in sorted(catalogue_folder().glob("*.yaml"))}
GRAPH = load_graph("zoo:fasternet_t0")
LINES = sorted({line for text in TEXTS.values() for line in text.splitlines()})
PUT = st.one_of(
    st.sampled_from(
        [
            "", " ", "\n", ":", "- ", "[", "]", "{", "}", ",", "#", "&a ", "*a", "!!python/none ",
            "-", "0", "1", "1e999", "9" * 40, "nan", ".inf", "true", "null", "'", '"', "|\n", "\t",
            "---\n", "<<: ", "\ufeff", "\x00", "\x1b[2J", "value: 0 GB/s", "value: -1 W", "e-300",
        ]
    ),
    st.sampled_from(LINES),
)  # fmt: skip


@cases(100)
@given(st.data())
def test_damaged_profiles(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    drew("device profiles")
    device = data.draw(st.sampled_from(sorted(TEXTS)))
    text = TEXTS[device]
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        length = data.draw(st.sampled_from([0, 1, 2, 5, 40, 400]))
        text = text[:start] + data.draw(PUT) + text[start + length :]
    path = tmp_path_factory.getbasetemp() / f"{device}.yaml"
    path.write_text(text)
    try:
        profile = load_device(path)
        found = sweep(GRAPH, [profile], [1, 64], ["fp32", "fp16"]).latency
    except SpecError as error:
        said = [problem.removeprefix(f"{path}:") for problem in error.problems]
        placed = all(problem[0].isdigit() for problem in said[:40]) and len(said) <= 41
    except CostModelError as error:
        said, placed = [str(error)], True
    else:
        assert ((found > 0) & (found < inf)).all()
        return
    assert said
    assert placed, "each problem begins with file, line and column"
    assert not any("\n" in problem for problem in said)


def laughs(levels: int) -> str:
    """A billion laughs: each level is ten times the one below."""
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("text", [laughs(9), laughs(40), "a: &a [*a]\n", "&a a: *a\n"])
def test_a_billion_laughs(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "laughs.yaml"
    path.write_text(text)
    for words in (
        ["devices", "validate", str(path)],
        ["devices", "show", str(path)],
        ["predict", "zoo:fasternet_t0", "-d", str(path)],
        ["measure", "--grid", str(path), "-o", str(tmp_path / "m.jsonl")],
    ):
        assert main(words) == 2
        err = capsys.readouterr().err
        assert str(path) in err
        assert "Traceback" not in err
        assert len(err) < 20_000
    assert [found.name for found in tmp_path.iterdir()] == ["laughs.yaml"]


@pytest.mark.parametrize("text", ["[" * 60_000, "{a: " * 60_000, "- " * 60_000, "a:\n" + " " * 9])
def test_deep_nesting(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text(text)
    assert main(["devices", "validate", str(path)]) == 2
    assert "Traceback" not in capsys.readouterr().err
