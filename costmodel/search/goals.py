"""What a search wants and what it must keep to.

A `Goal` is a column of designs to make large or small, a `Budget` a limit on one. On several
devices at once a column counts by its worst device, unless a budget names one.

Accuracy comes only from data or from a function that the user gives. Where there is neither, the
goal is `capacity`, a proxy: sqrt(parameters x MACs per sample). It grows with the network and says
nothing of how well one kind of block learns compared with another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from costmodel.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from costmodel.search.evaluation import DesignColumns

Array = np.ndarray
Scores = Callable[[Mapping[str, Array]], Array]
"""(designs,) accuracies from the (designs,) values of every parameter; NaN where unknown."""


class Metric(NamedTuple):
    """A column of designs that can be wanted or limited."""

    title: str
    unit: str
    larger: bool
    """Whether more of it is better."""
    per_device: bool


METRICS: dict[str, Metric] = {
    "latency": Metric("latency", "s", False, True),
    "throughput": Metric("throughput", "1/s", True, True),
    "energy": Metric("energy", "J", False, True),
    "work_per_joule": Metric("FLOP per joule", "FLOP/J", True, True),
    "memory": Metric("peak memory", "B", False, False),
    "parameters": Metric("parameters", "", False, False),
    "macs": Metric("MACs", "MACs", False, False),
    "bytes": Metric("bytes moved", "B", False, False),
    "capacity": Metric("capacity proxy sqrt(parameters x MACs)", "", True, False),
    "accuracy": Metric("accuracy", "", True, False),
}
"""What a goal or a budget can be about."""


def metric(name: str) -> Metric:
    """A metric by name. Raises UnknownNameError, listing all."""
    if name not in METRICS:
        raise UnknownNameError("metric", name, METRICS, f"known: {', '.join(METRICS)}")
    return METRICS[name]


def column(columns: DesignColumns, name: str, accuracy: Array | None = None) -> Array:
    """(devices, designs) or (designs,) values of a metric.

    Raises:
        UnknownNameError: for an unknown metric.
        UsageError: for accuracy where none was given.
    """
    metric(name)
    if name == "accuracy":
        if accuracy is None:
            raise UsageError(
                "accuracy: no data for it; give a function that returns it, or search for capacity"
            )
        return accuracy
    return np.asarray(getattr(columns, name))


@dataclass(frozen=True)
class Goal:
    """A metric to make as large or as small as can be."""

    name: str
    maximize: bool

    def __post_init__(self) -> None:
        metric(self.name)

    @property
    def text(self) -> str:
        """ "largest capacity proxy"."""
        return f"{'largest' if self.maximize else 'smallest'} {metric(self.name).title}"

    def values(self, columns: DesignColumns, accuracy: Array | None = None) -> Array:
        """(designs,) of the metric, on the worst device."""
        found = column(columns, self.name, accuracy)
        if found.ndim == 1:
            return found
        return np.asarray(found.min(axis=0) if self.maximize else found.max(axis=0))

    def merit(self, columns: DesignColumns, accuracy: Array | None = None) -> Array:
        """(designs,) what is to be as large as can be; -inf where it is unknown."""
        found = self.values(columns, accuracy)
        merit = found if self.maximize else -found
        return np.where(np.isfinite(merit), merit, -np.inf)


@dataclass(frozen=True)
class Reward:
    """MnasNet's reward: quality x (latency / target)^w, to be as large as can be.

    Source: Tan et al., MnasNet: Platform-Aware Neural Architecture Search for Mobile (CVPR 2019),
    equation 2: w = alpha up to the target and beta beyond it; both -0.07 make the budget soft,
    0 and -1 hard. Quality is accuracy, or the capacity proxy where there is none.
    """

    target: float
    """Latency, seconds."""
    quality: str = "capacity"
    """ "accuracy" or "capacity"."""
    alpha: float = -0.07
    beta: float = -0.07

    maximize = True

    def __post_init__(self) -> None:
        metric(self.quality)
        if not (math.isfinite(self.target) and self.target > 0):
            raise UsageError(f"reward: target {self.target!r} s: expected more than 0")
        if not (math.isfinite(self.alpha) and math.isfinite(self.beta)):
            raise UsageError(f"reward: exponents {self.alpha}, {self.beta}: expected numbers")

    @property
    def name(self) -> str:
        """Of the column."""
        return "reward"

    @property
    def text(self) -> str:
        """What is wanted, in words."""
        return f"largest MnasNet reward of {metric(self.quality).title}"

    def values(self, columns: DesignColumns, accuracy: Array | None = None) -> Array:
        """(designs,) reward on the slowest device."""
        ratio = columns.latency.max(axis=0) / self.target
        quality = column(columns, self.quality, accuracy)
        return np.asarray(quality * ratio ** np.where(ratio <= 1, self.alpha, self.beta))

    def merit(self, columns: DesignColumns, accuracy: Array | None = None) -> Array:
        """(designs,) the same; -inf where it is unknown."""
        found = self.values(columns, accuracy)
        return np.where(np.isfinite(found), found, -np.inf)


@dataclass(frozen=True)
class Budget:
    """A limit: at most, or for what is better when larger, at least."""

    name: str
    limit: float
    device: str | None = None
    """Label of the device it is for; None for every device."""

    def __post_init__(self) -> None:
        metric(self.name)
        if not (math.isfinite(self.limit) and self.limit > 0):
            raise UsageError(f"budget {self.name} {self.limit!r}: expected more than 0")

    @property
    def at_least(self) -> bool:
        """Whether values below the limit break it."""
        return metric(self.name).larger

    def use(self, columns: DesignColumns, accuracy: Array | None = None) -> Array:
        """(designs,) share of the budget that is used: above 1 it is broken, also if unknown."""
        found = column(columns, self.name, accuracy)
        if found.ndim == 2 and self.device is not None:
            labels = [target.label for target in columns.targets]
            if self.device not in labels:
                raise UnknownNameError(f"device of budget {self.name}", self.device, labels)
            found = found[labels.index(self.device)]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            used = self.limit / found if self.at_least else found / self.limit
        used = np.where(np.isnan(used), np.inf, used)
        return np.asarray(used.max(axis=0) if used.ndim == 2 else used)


def check_budgets(budgets: Sequence[Budget]) -> tuple[Budget, ...]:
    """Budgets, each about something else.

    Raises:
        UsageError: if two are about the same.
    """
    seen: set[tuple[str, str | None]] = set()
    for budget in budgets:
        key = (budget.name, budget.device)
        if key in seen:
            raise UsageError(f"budget {budget.name} is given twice; keep one")
        seen.add(key)
    return tuple(budgets)
