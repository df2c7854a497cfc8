"""How many cases the fuzz tests draw: a few hundred in the suite, thousands in the benchmarks.

COSTMODEL_FUZZ_SCALE multiplies their number, and COSTMODEL_FUZZ_COUNTS names a folder to leave in
how many were drawn; benchmarks/fuzz.py sets both.
"""

from __future__ import annotations

import atexit
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

SCALE = float(os.environ.get("COSTMODEL_FUZZ_SCALE", "1"))


def cases(count: int, **options: Any) -> settings:
    """Settings that draw so many cases, times the scale."""
    return settings(
        max_examples=max(1, round(count * SCALE)),
        deadline=None,
        database=None,
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
