"""How many cases the fuzz tests draw: a few hundred in the suite, thousands in the benchmarks.

COSTMODEL_FUZZ_SCALE multiplies their number, and COSTMODEL_FUZZ_COUNTS names a folder to leave in
how many were drawn; benchmarks/fuzz.py sets both. Without a scale every run draws the same cases
(conftest.py); with one they are new each time.
"""

from __future__ import annotations

import atexit
import io
import json
import os
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import typer.main
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from costmodel.cli import main

SCALE = float(os.environ.get("COSTMODEL_FUZZ_SCALE", "1"))


def cases(count: int, **options: Any) -> settings:
    """Settings that draw so many cases, times the scale."""
    return settings(
        max_examples=max(1, round(count * SCALE)),
        suppress_health_check=list(HealthCheck),
        **options,
    )


DRAWN: Counter[str] = Counter()
"""Cases by group of tests."""


def drew(group: str) -> None:
    """Count a case."""
    DRAWN[group] += 1


if _folder := os.environ.get("COSTMODEL_FUZZ_COUNTS"):
    _path = Path(_folder) / f"{os.getpid()}.json"
    atexit.register(lambda: _path.write_text(json.dumps(DRAWN)))


ODD_NUMBERS = st.sampled_from(
    [
        0, 1, -1, 2, 7, 2**31, 2**53, 2**53 + 1, 2**63, -(2**63), 10**12, 10**30, 10**400,
        0.5, -0.0, 1e308, float("nan"), float("inf"), float("-inf"), True, False,
    ]
)  # fmt: skip
"""Numbers that a size, an index or a count had better not be."""

ODD_TEXTS = st.sampled_from(
    [
        "", " ", "\n", "a\nb", "x" * 5000, "<script>alert(1)</script>", "../../etc/passwd",
        "\x1b[2Jgone", "[bold]markup[/bold]", "%s%n{}", "é", "\u202egnp", "nan", "1e999", "-1",
        "float32", "aten::convolution", "__class__", "\ud800",
    ]
)  # fmt: skip
"""Texts that break what prints, parses or looks them up."""

ODD_WORDS = st.one_of(
    st.sampled_from(
        [
            "", " ", ",", "-1", "0", "1", "2", "007", "1.5", "1e9", "nan", "inf", "-inf", "1e999",
            "9" * 30, "9" * 400, "9" * 5000, "1," * 300, "²", "٣", "é", "💥", "\udcff", "\x1b[2J",
            "../..", "/", "/dev/null", "~", "*", "%s", "{}", "[bold]x", "<script>", "zoo:", ":",
            "::", "timm:", "hf:", "op:", "op:conv2d", "x.py:", ".py:f", "no.py:f", "a.onnx", "@",
            "t4@", "@1", "t4@0", "t4@999999", "3x224x224", "3x0x3", "1x1", "3x99999999x99999999",
            "5 GB", "5ms", "0 s", "1e400 s", "fp16", "int8", "fp64", "tf32", "all", "c_in=1",
            "c_in=0", "c_in=-1", "c_in=1e400", "c_in=n", "c_in=__import__('os')", "n=n/0", "=",
        ]
    ),
    st.text(st.characters(exclude_characters="\0"), max_size=8),
)  # fmt: skip
"""Words of a command line that are no answer to what was asked."""


def check_command(words: list[str], place: Path) -> int:
    """Run a command in a folder, and hold it to what every command owes.

    An exit code of 0, 1 or 2; no traceback; where it is refused, a reason, files as they were and
    nothing left lying about; JSON that parses. Gives the exit code.
    """
    old = _files(place)
    out, err = io.StringIO(), io.StringIO()
    built = patch("typer.main.get_command", _built_once)
    with built, redirect_stdout(out), redirect_stderr(err):
        code = main(words)
    said = err.getvalue()
    assert code in (0, 1, 2), f"{words}: {code}\n{said}"
    assert "Traceback" not in said, f"{words}\n{said}"
    if code == 2:
        assert said.strip(), words
        assert len(said) < 20_000, words
    new = _files(place)
    for path, content in old.items():
        assert path in new, f"{words} deleted {path}"
        if code == 2 and "validate" not in words:
            assert new[path] == content, f"{words} failed and changed {path}"
    for path in new.keys() - old.keys():
        assert not path.name.startswith("."), f"{words} left {path}"
        assert code != 2 or "validate" in words, f"{words} failed and left {path}"
        if path.suffix == ".json" and "-f" not in words:  # which may ask for another form
            json.loads(new[path])
    if code != 2 and words[-2:] == ["-f", "json"]:
        json.loads(out.getvalue())
    return code


_built_once = lru_cache(typer.main.get_command)
"""Building the tree of commands takes longer than most of what is refused."""


def _files(place: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
