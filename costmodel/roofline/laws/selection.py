"""Which of a library's kernels runs a product: heuristics, or trials by an autotuned run.

Heuristics take the kernel with the least arithmetic time, padding and waves included; an autotuned
run takes the one that is fastest in fact. Products of several sorts, each with a library of its
own, are decided in one pass over one list of candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

from costmodel.roofline.constants import Constants
from costmodel.roofline.device_columns import DeviceColumns
from costmodel.roofline.laws.gemm import (
    MainLoop,
    Product,
    Tile,
    Tiling,
    compute_time,
    main_loop,
    transfer_time,
)
from costmodel.roofline.laws.overlap import p_norm
from costmodel.roofline.once import once

Array = np.ndarray

TILE_COST = 0.05
"""Weight of the tiles themselves where waves decide between tiles of one size."""
TAIL_COST = 0.01
"""The same of the tiles, rounded up to whole sets of resident blocks."""


@dataclass(frozen=True, eq=False)
class Kernels:
    """What a library offers; arrays are (kernels,), those by device (devices, ..., kernels)."""

    tile: Tile
    splits: Array
    available: Array
    """By device."""
    fullest: Array
    """Most tiles per unit at which the library splits the contraction so, by device."""
    preference: Array
    """Factor on the arithmetic time that the library's heuristics see, by device; what splitting
    costs them is in it."""
    aligned_only: Array
    """Where it needs an aligned product, by device."""
    resident: Array
    """Blocks on a unit at a time where the heuristics weigh ties by them, 0 elsewhere, by
    device."""

    @property
    def count(self) -> int:
        """Number of kernels."""
        return len(self.splits)

    def take(self, index: Array) -> Kernels:
        """Some of the kernels, or some of them several times."""
        by_device = (
            self.available, self.fullest, self.preference, self.aligned_only, self.resident,
        )  # fmt: skip
        return Kernels(
            self.tile.take(index),
            self.splits[index],
            *(column[..., index] for column in by_device),
        )

    def usable(self, tiling: Tiling, device: DeviceColumns) -> Array:
        """Where the library would consider them for such products."""
        usable: Array = self.available & (tiling.unsplit / device.units <= self.fullest)
        if self.aligned_only.any():
            usable &= tiling.product.aligned | ~self.aligned_only
        return usable

    def rank(self, compute: Array, tiling: Tiling, device: DeviceColumns) -> Array:
        """What the heuristics compare, from the seconds of arithmetic."""
        rank: Array = compute * self.preference
        if self.resident.any():
            rank *= tie_break(self.resident, tiling, device)
        return rank


def joined(parts: Sequence[Kernels]) -> Kernels:
    """The kernels of several libraries, for the same devices."""

    def column(name: str) -> Array:
        return np.concatenate([getattr(part, name) for part in parts], axis=-1)

    sides = zip(*(part.tile.parts for part in parts), strict=True)
    names = ("splits", "available", "fullest", "preference", "aligned_only", "resident")
    return Kernels(Tile(*map(np.concatenate, sides)), *map(column, names))


def tie_break(resident: Array, tiling: Tiling, device: DeviceColumns) -> Array:
    """Factor on the arithmetic time that heuristics see: fewer tiles, fuller last waves."""
    fill = tiling.blocks / device.units
    sets = np.maximum(resident, 1)
    cost = TILE_COST * fill + TAIL_COST * sets * np.ceil(fill / sets)
    return np.where(resident > 0, 1 + cost / np.ceil(fill), 1.0)


class Offer(NamedTuple):
    """Kernels for so many products that follow each other."""

    kernels: Kernels
    products: int


def chosen_time(
    product: Product,
    offers: Sequence[Offer],
    unit_rate: Array,
    device: DeviceColumns,
    constants: Constants,
) -> tuple[Array, Array]:
    """Seconds of the kernel that a library's heuristics take, and its index in the offer.

    Args:
        product: all products, in the order of their offers.
        offers: what they choose from.
        unit_rate: FLOP/s of one unit, (devices, ..., 1 or products).
        device: columns of the devices.
        constants: of the laws.

    Returns:
        both (devices, ..., products); infinite where no kernel is usable.
    """
    pairs, tiling, compute = _tried(product, offers, unit_rate, device, constants)
    rank = pairs.kernels.rank(compute, tiling, device)
    _forbid(rank, pairs.kernels.usable(tiling, device))
    ranks = pairs.by_offer(rank)
    least = [own.min(axis=-2) for own in ranks]
    firsts = [  # the first of them, sooner than argmin finds it
        (own == best[..., None, :]).argmax(axis=-2) for own, best in zip(ranks, least, strict=True)
    ]
    index = np.concatenate(firsts, axis=-1)
    place = pairs.places(index)
    taken = Tiling(product, pairs.kernels.tile.take(place), pairs.kernels.splits[place])
    compute = np.take_along_axis(compute, place, axis=-1)
    time = p_norm(compute, transfer_time(taken, device, constants), constants.product_overlap)
    return np.where(np.isfinite(np.concatenate(least, axis=-1)), time, np.inf), index


def fastest_time(
    product: Product,
    offers: Sequence[Offer],
    unit_rate: Array,
    device: DeviceColumns,
    constants: Constants,
) -> Array:
    """Seconds of the fastest kernel, which an autotuned run finds; arguments as above."""
    pairs, tiling, compute = _tried(product, offers, unit_rate, device, constants)
    time = p_norm(compute, transfer_time(tiling, device, constants), constants.product_overlap)
    _forbid(time, pairs.kernels.usable(tiling, device))
    return np.concatenate([own.min(axis=-2) for own in pairs.by_offer(time)], axis=-1)


def _forbid(cost: Array, usable: Array) -> None:
    """Make kernels infinitely costly, in place, where they are not usable."""
    with np.errstate(divide="ignore"):
        cost /= usable


def _tried(
    product: Product,
    offers: Sequence[Offer],
    unit_rate: Array,
    device: DeviceColumns,
    constants: Constants,
) -> tuple[_Pairs, Tiling, Array]:
    """Every product with every kernel of its offer, and its seconds of arithmetic."""
    made = _pairs if sum(offer.products for offer in offers) > MANY else _known_pairs
    pairs = made(tuple(offers))
    tiling = Tiling(product.take(pairs.product), pairs.kernels.tile, pairs.kernels.splits)
    loop = _loop(pairs, constants)
    rate = unit_rate if unit_rate.shape[-1] == 1 else unit_rate[..., pairs.product]
    return pairs, tiling, compute_time(tiling, rate, device, constants, loop)


@once
def _loop(pairs: _Pairs, constants: Constants) -> MainLoop:
    return main_loop(pairs.offered, constants).take(pairs.kernel)


MANY = 1000
"""Products: pairs of fewer are kept, as a graph is estimated again and again."""


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Products and the kernels they could take, all pairs of an offer after those of the last:
    its first kernel with every product, then its second, and so on."""

    offers: tuple[Offer, ...]
    offered: Tile
    """Tiles of all kernels of all offers."""
    kernels: Kernels
    """Of every pair."""
    kernel: Array
    """Its index in `offered`, (pairs,)."""
    product: Array
    """Index of its product, (pairs,)."""

    @cached_property
    def found(self) -> dict[Any, Any]:
        """What laws made of these; see `once`."""
        return {}

    def places(self, index: Array) -> Array:
        """Index of the pair, from that of the kernel in the offer, (..., products)."""
        return np.asarray(self._first + index * self._stride)

    def by_offer(self, values: Array) -> list[Array]:
        """Views (..., kernels, products) of values (..., pairs), one for each offer."""
        views, stop = [], 0
        for kernels, products in self.offers:
            start, stop = stop, stop + kernels.count * products
            shape = (*values.shape[:-1], kernels.count, products)
            views.append(values[..., start:stop].reshape(shape))
        return views

    @cached_property
    def _first(self) -> Array:
        """Index of every product's first pair."""
        return np.flatnonzero(np.concatenate([np.arange(k.count * n) < n for k, n in self.offers]))

    @cached_property
    def _stride(self) -> Array:
        """From a product's pair to its next one."""
        return np.concatenate([np.full(n, n) for _, n in self.offers])


def _pairs(offers: tuple[Offer, ...]) -> _Pairs:
    kernel, product, first_kernel, first_product = [], [], 0, 0
    for kernels, count in offers:
        kernel.append(first_kernel + np.repeat(np.arange(kernels.count), count))
        product.append(first_product + np.tile(np.arange(count), kernels.count))
        first_kernel, first_product = first_kernel + kernels.count, first_product + count
    index, all_kernels = np.concatenate(kernel), joined([kernels for kernels, _ in offers])
    return _Pairs(offers, all_kernels.tile, all_kernels.take(index), index, np.concatenate(product))


_known_pairs = lru_cache(maxsize=256)(_pairs)
