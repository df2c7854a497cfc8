"""The public names, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import costmodel

HEAVY = ("torch", "sympy", "plotly", "pandas", "networkx", "pint", "timm", "onnx")


def loaded_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


def test_every_public_name_resolves() -> None:
    for name in costmodel.__all__:
        assert getattr(costmodel, name) is not None


def test_public_names_are_exactly_the_listed_homes() -> None:
    assert set(costmodel.__all__) == set(costmodel._HOME) | {"__version__"}


def test_import_is_light() -> None:
    assert not loaded_after("import costmodel") & set(HEAVY)


def test_loading_a_device_needs_no_torch() -> None:
    loaded = loaded_after("import costmodel; costmodel.load_device('v100-sxm2')")
    assert not loaded & {"torch", "sympy", "plotly", "pandas"}


def test_changelog_leads_with_this_version() -> None:
    changelog = Path(__file__).parent.parent / "CHANGELOG.md"
    headings = [line for line in changelog.read_text().splitlines() if line.startswith("## ")]
    assert headings[0] == f"## {costmodel.__version__}"


HEAVIER = {*HEAVY, "rich", "typer", "pydantic", "yaml", "scipy", "numpy", "transformers"}


def test_importing_the_package_loads_nothing_but_itself() -> None:
    loaded = {name.partition(".")[0] for name in loaded_after("import costmodel")}
    assert not loaded & HEAVIER
    ours = {name for name in loaded_after("import costmodel") if name.startswith("costmodel")}
    assert ours == {"costmodel"}


def test_help_loads_no_library_but_the_command_line_s() -> None:
    loaded = loaded_after("from costmodel.cli import main; main(['--help'])")
    assert not {name.partition(".")[0] for name in loaded} & (HEAVIER - {"typer", "rich"})
