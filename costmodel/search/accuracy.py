"""Accuracy of designs: from published tables, or from a function of the user's.

Published accuracies are those of a family's known members, and nothing is said of any other
design: it counts as unknown, so a search by them chooses among the published networks only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from costmodel.errors import UsageError
from costmodel.published import models, table
from costmodel.search.goals import Scores
from costmodel.search.space import Space

Array = np.ndarray

COLUMN = "top1"


class Published(NamedTuple):
    """A published accuracy."""

    source: str
    """Of the model, such as "zoo:fasternet_t0"."""
    accuracy: float
    """Top-1 on ImageNet-1K, percent."""
    document: str


def published_accuracies(space: Space) -> dict[str, Published]:
    """Accuracies that tables print for members of the space's family, by model source."""
    known = space.family.known
    found: dict[str, Published] = {}
    for entry in models():
        for source in {entry.source, entry.macs_source} & set(known):
            if source is None or source in found:
                continue
            figures = table(entry.table)
            cells = [c for c in figures.cells if c.row == entry.row and c.column == COLUMN]
            if cells and not cells[0].flagged:
                found[source] = Published(source, cells[0].value, figures.documents[0])
    return found


def published_scores(space: Space) -> tuple[Scores, str]:
    """A function that gives published accuracies, NaN elsewhere, and where they are from.

    Raises:
        UsageError: if no member of the family has a published accuracy.
    """
    found = published_accuracies(space)
    if not found:
        raise UsageError(
            f"no published table has accuracies for the family {space.family.name}; give a "
            "function, FILE.py:function, or search for capacity"
        )
    rows = [
        (dict(space.family.complete(space.family.known[source])), entry.accuracy)
        for source, entry in found.items()
    ]

    def scores(values: Mapping[str, Array]) -> Array:
        count = len(next(iter(values.values())))
        result = np.full(count, np.nan)
        for parameters, accuracy in rows:
            same = np.ones(count, dtype=bool)
            for name, value in parameters.items():
                same &= values[name] == value
            result[same] = accuracy
        return result

    documents = "; ".join(dict.fromkeys(entry.document for entry in found.values()))
    return scores, f"top-1 on ImageNet-1K of {len(found)} published networks: {documents}"
