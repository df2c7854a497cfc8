"""Models by pattern: "timm:resnet*" stands for all that timm lists under such names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase

from costmodel.errors import UnknownNameError


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
    from costmodel.tracing.timm_models import timm_names

    return timm_names()


def _torchvision() -> Sequence[str]:
    from costmodel.tracing.torchvision_models import torchvision_names

    return torchvision_names()


def _zoo() -> Sequence[str]:
    from costmodel import zoo

    return zoo.names()


_LISTS: dict[str, Callable[[], Sequence[str]]] = {
    "zoo": _zoo, "timm": _timm, "torchvision": _torchvision,
}  # fmt: skip
