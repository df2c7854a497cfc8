"""Laws of one thing alone, devices or pairs of kernels, whatever the operators: worked out once."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol, TypeVar, TypeVarTuple


class Known(Protocol):
    """What laws are about, with what they found so far."""

    @property
    def found(self) -> dict[Any, tuple[tuple[Any, ...], Any]]:
        """By law: the further arguments, and what it gave."""


About = TypeVar("About", bound=Known)
Rest = TypeVarTuple("Rest")
Found = TypeVar("Found")


def _same(before: tuple[Any, ...], now: tuple[Any, ...]) -> bool:
    """Whether the arguments are the same objects; a loop is sooner done than `map` with `all`."""
    for one, other in zip(before, now, strict=True):  # noqa: SIM110
        if one is not other:
            return False
    return True


def once(law: Callable[[About, *Rest], Found]) -> Callable[[About, *Rest], Found]:
    """The law, worked out again only when its further arguments are other objects than before."""

    @wraps(law)
    def known(about: About, *rest: *Rest) -> Found:
        last = about.found.get(law)
        if last is None or not _same(last[0], rest):
            last = about.found[law] = (rest, law(about, *rest))
        result: Found = last[1]
        return result

    return known
