"""Finding device profiles by id, alias or file.

Folders are searched in this order, and the first profile of an id or alias counts: folders given
as an argument, those of `folders_first`, those in the environment variable COSTMODEL_DEVICES
(separated like PATH), the catalogue that comes with the package. A lookup parses the one file
that it needs: aliases are scanned from the text of the others.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from costmodel.errors import SpecError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from costmodel.hardware.profile import DeviceProfile

ENVIRONMENT_VARIABLE = "COSTMODEL_DEVICES"
SUFFIX = ".yaml"

_ALIASES = re.compile(
    r"^aliases:[ \t]*(?P<inline>\[[^\]]*\])?(?P<block>(?:[ \t]*(?:#.*)?\n[ \t]*- .*)*)", re.M
)
_NAME = re.compile(r"^name:[ \t]*(.+?)[ \t]*$", re.M)
_ITEM = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([^,\[\]\s#"'][^,\[\]\n#]*))""")


@cache
def catalogue_folder() -> Path:
    """Return the folder of the profiles that come with the package."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "hardware_specs", package.parent / "hardware_specs"):
        if folder.is_dir():
            return folder
    raise UsageError("the device catalogue is missing: expected a folder hardware_specs")


_FIRST: ContextVar[tuple[str | Path, ...]] = ContextVar("folders_first", default=())


@contextmanager
def folders_first(folders: Iterable[str | Path]) -> Iterator[None]:
    """Let the profiles in folders come before the catalogue's while the context lasts.

    Raises UsageError if one is no folder.
    """
    token = _FIRST.set((*folders, *_FIRST.get()))
    try:
        search_folders()
        yield
    finally:
        _FIRST.reset(token)


def search_folders(folders: Iterable[str | Path] = ()) -> list[Path]:
    """Return the folders that profiles are looked for in, the most important first."""
    listed = os.environ.get(ENVIRONMENT_VARIABLE, "").split(os.pathsep)
    own = [
        Path(folder).expanduser() for folder in (*folders, *_FIRST.get(), *listed) if str(folder)
    ]
    for folder in own:
        if not folder.is_dir():
            raise UsageError(f"expected a folder of device profiles, {str(folder)!r} is none")
    return [*own, catalogue_folder()]


def device_files(folders: Iterable[str | Path] = ()) -> dict[str, Path]:
    """Return the file of each device id, sorted by id."""
    files: dict[str, Path] = {}
    for folder in search_folders(folders):
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            files.setdefault(path.stem, path)
    return dict(sorted(files.items()))


def device_ids(folders: Iterable[str | Path] = ()) -> list[str]:
    """Return the ids of all devices, sorted."""
    return list(device_files(folders))


def load_device(name: str | Path, folders: Sequence[str | Path] = ()) -> DeviceProfile:
    """Return the profile of a device: by id, name or alias in any case, or by its file's path.

    Raises UnknownNameError with the nearest names, SpecError if the file has mistakes.
    """
    text = str(name)
    if isinstance(name, Path) or text.endswith((SUFFIX, ".yml")) or os.sep in text:
        path = Path(name).expanduser()
        if not path.is_file():
            raise UsageError(f"expected a device profile, there is no file {text!r}")
        return _read(path)
    wanted = _plain(text)
    for folder in search_folders(folders):  # by name, without listing hundreds of files
        if (path := folder / f"{wanted}{SUFFIX}").is_file():
            return _read(path)
    files = device_files(folders)
    aliases = alias_index(files)
    if wanted in aliases:
        return _read(files[aliases[wanted]])
    hint = "`costmodel devices list` shows them all; a path to a .yaml file works too"
    raise UnknownNameError("device", text, (*files, *aliases), hint)


def list_devices(folders: Iterable[str | Path] = ()) -> list[DeviceProfile]:
    """Return all profiles, sorted by id; raises SpecError with the problems of all files."""
    profiles, problems = [], []
    for path in device_files(folders).values():
        try:
            profiles.append(_read(path))
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(problems)
    return profiles


def is_called(profile: DeviceProfile, name: str) -> bool:
    """Whether a name, as a driver or a measured file writes it, is the id or an alias of a device.

    >>> is_called(load_device("t4"), "Tesla_T4"), is_called(load_device("t4"), "Tesla P4")
    (True, False)
    """
    return _plain(name) in {_plain(known) for known in (profile.id, profile.name, *profile.aliases)}


def alias_index(files: dict[str, Path]) -> dict[str, str]:
    """Return the device id of each name and alias, plainly written; ids themselves come first."""
    index: dict[str, str] = {}
    for device, path in files.items():
        text = path.read_text(encoding="utf-8", errors="replace")
        for alias in (*scan_aliases(text), *_NAME.findall(text)):
            index.setdefault(_plain(alias.strip("\"'")), device)
    return index


def scan_aliases(text: str) -> list[str]:
    """Return the aliases in a profile's text without parsing it."""
    match = _ALIASES.search(text)
    if match is None:
        return []
    if match["inline"]:
        items = match["inline"]
    else:
        items = "\n".join(line.strip().removeprefix("- ") for line in match["block"].splitlines())
    items = re.sub(r"(^|\s)#.*", "", items)
    return ["".join(groups).strip() for groups in _ITEM.findall(items)]


def _plain(name: str) -> str:
    """Return a name as it is compared: drivers and files write spaces and underscores at will."""
    return re.sub(r"[\s_]+", "-", name.strip().lower())


def _read(path: Path) -> DeviceProfile:
    status = path.stat()
    return _read_cached(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=512)
def _read_cached(path: Path, _modified: int, _size: int) -> DeviceProfile:
    from costmodel.hardware.validation import read_profile

    return read_profile(path)
