"""What all tests share.

The model files they write are their own, so nothing is said of them. What is drawn is drawn the
same in every run, so that a change fails for what it did; `fuzzing.py` tells how to draw anew.
"""

from __future__ import annotations

import os

from hypothesis import settings

os.environ.setdefault("COSTMODEL_TRUST", "always")
settings.register_profile(
    "suite", derandomize="COSTMODEL_FUZZ_SCALE" not in os.environ, database=None, deadline=None
)
settings.load_profile("suite")
