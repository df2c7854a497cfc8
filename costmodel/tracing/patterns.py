"""Models by pattern: "timm:resnet*" stands for all that timm lists under such names.

Importing a library for the names of its models takes seconds: those of a release are kept in the
trace cache.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, version

from costmodel.errors import GraphError, UnknownNameError
from costmodel.tracing.cache import entry, read_entry, write_entry

SUFFIX = ".names.gz"


def matching(sources: Iterable[str]) -> list[str]:
    """Sources with every pattern replaced by the models it stands for, each once.

    Raises:
        UnknownNameError: for a pattern that matches nothing.
        UsageError: if the package of the models is not installed.
    """
    found: list[str] = []
    for source in sources:
        kind, _, pattern = source.partition(":")
        if kind not in _LISTS or not any(sign in pattern for sign in "*?["):
            found.append(source)
            continue
        names = [name for name in _LISTS[kind]() if fnmatchcase(name, pattern)]
        if not names:
            raise UnknownNameError(f"{kind} models of the pattern", pattern, _LISTS[kind]())
        found += [f"{kind}:{name}" for name in names]
    return list(dict.fromkeys(found))


def _timm() -> Sequence[str]:
    def listed() -> Sequence[str]:
        from costmodel.tracing.timm_models import timm_names

        return timm_names()

    return _kept("timm", listed)


def _torchvision() -> Sequence[str]:
    def listed() -> Sequence[str]:
        from costmodel.tracing.torchvision_models import torchvision_names

        return torchvision_names()

    return _kept("torchvision", listed)


def _kept(package: str, listed: Callable[[], Sequence[str]]) -> Sequence[str]:
    """Names of the models of a library, from the cache where its release was listed before."""
    try:
        release = f"names of the models of {package} {version(package)}"
    except PackageNotFoundError:
        return listed()
    place = entry(hashlib.sha256(release.encode()).hexdigest(), SUFFIX)
    names = read_entry(place, _names)
    if names is None:
        names = list(listed())
        write_entry(place, json.dumps(names).encode())
    return names


def _names(content: bytes) -> list[str]:
    try:
        return [str(name) for name in json.loads(content)]
    except (TypeError, ValueError) as error:
        raise GraphError(f"not a list of names: {error}") from error


def _zoo() -> Sequence[str]:
    from costmodel import zoo

    return zoo.names()


_LISTS: dict[str, Callable[[], Sequence[str]]] = {
    "zoo": _zoo, "timm": _timm, "torchvision": _torchvision,
}  # fmt: skip
