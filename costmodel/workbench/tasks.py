"""Task presets: what is designed, which controls that has, and the network they stand for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

from costmodel.workbench.values import Choice, Steps, Value

if TYPE_CHECKING:
    from costmodel.zoo.families import Family

Parameters = dict[str, Any]
"""Of a family of networks."""

BLOCKS = {
    "conv": "Convolution",
    "dwconv": "Depthwise",
    "separable": "Separable",
    "inverted": "Inverted residual",
    "pconv": "PConv",
    "patconv": "PATConv",
}
PARTIAL = ("pconv", "patconv")
"""Blocks that work on a part of the channels."""
RATIOS = {"1/8": "1/8", "1/4": "1/4", "1/2": "1/2"}
EXPANSIONS = {"1": "1", "2": "2", "3": "3", "4": "4", "6": "6"}

PATCHES = {"8": "8", "16": "16", "32": "32"}
HEAD = 64
"""Channels of a head of attention."""

ATTENTIONS = {
    "mha": "Multi-head",
    "gqa4": "4 queries a key",
    "gqa8": "8 queries a key",
    "mqa": "Multi-query",
}
SHARED = {"mha": 1, "gqa4": 4, "gqa8": 8}
"""Query heads for each key and value head; of multi-query attention all."""
TOKEN_HEAD = 128
"""Channels of a head of attention of a language model."""
NO_TOKENS: Mapping[str, Value] = {
    "attention": Choice({"mha": ATTENTIONS["mha"]}, "mha"),
    "context": Steps(4096, 4096, 1024, 4096),
}
"""Controls that only a language model has."""

PROPORTIONS = (1, 2, 8, 2)
"""Blocks of the four stages of FasterNet-T2."""


@dataclass(frozen=True)
class Task:
    """One preset."""

    title: str
    text: str
    """What is predicted, in a sentence."""
    controls: Mapping[str, Value]
    """What the design's own controls may hold, "block" to "context"."""
    hidden: tuple[str, ...]
    """Controls that mean nothing here."""
    family: Callable[[], Family]
    parameters: Callable[[Mapping[str, Any]], Parameters]
    """A state's values as parameters of the family."""
    searched: Mapping[str, Sequence[Any]]
    """Values of the controls that a recommendation chooses among; the others stay as they are."""
    compared: str
    """The control whose choices are compared with each other."""
    sample: str = "image"
    """One of a batch."""
    sized_by: str = "resolution"
    """The control that says how large a sample is."""


def stage_depths(blocks: int) -> tuple[int, int, int, int]:
    """Blocks of each stage in about FasterNet's proportions, at least one each.

    >>> stage_depths(13)
    (1, 2, 8, 2)
    """
    first, second, _, last = (max(1, round(blocks * p / sum(PROPORTIONS))) for p in PROPORTIONS)
    return first, second, blocks - first - second - last, last


def _staged(values: Mapping[str, Any]) -> Parameters:
    """Parameters of the FasterNet family: one kind of block in all stages."""
    depths = stage_depths(values["depth"])
    stages = range(1, 5)
    return {
        "width": values["width"],
        **{f"depth{stage}": depth for stage, depth in zip(stages, depths, strict=True)},
        **{f"kind{stage}": values["block"] for stage in stages},
        "ratio": float(Fraction(values["ratio"])),
        "expansion": float(values["expansion"]),
        "resolution": values["resolution"],
    }


def _transformer(values: Mapping[str, Any]) -> Parameters:
    """Parameters of the ViT family: a head for every 64 channels."""
    return {
        "depth": values["depth"],
        "width": values["width"],
        "heads": values["width"] // HEAD,
        "patch": int(values["patch"]),
        "mlp_ratio": float(values["expansion"]),
        "resolution": values["resolution"],
    }


