"""The designs that a recommendation chooses among, and what all of them cost, as columns.

They are the combinations of some values of the controls; everything else stays as the controls
have it. Their columns are worked out once for each setting and kept; after that, moving to another
of the designs, or changing a budget, is a look-up.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from threading import Lock
from typing import Any

import numpy as np

from costmodel.estimation import resolve_target
from costmodel.search.evaluation import DesignColumns, Evaluator
from costmodel.search.space import Space
from costmodel.workbench.state import State
from costmodel.workbench.tasks import TASKS

Array = np.ndarray

_ONE_AT_A_TIME = Lock()


@dataclass(frozen=True)
class Choices:
    """Designs and their costs on one device under one setting."""

    designs: tuple[Mapping[str, Any], ...]
    """What the searched controls hold in each."""
    columns: DesignColumns


def choices_of(state: State) -> Choices:
    """What can be recommended for a state, whatever its design and budgets are."""
    task = TASKS[state.task]
    fixed = {
        name: value
        for name, value in state.values().items()
        if name in task.controls and name not in task.searched
    }
    setting = (state.task, tuple(fixed.items()), state.device, state.batch, state.precision)
    with _ONE_AT_A_TIME:  # an evaluator remembers cells, and two of them would do the same work
        return _choices(*setting)


@lru_cache(maxsize=64)
def _choices(
    task: str, fixed: tuple[tuple[str, Any], ...], device: str, batch: int, precision: str
) -> Choices:
    designs, codes, evaluator = _evaluator(task, fixed, batch, precision)
    return Choices(designs, _on(evaluator, device)(codes))


@lru_cache(maxsize=32)
def _evaluator(
    task: str, fixed: tuple[tuple[str, Any], ...], batch: int, precision: str
) -> tuple[tuple[Mapping[str, Any], ...], Array, Evaluator]:
    preset = TASKS[task]
    names = tuple(preset.searched)
    designs = tuple(
        dict(zip(names, values, strict=True)) for values in product(*preset.searched.values())
    )
    parameters = [preset.parameters({**dict(fixed), **design}) for design in designs]
    family = preset.family()
    space = Space(
        family.name,
        family,
        {
            name: tuple(dict.fromkeys(p.get(name, spec.default) for p in parameters))
            for name, spec in family.parameters.items()
        },
    )
    complete = [{name: p[name] for name in space.choices if name in p} for p in parameters]
    return designs, space.codes(complete), Evaluator(space, [], batch, precision)


def _on(evaluator: Evaluator, device: str) -> Evaluator:
    """An evaluator of the same cells on another device."""
    moved = copy(evaluator)
    moved.targets = (resolve_target(device),)
    moved.error = (0.0,)
    return moved
