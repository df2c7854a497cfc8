"""Garbage collection: paused while many objects are made that will be kept."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """Let no collection start meanwhile.

    Each would walk through all that the process holds, a few hundred thousand objects once a
    framework is imported, and find none of the new ones to be garbage.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
