"""Measured networks as stacked operator columns: hundreds of models predicted in one evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from costmodel.formulas.columns import columns_of
from costmodel.graph import Graph
from costmodel.roofline.ceilings import Target, ceilings
from costmodel.roofline.constants import DEFAULT, Constants
from costmodel.roofline.device_columns import device_columns
from costmodel.roofline.engine import ALL_LAWS, operator_times
from costmodel.roofline.operators import OperatorColumns, operator_columns, stack
from costmodel.roofline.precision import get_precision
from costmodel.roofline.workload import workload_of

Array = np.ndarray

DTYPES = (
    "float32", "float16", "bfloat16", "float64", "int64", "int32", "int16", "int8", "uint8",
    "bool", "complex64", "complex128",
)  # fmt: skip
"""Every dtype a network may compute in, so that stacked columns share one list."""


class Case(NamedTuple):
    """One network in the run conditions its graph was traced under."""

    name: str
    graph: Graph
    batch: int
    seconds: float
    """Measured."""


@dataclass(frozen=True)
class Networks:
    """Several measured networks, stacked."""

    names: tuple[str, ...]
    measured: Array
    """(networks,) seconds."""
    operators: OperatorColumns
    counts: Array
    """(rows,) how often each row runs."""
    network: Array
    """(rows,) index of the network each row belongs to."""
    kinds: tuple[str, ...] = ()
    """(rows,) kind of operator of each row."""

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def families(self) -> tuple[str, ...]:
        """(networks,) the name up to the first underscore."""
        return tuple(name.partition("_")[0] for name in self.names)

    def row_seconds(
        self,
        target: Target,
        constants: Constants = DEFAULT,
        laws: frozenset[str] = ALL_LAWS,
    ) -> Array:
        """(rows,) predicted seconds of each row once."""
        limits = ceilings((target,), self.operators.dtypes)
        columns = device_columns((target,))
        times = operator_times(self.operators, limits, columns, laws, constants)
        return np.asarray(times.total[0, 0])

    def predict(
        self,
        target: Target,
        constants: Constants = DEFAULT,
        laws: frozenset[str] = ALL_LAWS,
    ) -> Array:
        """(networks,) predicted seconds on a device."""
        seconds = self.row_seconds(target, constants, laws) * self.counts
        return np.bincount(self.network, seconds, minlength=len(self))


def stack_networks(cases: Iterable[Case], precision: str = "fp32") -> Networks:
    """Stack networks, each at its own batch size."""
    names, measured, parts, counts, owners = [], [], [], [], []
    kinds: list[str] = []
    policy = get_precision(precision)
    for index, case in enumerate(cases):
        workload = workload_of(columns_of(case.graph))
        batches = np.array([float(case.batch)])
        parts.append(operator_columns(workload, batches, policy, _dtypes(policy.matrix)))
        counts.append(workload.counts)
        kinds += workload.kinds
        owners.append(np.full(len(workload.counts), index))
        names.append(case.name)
        measured.append(case.seconds)
    return Networks(
        tuple(names),
        np.array(measured),
        stack(parts),
        np.concatenate(counts).astype(np.float64),
        np.concatenate(owners),
        tuple(kinds),
    )


def _dtypes(matrix: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*DTYPES, matrix)))


def split_families(networks: Networks, folds: int, seed: int = 0) -> Array:
    """(networks,) fold of each network; a family is never split over two folds."""
    families: Sequence[str] = sorted(set(networks.families))
    order = np.random.default_rng(seed).permutation(len(families))
    fold_of = {families[i]: int(rank % folds) for rank, i in enumerate(order)}
    return np.array([fold_of[family] for family in networks.families])
