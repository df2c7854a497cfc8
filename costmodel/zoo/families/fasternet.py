"""FasterNet and PartialNet as one family: four stages, each with a block kind of its own.

Sources: "Run, Don't Walk: Chasing Higher FLOPS for Faster Neural Networks" (FasterNet) and
"Partial Channel Network: Compute Fewer, Perform Better" (PartialNet). A block is a spatial mixer
and two 1x1 convolutions inside one shortcut; its kind says which mixer:

conv        3x3 convolution of all channels
dwconv      3x3, one filter per channel
separable   dwconv, then 1x1
inverted    MobileNetV2's inverted residual in the place of the whole block
pconv       PConv: 3x3 on a part of the channels (FasterNet)
patconv     PAT_ch and PAT_sp; in the last stage PAT_sf and PAT_sp (PartialNet)

With pconv throughout, width 96, depths 1-2-8-2 and relu it is FasterNet-T2; with patconv, width
64 and depths 2-2-6-4 it is PartialNet-T2. Tests hold both against the zoo's networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import nn

from costmodel.zoo.activation import Activation
from costmodel.zoo.families.family import Cell, Family, Parameter, Slot, Value, register
from costmodel.zoo.fasternet import VARIANTS
from costmodel.zoo.inverted_residual import InvertedResidual
from costmodel.zoo.partialnet import DESIGNS, PartialNetBlock
from costmodel.zoo.pat_channel import PATch
from costmodel.zoo.pat_self import PATsf
from costmodel.zoo.pat_spatial import PATsp
from costmodel.zoo.pconv import PConv
from costmodel.zoo.separable import SeparableConv
from costmodel.zoo.stem import Classifier, Downsample

KINDS = ("conv", "dwconv", "separable", "inverted", "pconv", "patconv")
ACTIVATIONS = ("relu", "gelu", "silu", "hardswish", "relu6")
HIDDEN = 1280
"""Width of the classifier's hidden layer."""


def block(
    kind: str,
    channels: int,
    ratio: float,
    expansion: float,
    act: Activation,
    merged: bool,
    heads: int,
    grid: int,
) -> nn.Module:
    """One block, (n, channels, h, w) unchanged.

    Args:
        kind: one of `KINDS`.
        channels: in and out.
        ratio: split ratio of pconv and patconv, 0 for the others.
        expansion: how much the 1x1 convolutions widen.
        act: activation between them.
        merged: whether PAT_sp's convolution is part of the second 1x1, as deployed.
        heads: of PAT_sf, 0 for PAT_ch.
        grid: height and width of the map that PAT_sf attends over, else 0.
    """
    if kind == "inverted":
        return InvertedResidual(channels, channels, 1, expansion=round(expansion))
    spatial: nn.Module = PATsp(channels) if kind == "patconv" else nn.Identity()
    built = PartialNetBlock(
        channels,
        _mixer(kind, channels, ratio, heads, grid),
        spatial,
        act,
        split_shortcut=kind == "patconv" and heads > 0,
        expansion=expansion,
    ).eval()
    if merged:
        built.merge_spatial()
    return built


def _mixer(kind: str, channels: int, ratio: float, heads: int, grid: int) -> nn.Module:
    match kind:
        case "conv":
            return nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        case "dwconv":
            return nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        case "separable":
            return SeparableConv(channels, channels)
        case "pconv":
            return PConv(channels, ratio)
        case _:
            if heads:
                return PATsf(channels, ratio, heads, (grid, grid))
            return PATch(channels, ratio)


def block_cell(
    stage: int,
    kind: str,
    depth: int,
    width: int,
    ratio: float,
    expansion: float,
    activation: Activation,
    resolution: int,
    merged: bool,
    heads: int,
) -> tuple[Cell, int]:
    """A block of stage 0 to 3, and how often it stands there."""
    channels, size = width * 2**stage, resolution // (4 * 2**stage)
    split = kind in ("pconv", "patconv")
    attends = kind == "patconv" and stage == 3
    arguments = (
        kind,
        channels,
        ratio if split else 0.0,
        expansion,
        "relu6" if kind == "inverted" else activation,
        merged and kind == "patconv",
        heads if attends else 0,
        size if attends else 0,
    )
    return Cell(block, arguments, (channels, size, size)), depth


