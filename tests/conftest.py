"""What all tests share.

The model files they write are their own, so nothing is said of them. They keep what they trace in a
folder of their own, which the processes of a run share. What is drawn is drawn the same in every
run, so that a change fails for what it did; `fuzzing.py` tells how to draw anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

os.environ.setdefault("COSTMODEL_TRUST", "always")
settings.register_profile(
    "suite", derandomize="COSTMODEL_FUZZ_SCALE" not in os.environ, database=None, deadline=None
)
settings.load_profile("suite")


@pytest.fixture(scope="session", autouse=True)
def trace_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The trace cache of this run: of all its processes, which `PYTEST_XDIST_WORKER` numbers."""
    folder = tmp_path_factory.getbasetemp()
    shared = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COSTMODEL_CACHE", str(shared / "trace-cache"))
        yield
