"""Sizes that depend on values: tracing goes on with the largest they can be, and says so.

Meta tensors have no values, so `nonzero` cannot say how many elements it finds, nor non-maximum
suppression how many boxes it keeps. Both can say how many at most. The trace continues with that
many, the graph lists what was assumed (`conditions["assumptions"]`), and its rung is "bounded":
what follows is an estimate for the worst case.

A model's own settings may state a tighter limit; `detection` knows those of torchvision's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor


class Bounds:
    """Limits that hold now, and everything that was assumed so far."""

    def __init__(self) -> None:
        self.assumed: dict[str, None] = {}
        self._limit: int | None = None
        self._items: Iterator[float] | None = None
        self._kinds: dict[int, tuple[Tensor, int]] = {}  # with the tensor, which keeps the id taken
        self._asked: dict[int, int] = {}  # how often such a tensor was compared with a value
        self._found: dict[int, tuple[Tensor, int]] = {}

    def assume(self, what: str) -> None:
        """State an assumption once."""
        self.assumed[what] = None

    @contextmanager
    def at_most(self, count: int, why: str) -> Iterator[None]:
        """Inside, `nonzero` finds no more than `count` elements."""
        before, self._limit = self._limit, count
        self.assume(why)
        try:
            yield
        finally:
            self._limit = before

    @contextmanager
    def items(self, values: Iterable[float], why: str) -> Iterator[None]:
        """Inside, `tensor.item()` gives these values in turn, over and over."""
        before, self._items = self._items, cycle(values)
        self.assume(why)
        try:
            yield
        finally:
            self._items = before

    def split(self, tensor: Tensor, kinds: int, why: str) -> None:
        """A tensor's elements have `kinds` different values, each as often as any other."""
        self._kinds[id(tensor)] = (tensor, kinds)
        self.assume(why)

    def answer(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result of an operator whose size depends on values; NotImplemented for others."""
        rule = _RULES.get(func)
        if rule is None or not (args and isinstance(args[0], Tensor) and _is_empty(args[0])):
            return NotImplemented
        return rule(self, func, *args, **kwargs)

    def largest_count(self, mask: Tensor) -> int:
        """How many elements of a mask can be true."""
        _, count = self._found.get(id(mask), (mask, mask.numel()))
        return count if self._limit is None else min(count, self._limit)

    def kinds_of(self, tensor: Tensor) -> int:
        """How many different values a tensor can have."""
        return self._kinds.get(id(tensor), (tensor, tensor.numel()))[1]

    def compared(self, tensor: Tensor, mask: Tensor) -> None:
        """A mask says where a tensor has one of its values: as often as any other, to one."""
        if id(tensor) not in self._kinds:
            return
        kinds, asked = self._kinds[id(tensor)][1], self._asked.get(id(tensor), 0)
        self._asked[id(tensor)] = asked + 1
        each, left = divmod(tensor.numel(), kinds)
        self._found[id(mask)] = (mask, each + (asked % kinds < left))


_Rule = Callable[..., Any]
_RULES: dict[Any, _Rule] = {}
_aten = torch.ops.aten


def rule_for(*functions: Any) -> Callable[[_Rule], _Rule]:
    """Register how an operator is answered: rule(bounds, function, *args, **kwargs)."""

    def register(rule: _Rule) -> _Rule:
        _RULES.update(dict.fromkeys(functions, rule))
        return rule

    return register


def _is_empty(tensor: Tensor) -> bool:
    return tensor.is_meta or isinstance(tensor, FakeTensor)


def _most(what: str) -> str:
    return f"{what}: how many depends on values; as many as can be"


@rule_for(_aten.nonzero.default)
def _nonzero(bounds: Bounds, func: Any, x: Tensor) -> Tensor:
    bounds.assume(_most("elements found by nonzero"))
    return x.new_empty((bounds.largest_count(x), x.dim()), dtype=torch.int64)


@rule_for(_aten.masked_select.default)
def _masked_select(bounds: Bounds, func: Any, x: Tensor, mask: Tensor) -> Tensor:
    bounds.assume(_most("elements selected by a mask"))
    shape = torch.broadcast_shapes(x.shape, mask.shape)  # type: ignore[no-untyped-call]
    return x.new_empty((min(shape.numel(), bounds.largest_count(mask.expand(shape))),))


@rule_for(_aten._unique2.default)
def _unique(
    bounds: Bounds, func: Any, x: Tensor, sorted: bool = True, return_inverse: bool = False,
    return_counts: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    bounds.assume(_most("different values found by unique"))
    kinds = bounds.kinds_of(x)
    inverse = x.new_empty(x.shape if return_inverse else (0,), dtype=torch.int64)
    counts = x.new_empty((kinds if return_counts else 0,), dtype=torch.int64)
    return x.new_empty((kinds,)), inverse, counts


@rule_for(_aten.eq.Scalar, _aten.eq.Tensor)
def _equal(bounds: Bounds, func: Any, x: Tensor, other: Any) -> Tensor:
    mask: Tensor = func(x, other)
    bounds.compared(x, mask)
    return mask


@rule_for(_aten._local_scalar_dense.default)
def _item(bounds: Bounds, func: Any, x: Tensor) -> Any:
    return func(x) if bounds._items is None else next(bounds._items)


@rule_for(_aten.index.Tensor)
def _index(bounds: Bounds, func: Any, x: Tensor, indices: Any) -> Tensor:
    """A mask among the indices selects as many places as it can be true at."""
    if not any(_is_mask(i) for i in indices):
        return func(x, indices)  # type: ignore[no-any-return]
    bounds.assume(_most("elements selected by a mask"))
    places: list[Tensor | None] = []
    for index in indices:
        if _is_mask(index):
            found = index.new_empty((bounds.largest_count(index),), dtype=torch.int64)
            places += [found] * index.dim()
        else:
            places.append(index)
    return func(x, places)  # type: ignore[no-any-return]


def _is_mask(index: Any) -> bool:
    return isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8)
