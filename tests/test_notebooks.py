"""The notebooks: each runs from top to bottom, says what it is for, and its two files agree."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
RUNNER = Path(__file__).parent / "run_scripts.py"

LESSONS = {
    "why_flops_are_not_latency": "13.6 times fewer multiply-accumulates",
    "pconv_dwconv_conv": "MACs, PConv / Conv:  1/16",
    "a_device_nobody_here_has": "expected a power such as '300 W', got 700 without a unit",
    "add_your_own_operator_and_device": "not covered: (Uncovered(op='lesson::shift'",
}
"""A line that each prints."""


@pytest.fixture(scope="module")
def ran() -> dict[str, dict[str, str]]:
    """What became of each notebook's .py, by its name."""
    paths = [str(NOTEBOOKS / f"{name}.py") for name in LESSONS]
    done = subprocess.run(
        [sys.executable, str(RUNNER), *paths], capture_output=True, text=True, check=True
    )
    return {Path(path).stem: result for path, result in json.loads(done.stdout).items()}


def test_every_notebook_is_a_pair() -> None:
    assert {path.stem for path in NOTEBOOKS.glob("*.py")} == set(LESSONS)
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(LESSONS)


@pytest.mark.parametrize("name", LESSONS)
def test_a_notebook_runs(name: str, ran: dict[str, dict[str, str]]) -> None:
    assert ran[name]["failure"] == ""
    assert LESSONS[name] in ran[name]["printed"]


@pytest.mark.parametrize("name", LESSONS)
def test_the_two_files_agree(name: str) -> None:
    jupytext = pytest.importorskip("jupytext", reason="extra: notebooks")

    def cells(suffix: str) -> list[tuple[str, str]]:
        notebook = jupytext.read(NOTEBOOKS / f"{name}{suffix}")
        return [(cell.cell_type, cell.source.strip()) for cell in notebook.cells]

    assert cells(".py") == cells(".ipynb"), f"run: jupytext --sync notebooks/{name}.py"


@pytest.mark.parametrize("name", LESSONS)
def test_a_notebook_is_committed_without_outputs(name: str) -> None:
    notebook = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