def _stem(width: int, resolution: int) -> tuple[Cell, int]:
    return Cell(Downsample, (3, width, 4), (3, resolution, resolution)), 1


def _merge(stage: int, width: int, resolution: int) -> tuple[Cell, int]:
    channels, size = width * 2**stage, resolution // (4 * 2**stage)
    return Cell(Downsample, (channels, 2 * channels, 2), (channels, size, size)), 1


def _classifier(
    width: int, activation: Activation, resolution: int, classes: int
) -> tuple[Cell, int]:
    channels, size = 8 * width, resolution // 32
    return Cell(Classifier, (channels, HIDDEN, classes, activation), (channels, size, size)), 1


def _slots() -> tuple[Slot, ...]:
    slots = [Slot("stem", ("width", "resolution"), _stem)]
    for stage in range(4):
        if stage:
            slots.append(Slot(f"merge{stage}", ("width", "resolution"), partial(_merge, stage - 1)))
        needs = (
            f"kind{stage + 1}", f"depth{stage + 1}", "width", "ratio", "expansion", "activation",
            "resolution", "merged", "heads",
        )  # fmt: skip
        slots.append(Slot(f"stage{stage + 1}", needs, partial(block_cell, stage)))
    last = Slot("classifier", ("width", "activation", "resolution", "classes"), _classifier)
    return (*slots, last)


def _parameters() -> Mapping[str, Parameter]:
    depths = {
        f"depth{stage}": Parameter(depth, f"blocks in stage {stage}", low=0, high=64)
        for stage, depth in zip((1, 2, 3, 4), (1, 2, 8, 2), strict=True)
    }
    kinds = {
        f"kind{stage}": Parameter("pconv", f"kind of block in stage {stage}", KINDS)
        for stage in (1, 2, 3, 4)
    }
    return {
        "width": Parameter(96, "channels of the first stage; each stage doubles", low=8, high=1024),
        **depths,
        **kinds,
        "ratio": Parameter(0.25, "split ratio of pconv and patconv", low=1 / 1024, high=1.0),
        "expansion": Parameter(
            2.0, "how much a block widens; inverted takes it rounded", low=1.0, high=16.0
        ),
        "activation": Parameter("relu", "inside the blocks", ACTIVATIONS),
        "resolution": Parameter(
            224, "height and width of the image", low=32, high=4096, multiple=32
        ),
        "merged": Parameter(True, "whether PAT_sp is merged into the 1x1 before it, as deployed"),
        "heads": Parameter(6, "of the self-attention in the last stage", low=1, high=64),
        "classes": Parameter(1000, "that the classifier tells apart", low=1, high=10**6),
    }


def _known() -> dict[str, dict[str, Value]]:
    found: dict[str, dict[str, Value]] = {}
    for name, variant in VARIANTS.items():
        found[f"zoo:fasternet_{name}"] = {
            "width": variant.width,
            "activation": variant.act,
            **{f"depth{i + 1}": depth for i, depth in enumerate(variant.depths)},
            **{f"kind{i}": "pconv" for i in (1, 2, 3, 4)},
        }
    for name, design in DESIGNS.items():
        found[f"zoo:partialnet_{name}_merged"] = {
            "width": design.width,
            "activation": design.act,
            "heads": design.heads,
            **{f"depth{i + 1}": depth for i, depth in enumerate(design.depths)},
            **{f"kind{i}": "patconv" for i in (1, 2, 3, 4)},
        }
    return found


FASTERNET = register(
    Family(
        "fasternet",
        "Chen et al., Run, Don't Walk: Chasing Higher FLOPS for Faster Neural Networks (CVPR "
        "2023); Huang et al., Partial Channel Network: Compute Fewer, Perform Better",
        _parameters(),
        _slots(),
        _known(),
    )
)
