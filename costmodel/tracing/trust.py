"""Whether the code in a model file may run: said before the first time, remembered by content.

`FILE.py:factory` runs the file with all the rights of its user. By default that is said in one
line on stderr before a file runs for the first time, and again whenever its content has changed.
`--trust` leaves the line out; the environment variable COSTMODEL_TRUST chooses for good:

always    run without a word
ask       ask at the terminal the first time, and refuse where nobody can answer
never     refuse every file of code

What a file imports is not looked at.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from costmodel.errors import UsageError
from costmodel.files import cache_folder

ENVIRONMENT_VARIABLE = "COSTMODEL_TRUST"
SETTINGS = ("always", "ask", "never")

_TRUSTING: ContextVar[bool] = ContextVar("files of code are trusted", default=False)


def code_file(source: str) -> Path | None:
    """The file of code that a model source names, FILE.py:factory; None for any other."""
    name = source.rpartition(":")[0]
    return Path(name) if name.lower().endswith(".py") else None


@contextmanager
def trusting(enabled: bool = True) -> Iterator[None]:
    """Run files of code without a word while the context lasts, unless the setting is "never"."""
    token = _TRUSTING.set(enabled or _TRUSTING.get())
    try:
        yield
    finally:
        _TRUSTING.reset(token)


def require_trust(path: Path, folder: Path | None = None) -> None:
    """Say that a file of code is about to run, or ask, as the setting wants it.

    Args:
        path: of the file.
        folder: where it is remembered, by default "trusted" in the folder of the trace cache.

    Raises:
        UsageError: if the file is missing or must not run, or the setting is unknown.
    """
    setting = os.environ.get(ENVIRONMENT_VARIABLE, "").strip().lower()
    if setting and setting not in SETTINGS:
        raise UsageError(f"{ENVIRONMENT_VARIABLE}={setting}: expected {', '.join(SETTINGS)}")
    if setting == "never":
        raise UsageError(f"{path}: a file of code, which {ENVIRONMENT_VARIABLE}=never refuses")
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    mark = (folder or cache_folder() / "trusted") / digest
    if setting != "always" and not _TRUSTING.get() and not _is_marked(mark):
        if setting == "ask":
            _ask(path)
        else:
            print(
                f"note: running the code in {path}, with all your rights; said once per version "
                "of the file (--trust leaves it out)",
                file=sys.stderr,
            )
    if setting != "always":
        with suppress(OSError):  # a folder that cannot be written to: it is said again
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()


def _is_marked(mark: Path) -> bool:
    try:
        return mark.is_file()
    except OSError:
        return False


def _ask(path: Path) -> None:
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(
            f"{path}: {ENVIRONMENT_VARIABLE}=ask, and there is no terminal to ask at; "
            "add --trust to run its code"
        )
    print(f"Run the code in {path}, with all your rights? [y/N] ", end="", file=sys.stderr)
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError(f"{path}: its code was not run")