def _decoder(values: Mapping[str, Any]) -> Parameters:
    """Parameters of the decoder family: a query head for every 128 channels."""
    return {
        "depth": values["depth"],
        "width": values["width"],
        "head": TOKEN_HEAD,
        "groups": SHARED.get(values["attention"], values["width"] // TOKEN_HEAD),
        "mlp_ratio": float(Fraction(values["expansion"])),
        "context": values["context"],
    }


def _family(name: str) -> Family:
    from costmodel.zoo.families import family

    return family(name)


def _convolutional(resolution: Steps) -> dict[str, Value]:
    return {
        "block": Choice(BLOCKS, "pconv"),
        "depth": Steps(4, 40, 1, 13),
        "width": Steps(16, 192, 8, 96),
        "resolution": resolution,
        "ratio": Choice(RATIOS, "1/4"),
        "expansion": Choice(EXPANSIONS, "2"),
        "patch": Choice({"16": "16"}, "16"),
        **NO_TOKENS,
    }


SEARCHED = {
    "block": tuple(BLOCKS),
    "depth": (4, 6, 8, 10, 13, 16, 20, 24, 28, 32, 36, 40),
    "width": (16, 24, 32, 48, 64, 80, 96, 128, 160, 192),
}

TASKS: Mapping[str, Task] = {
    "classification": Task(
        "Classification",
        "An image classifier of four stages, 1000 classes.",
        _convolutional(Steps(96, 384, 32, 224)),
        ("patch", *NO_TOKENS),
        partial(_family, "fasternet"),
        _staged,
        SEARCHED,
        "block",
    ),
    "detection": Task(
        "Detection backbone",
        "The four stages that a detector reads, without its neck and heads.",
        _convolutional(Steps(320, 1280, 32, 640)),
        ("patch", *NO_TOKENS),
        partial(_family, "fasternet_backbone"),
        _staged,
        SEARCHED,
        "block",
    ),
    "segmentation": Task(
        "Segmentation",
        "The backbone and a fully convolutional head for 21 classes, scores for every pixel.",
        _convolutional(Steps(256, 1024, 32, 512)),
        ("patch", *NO_TOKENS),
        partial(_family, "fasternet_segmenter"),
        _staged,
        SEARCHED,
        "block",
    ),
    "vit": Task(
        "Vision transformer",
        "A vision transformer with a class token, a head for every 64 channels, 1000 classes.",
        {
            "block": Choice({"attention": "Attention and MLP"}, "attention"),
            "depth": Steps(2, 32, 1, 12),
            "width": Steps(128, 1280, 64, 384),
            "resolution": Steps(96, 512, 32, 224),
            "ratio": Choice({"1/4": "1/4"}, "1/4"),
            "expansion": Choice({"2": "2", "3": "3", "4": "4"}, "4"),
            "patch": Choice(PATCHES, "16"),
            **NO_TOKENS,
        },
        ("block", "ratio", *NO_TOKENS),
        partial(_family, "vit"),
        _transformer,
        {
            "patch": tuple(PATCHES),
            "depth": (2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 24, 28, 32),
            "width": (128, 192, 256, 320, 384, 448, 512, 576, 640, 768, 896, 1024, 1280),
        },
        "patch",
    ),
    "llm": Task(
        "LLM decode",
        "One step of a language model that decodes: a new token for every sequence of the batch. "
        "The keys and values of the context are read from a cache with room for them; 32,000 "
        "tokens are known, and nothing is shared between the embedding and the last layer.",
        {
            "block": Choice({"attention": "Attention and MLP"}, "attention"),
            "depth": Steps(4, 80, 1, 16),
            "width": Steps(1024, 8192, 1024, 2048),
            "resolution": Steps(224, 224, 32, 224),
            "ratio": Choice({"1/4": "1/4"}, "1/4"),
            "expansion": Choice({"8/3": "8/3", "3.5": "3.5", "4": "4"}, "3.5"),
            "patch": Choice({"16": "16"}, "16"),
            "attention": Choice(ATTENTIONS, "gqa4"),
            "context": Steps(1024, 131_072, 1024, 4096),
        },
        ("block", "ratio", "resolution", "patch"),
        partial(_family, "decoder"),
        _decoder,
        {
            "attention": tuple(ATTENTIONS),
            "depth": (4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 64, 80),
            "width": tuple(range(1024, 8193, 1024)),
        },
        "attention",
        "token",
        "context",
    ),
}

DEFAULT_TASK = "classification"
