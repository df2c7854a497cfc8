"""Where files are kept, and how they are written: in one step.

A reader sees the old content or the new one, never half of it.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

CACHE_VARIABLE = "COSTMODEL_CACHE"
"""Environment variable that names another folder."""


def cache_folder() -> Path:
    """For what can be made again: $COSTMODEL_CACHE, or the user's cache folder of the platform."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
        return Path(base) / "costmodel" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "costmodel"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "costmodel"


def replace_file(path: Path, data: bytes) -> None:
    """Write a file beside its place and move it there; what fails leaves the old one untouched.

    A link keeps pointing where it does, and a file that exists keeps its permissions. Something
    that is no file (/dev/stdout, a named pipe) cannot be swapped and is written to directly.

    Raises:
        OSError: if it cannot be written: no such folder, no permission, a full disk.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{path} is a folder")
    if target.exists() and not target.is_file():
        target.write_bytes(data)
        return
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, _mode(target))
        os.replace(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _mode(path: Path) -> int:
    """Permissions of a file, or those that a new one gets."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
