"""Every error this package raises on purpose.

CostModelError
├── UsageError            a call or option that makes no sense (negative batch, unknown precision)
├── UnknownNameError      a device, model, operator or formula that does not exist
├── SpecError             a device profile with one or more mistakes, all reported at once
├── GraphError            a graph document that is malformed or inconsistent
├── TraceError            a model that could not be loaded or run on meta tensors
└── UncoveredOperatorError   strict mode met an operator without a formula

Each message is one clear statement of what was wrong, where, and how to mend it. The command
line prints it without a traceback and exits with code 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CostModelError(Exception):
    """Base of all errors raised on purpose by this package."""


class UsageError(CostModelError):
    """A call or option that makes no sense."""


class UnknownNameError(CostModelError):
    """A name that is not in the catalogue it was looked up in; suggests the nearest ones."""

    def __init__(self, what: str, name: str, known: Iterable[str], hint: str = "") -> None:
        self.name = name
        self.nearest = difflib.get_close_matches(name.lower(), sorted(known), n=3, cutoff=0.4)
        message = f"unknown {what} {name!r}"
        if self.nearest:
            message += f"; did you mean {' or '.join(self.nearest)}?"
        super().__init__(f"{message} ({hint})" if hint else message)


class SpecError(CostModelError):
    """A device profile with mistakes; `problems` holds one line each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class GraphError(CostModelError):
    """A graph document that is malformed or inconsistent."""


class TraceError(CostModelError):
    """A model that could not be loaded, or whose forward failed on meta tensors."""


class UncoveredOperatorError(CostModelError):
    """Strict mode met operators without a formula."""
