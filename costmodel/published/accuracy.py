"""Published accuracy of models, by the source string that builds them.

A figure is given only where a published row is known to be that very model at that input size, or
its merged form, which computes the same function. Nothing is carried over from namesakes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from costmodel.published.models import models
from costmodel.published.tables import tables

COLUMN = "top1"


class Accuracy(NamedTuple):
    """A printed accuracy on ImageNet-1K."""

    percent: float
    """Top-1, in percent."""
    row: str
    """What the document calls the model."""
    document: str
    """Title of the document, and the table in it."""


def published_accuracy(source: str, input_shape: Sequence[int]) -> Accuracy | None:
    """Top-1 accuracy of a model as printed; None if no published row is that model.

    The first table that has it counts. Flagged figures are left out.

    Args:
        source: such as "zoo:fasternet_t0".
        input_shape: of one sample, (channels, height, width).
    """
    for table in tables():
        if all(column.name != COLUMN for column in table.columns):
            continue
        rows = {
            model.row
            for model in models(table.id)
            if source in (model.source, model.macs_source)
            and model.input_shape == tuple(input_shape)
        }
        for cell in table.cells:
            if cell.row in rows and cell.column == COLUMN and not cell.flagged:
                return Accuracy(cell.value, cell.row, table.documents[0])
    return None
