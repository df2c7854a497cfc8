"""A built wheel carries the devices, and finds them where nothing else of the project is."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's contents in an empty folder."""
    pytest.importorskip("hatchling", reason="building a wheel needs hatchling (extra dev)")
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = out.glob("*.whl")
    target = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def test_wheel_has_every_device_and_the_schema(installed: Path) -> None:
    shipped = {p.name for p in (installed / "costmodel" / "hardware_specs").iterdir()}
    expected = {p.name for p in (ROOT / "hardware_specs").iterdir() if p.suffix != ".md"}
    assert expected <= shipped
    assert "device.schema.json" in shipped


def test_installed_package_finds_its_devices(installed: Path, tmp_path: Path) -> None:
    """Isolated from the checkout: another folder, and only the wheel on the path."""
    code = (
        f"import sys; sys.path.insert(0, {str(installed)!r})\n"
        "import costmodel; assert costmodel.__file__.startswith(sys.path[0]), costmodel.__file__\n"
        "profile = costmodel.load_device('v100-sxm2')\n"
        "print(profile.bandwidth())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert float(result.stdout) == 900e9


def test_console_script_is_declared() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == "roofline-costmodel"
    assert project["scripts"]["costmodel"] == "costmodel.cli:main"
    assert {"zoo", "app", "image", "docs", "dev"} <= set(project["optional-dependencies"])
