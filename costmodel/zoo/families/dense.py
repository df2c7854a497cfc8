"""Families for dense tasks, made of a family that classifies: its backbone, and a segmenter.

`backbone` leaves out the classifier, as a detector does that reads the stages' maps. `segmenter`
puts the head of "Fully Convolutional Networks for Semantic Segmentation" in its place, in the form
of today's libraries: a 3x3 convolution to a quarter of the channels, batch norm, relu, a 1x1
convolution to the classes, and bilinear interpolation to the size of the image.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn
from torch.nn import functional

from costmodel.zoo.families.family import Cell, Family, Slot, register
from costmodel.zoo.families.fasternet import FASTERNET

CLASSIFIER = "classifier"
SEGMENTED = 21
"""Classes that a segmenter tells apart: those of Pascal VOC, and the background."""


def backbone(family: Family) -> Family:
    """The family without its classifier."""
    kept = tuple(slot for slot in family.slots if slot.name != CLASSIFIER)
    return replace(family, name=f"{family.name}_backbone", slots=kept, known={})


def segmenter(family: Family) -> Family:
    """The backbones of a family of four stages, stride 32, under a fully convolutional head."""
    kept = backbone(family).slots
    head = Slot("head", ("width", "resolution"), _head)
    return replace(family, name=f"{family.name}_segmenter", slots=(*kept, head), known={})


class SegmentationHead(nn.Module):
    """(n, channels, h / 32, w / 32) to (n, classes, h, w) scores."""

    def __init__(self, channels: int, classes: int, size: int) -> None:
        super().__init__()
        inner = channels // 4
        self.layers = nn.Sequential(
            nn.Conv2d(channels, inner, 3, padding=1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Conv2d(inner, classes, 1),
        )
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return functional.interpolate(
            self.layers(x), size=(self.size, self.size), mode="bilinear", align_corners=False
        )


def _head(width: int, resolution: int) -> tuple[Cell, int]:
    channels, size = 8 * width, resolution // 32
    arguments = (channels, SEGMENTED, resolution)
    return Cell(SegmentationHead, arguments, (channels, size, size)), 1


BACKBONE = register(backbone(FASTERNET))
SEGMENTER = register(segmenter(FASTERNET))
