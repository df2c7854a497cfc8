"""The documentation: it builds without a warning, and what it shows is what happens.

Python sessions (```pycon) and command lines (```console) of each page are run, in order, in a
folder of their own; a code block that begins with a comment "# name.ext" is that file. Numbers may
be off by a quarter of what is shown, since predictions move when constants are fitted anew.
"""

from __future__ import annotations

import doctest
import importlib
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from costmodel.cli import main
from costmodel.formulas import registry

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(
    path for path in DOCS.rglob("*.md") if not {"generated", "reference"} & set(path.parts)
)
DOCTESTED = sorted(
    path for path in (ROOT / "costmodel").rglob("*.py") if "\n    >>> " in path.read_text()
    or "\n>>> " in path.read_text()
)  # fmt: skip
README = ROOT / "README.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
DRIFT = 0.25
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL


class AboutEqual(doctest.OutputChecker):
    """Takes numbers that are within `DRIFT` of the shown ones, if all else is the same."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        if super().check_output(want, got, optionflags):
            return True
        expected, found = (
            [float(n.replace(",", "")) for n in NUMBER.findall(t)] for t in (want, got)
        )
        same_text = super().check_output(NUMBER.sub("#", want), NUMBER.sub("#", got), optionflags)
        return same_text and all(
            abs(a - b) <= DRIFT * abs(a) for a, b in zip(expected, found, strict=True)
        )


def _numbers(text: str) -> list[float]:
    return [float(number.replace(",", "")) for number in NUMBER.findall(text)]


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """(language, text) of each code block."""
    for match in BLOCK.finditer(page.read_text()):
        yield match[1], match[2]


def commands(text: str) -> Iterator[list[str]]:
    """The words of each line that begins with $."""
    for line in text.splitlines():
        if line.startswith("$ "):
            yield shlex.split(line[2:])


def test_numbers_may_drift_and_words_may_not() -> None:
    def same(want: str, got: str) -> bool:
        return AboutEqual().check_output(want, got, FLAGS)

    assert same("68.3 ms, memory bound\n", "75.0 ms, memory bound\n")
    assert same("12,996 images\n", "11,900 images\n")
    assert not same("68.3 ms, memory bound\n", "68.3 ms, compute bound\n")
    assert not same("68.3 ms\n", "90.3 ms\n")
    assert not same("1 and 2\n", "1\n")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(DOCS)))
def test_what_a_page_shows_is_what_happens(
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = list(blocks(path))
    if not any(language in ("pycon", "console") for language, _ in found):
        pytest.skip("nothing to run on this page")
    if path.stem == "onnx":
        pytest.importorskip("onnxscript", reason="torch writes ONNX files by onnxscript")
    monkeypatch.chdir(tmp_path)
    for catalogue in ("_FORMULAS", "_BINDERS"):  # a page may register operators of its own
        monkeypatch.setattr(registry, catalogue, dict(getattr(registry, catalogue)))
    session: dict[str, object] = {}
    runner = doctest.DocTestRunner(AboutEqual(), verbose=False, optionflags=FLAGS)
    for number, (language, text) in enumerate(found):
        named = re.match(r"# ([\w-]+\.\w+)\n", text)
        if named is not None:
            Path(named[1]).write_text(text)
        elif language == "pycon":
            example = doctest.DocTestParser().get_doctest(
                text, session, f"{path.name}[{number}]", str(path), 0
            )
            session = example.globs
            runner.run(example, clear_globs=False, out=sys.stderr.write)
            assert not runner.failures, capsys.readouterr().err
        elif language == "console" and path.stem != "accuracy":
            for words in commands(text):
                if words[0] == "python":
                    runpy.run_path(words[1], run_name="__main__")
                else:
                    assert words[0] == "costmodel"
                    assert main(words[1:]) == 0, f"{shlex.join(words)}: {capsys.readouterr().err}"


def test_what_the_readme_shows_is_what_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("timm", reason="extra: zoo")
    monkeypatch.chdir(tmp_path)
    session: dict[str, object] = {}
    ran = 0
    for language, text in blocks(README):
        if language == "python":
            exec(text, session)
            ran += 1
        for words in commands(text):
            assert main(words[1:]) == 0, f"{shlex.join(words)}: {capsys.readouterr().err}"
            ran += 1
    assert ran >= 5


@pytest.mark.parametrize("path", DOCTESTED, ids=lambda path: path.stem)
def test_examples_in_docstrings(path: Path) -> None:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    result = doctest.testmod(importlib.import_module(module), optionflags=FLAGS)
    assert result.attempted > 0
    assert result.failed == 0


def test_the_house_has_every_room_on_its_page() -> None:
    page = (DOCS / "how-it-works.md").read_text()
    package = ROOT / "costmodel"
    rooms = {path.stem for path in package.iterdir() if path.suffix == ".py" or path.is_dir()}
    for room in sorted(rooms - {"__init__", "__pycache__", "py", "hardware_specs"}):
        assert f"`{room}`" in page, f"docs/how-it-works.md says nothing of {room}"


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text()):
            if "://" not in target and "generated/" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built documentation, made without a warning."""
    for extension in ("sphinx", "furo", "myst_parser"):
        pytest.importorskip(extension, reason="extra: docs")
    source, out = tmp_path_factory.mktemp("docs"), tmp_path_factory.mktemp("html")
    shutil.copytree(DOCS, source, dirs_exist_ok=True, ignore=shutil.ignore_patterns("generated"))
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", source, out],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


def test_the_built_pages_have_what_was_generated(built: Path) -> None:
    book = (built / "generated" / "formulas.html").read_text()
    assert book.count("<math") > 80
    assert "Chen et al." in book
    assert "v100-sxm2" in (built / "devices.html").read_text()
    reference = (built / "generated" / "commands.html").read_text()
    assert "costmodel compare-ops" in reference
    assert "--without" in reference
    assert "depthwise_tap" in (built / "generated" / "laws.html").read_text()
    examples = (built / "generated" / "examples.html").read_text()
    assert "How fast is it on a device nobody has?" in examples
    assert "Seconds for the batch." in (built / "reference" / "api.html").read_text()


def test_the_built_pages_ask_nothing_of_any_host(built: Path) -> None:
    for page in built.rglob("*.html"):
        loaded = re.findall(
            r'<(?:script|img|iframe)[^>]*\bsrc="([^"]+)"|<link[^>]*\brel="stylesheet"[^>]*href="([^"]+)"',
            page.read_text(),
        )
        assert not [url for pair in loaded for url in pair if "//" in url], page.name
