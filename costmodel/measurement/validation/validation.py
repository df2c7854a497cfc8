"""Predictions beside measurements: how good the estimates are, and where they are worst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from costmodel.errors import UsageError
from costmodel.measurement.tables.conditions import RunConditions
from costmodel.measurement.validation.device_factors import (
    NEUTRAL,
    kind_shares,
    network_times,
    sum_rows,
)
from costmodel.measurement.validation.few_shot import Refinement, pick_models, refine
from costmodel.measurement.validation.matching import Skipped
from costmodel.measurement.validation.networks import Networks
from costmodel.measurement.validation.scoring import Score, score
from costmodel.roofline.ceilings import Target
from costmodel.roofline.constants import DEFAULT, Constants
from costmodel.roofline.engine import ALL_LAWS
from costmodel.roofline.interval import half_widths
from costmodel.roofline.operators import take as take_rows

Array = np.ndarray

SMALLEST_SHARE = 0.02
"""Of the time, below which an operator kind is not listed by itself."""


class GroupScore(NamedTuple):
    """How near the predictions of a family of networks or of one operator came."""

    name: str
    n: int
    mape: float
    median_ape: float
    bias: float
    """Median of predicted / measured; above 1 is too slow a prediction."""


class KindScore(NamedTuple):
    """Errors of whole networks weighted by the time they spend on a kind of operator."""

    name: str
    time_share: float
    """Mean share of the predicted time."""
    weighted_ape: float
    weighted_bias: float
    """exp of the weighted mean of log(predicted / measured)."""


class Run(NamedTuple):
    """Networks measured on one device in one way."""

    networks: Networks
    target: Target
    conditions: RunConditions


@dataclass(frozen=True)
class Validation:
    """Predictions beside measurements on one device; arrays are (n,), times in seconds."""

    against: str
    """The measured file."""
    device: str
    conditions: str
    """How the runs were made, as text."""
    group_word: str
    """What a group is: "family" or "operator"."""
    names: tuple[str, ...]
    groups: tuple[str, ...]
    measured: Array
    predicted: Array
    low: Array | None = None
    """Lower end of the 90% interval; None where there are no intervals."""
    high: Array | None = None
    kinds: tuple[str, ...] = ()
    shares: Array = field(default_factory=lambda: np.zeros((0, 0)))
    """(n, kinds) of the predicted time."""
    skipped: tuple[Skipped, ...] = ()
    refinement: Refinement | None = None
    notes: tuple[str, ...] = ()
    runs: tuple[Run, ...] = ()
    """What was judged, to fit constants to it."""

    @cached_property
    def score(self) -> Score:
        """The usual metrics over all rows."""
        interval = None if self.low is None or self.high is None else (self.low, self.high)
        return score(self.predicted, self.measured, interval)

    @cached_property
    def by_group(self) -> tuple[GroupScore, ...]:
        """Scores of each family or operator, the worst first."""
        ratio, groups = self.predicted / self.measured, np.array(self.groups)
        error = np.abs(ratio - 1)
        found = [
            GroupScore(
                name,
                int(mask.sum()),
                float(error[mask].mean()),
                float(np.median(error[mask])),
                float(np.median(ratio[mask])),
            )
            for name in dict.fromkeys(self.groups)
            for mask in [groups == name]
        ]
        return tuple(sorted(found, key=lambda entry: -entry.mape))

    @cached_property
    def by_kind(self) -> tuple[KindScore, ...]:
        """Weighted errors of each kind of operator that takes a share of the time, worst first."""
        ratio, found = self.predicted / self.measured, []
        for index, name in enumerate(self.kinds):
            weight = self.shares[:, index]
            if weight.mean() < SMALLEST_SHARE:
                continue
            total = weight.sum()
            found.append(
                KindScore(
                    name,
                    float(weight.mean()),
                    float(np.dot(weight, np.abs(ratio - 1)) / total),
                    float(np.exp(np.dot(weight, np.log(ratio)) / total)),
                )
            )
        return tuple(sorted(found, key=lambda entry: -entry.weighted_ape))

    def worst(self, count: int) -> list[int]:
        """Indices of the rows with the largest errors."""
        error = np.abs(self.predicted / self.measured - 1)
        return [int(index) for index in np.argsort(-error, kind="stable")[:count]]


def validate_networks(
    networks: Networks,
    target: Target,
    conditions: RunConditions,
    *,
    against: str = "",
    laws: frozenset[str] = ALL_LAWS,
    constants: Constants = DEFAULT,
    few_shot: int = 0,
    seed: int = 0,
    skipped: Sequence[Skipped] = (),
    notes: Sequence[str] = (),
) -> Validation:
    """Predict measured networks on a device, and judge the predictions.

    Args:
        networks: stacked, with their measured times.
        target: the device they were measured on.
        conditions: of the run, which the graphs were traced under.
        against: name of the measured file.
        laws: to apply.
        constants: of the laws.
        few_shot: how many of the networks may be used to refine the device; they are not judged.
        seed: of their choice.
        skipped: rows that could not be compared.
        notes: to be told with the result.

    Raises:
        UsageError: if no network is left to judge.
    """
    refinement, factors = None, NEUTRAL
    judged = np.ones(len(networks), dtype=bool)
    if few_shot:
        chosen = pick_models([family_of(name) for name in networks.names], few_shot, seed)
        refinement = refine(take(networks, chosen), target, constants, laws)
        factors, judged[chosen] = refinement.factors, False
    if not judged.any():
        raise UsageError(f"{against}: no measured model is left to judge")
    times = network_times(networks, target, constants, laws, factors)
    rows = times.total[0, 0]
    predicted = sum_rows(networks, rows)
    kinds, shares = kind_shares(networks, times)
    low = high = None
    said = list(notes)
    if laws == ALL_LAWS:
        width, basis = half_widths(
            kinds, shares, target.profile.kind, conditions.execution, conditions.precision,
            vendor=target.profile.vendor,
        )  # fmt: skip
        width = width * (refinement.narrowing if refinement else 1.0)
        low, high = (predicted * np.exp(-width))[judged], (predicted * np.exp(width))[judged]
        said.append(basis)
    return Validation(
        against=against,
        device=target.label,
        conditions=str(conditions),
        group_word="family",
        names=_kept(networks.names, judged),
        groups=tuple(family_of(name) for name in _kept(networks.names, judged)),
        measured=networks.measured[judged],
        predicted=predicted[judged],
        low=low,
        high=high,
        kinds=kinds,
        shares=shares[judged],
        skipped=tuple(skipped),
        refinement=refinement,
        notes=tuple(said),
        runs=(Run(networks, target, conditions),),
    )


def family_of(name: str) -> str:
    """Family of a model's name: without the kind of its source, up to the first underscore.

    >>> family_of("timm:vit_base_patch16_224"), family_of("op:conv2d n=8 c_in=64")
    ('vit', 'op:conv2d')
    """
    if name.startswith("op:"):
        return name.split()[0]
    bare = name.rpartition(":")[2] if ":" in name.split()[0] else name
    return bare.split()[0].partition("_")[0].partition("@")[0]


def merged(parts: Sequence[Validation]) -> Validation:
    """Several validations on one device as one: of runs made in different ways."""
    if len(parts) == 1:
        return parts[0]
    kinds = tuple(sorted({kind for part in parts for kind in part.kinds}))
    tables = [np.zeros((len(part.names), len(kinds))) for part in parts]
    for part, table in zip(parts, tables, strict=True):
        for index, kind in enumerate(part.kinds):
            table[:, kinds.index(kind)] = part.shares[:, index]
    low, high = ([getattr(part, end) for part in parts] for end in ("low", "high"))
    whole = not any(end is None for end in low)
    return replace(
        parts[0],
        conditions="; ".join(dict.fromkeys(part.conditions for part in parts)),
        names=tuple(name for part in parts for name in part.names),
        groups=tuple(group for part in parts for group in part.groups),
        measured=np.concatenate([part.measured for part in parts]),
        predicted=np.concatenate([part.predicted for part in parts]),
        low=np.concatenate(low) if whole else None,
        high=np.concatenate(high) if whole else None,
        kinds=kinds,
        shares=np.concatenate(tables),
        skipped=tuple(entry for part in parts for entry in part.skipped),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        runs=tuple(run for part in parts for run in part.runs),
    )


def take(networks: Networks, chosen: Array) -> Networks:
    """Some of the networks, in the order of `chosen`."""
    position = np.full(len(networks), -1)
    position[chosen] = np.arange(len(chosen))
    rows = position[networks.network] >= 0
    return Networks(
        names=tuple(networks.names[i] for i in chosen),
        measured=networks.measured[chosen],
        operators=take_rows(networks.operators, rows),
        counts=networks.counts[rows],
        network=position[networks.network][rows],
        kinds=tuple(np.array(networks.kinds, dtype=object)[rows].tolist()),
    )


def _kept(values: Sequence[str], mask: Array) -> tuple[str, ...]:
    return tuple(value for value, keep in zip(values, mask, strict=True) if keep)
