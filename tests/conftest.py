"""What all tests share: the model files they write are their own, so nothing is said of them."""

from __future__ import annotations

import os

os.environ.setdefault("COSTMODEL_TRUST", "always")
