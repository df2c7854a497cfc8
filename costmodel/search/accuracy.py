"""Accuracy of designs: from published tables, or from a function of the user's.

Published accuracies are those of a family's known members, and nothing is said of any other
design: it counts as unknown, so a search by them chooses among the published networks only.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from costmodel.errors import UsageError
from costmodel.published.accuracy import Accuracy, published_accuracy
from costmodel.search.goals import Scores
from costmodel.search.space import Space

Array = np.ndarray

IMAGE = 224
"""Side of the images, pixels, of families whose members do not say their resolution."""


def published_accuracies(space: Space) -> dict[str, Accuracy]:
    """Accuracies that tables print for members of the space's family, by model source."""
    found = {}
    for source, design in space.family.known.items():
        side = int(design.get("resolution", IMAGE))
        found[source] = published_accuracy(source, (3, side, side))
    return {source: accuracy for source, accuracy in found.items() if accuracy is not None}


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
        (dict(space.family.complete(space.family.known[source])), entry.percent)
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
