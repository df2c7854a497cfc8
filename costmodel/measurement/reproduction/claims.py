"""The documents' claims about pairs: first over second, each computed like the tables' cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from costmodel.errors import UsageError
from costmodel.measurement.reproduction.conditions import (
    EPYC,
    MI250,
    V100,
    Condition,
    condition_of,
)
from costmodel.measurement.reproduction.networks import Networks
from costmodel.published import model, table

RTX_2080_TI = Condition("rtx-2080-ti", 32)
I9_9900X = Condition("i9-9900x@1", 1, folded=True, fused=True)
CORTEX_A72 = Condition("cortex-a72@1", 1, folded=True, fused=True)


@dataclass(frozen=True)
class Claim:
    """A ratio of two networks on one device."""

    first: tuple[str, str]
    """(table, row)."""
    second: tuple[str, str]
    quantity: Literal["speed", "latency"]
    """Ratio of images per second, or of seconds per image."""
    condition: Condition
    unnamed: bool = False
    """Whether the documents leave out what was measured on; FasterNet's authors used an RTX 2080
    Ti, one thread of a Core i9-9900X and one of a Cortex-A72."""
    elsewhere: str = ""
    """Column of the ImageNet table in which the same pair stands."""

    def ratio(self, networks: Networks, condition: Condition | None = None) -> float:
        """First over second, predicted; on another condition if one is given."""
        where = condition or self.condition
        first, second = (
            networks.seconds(model(*pair), where) for pair in (self.first, self.second)
        )
        return first / second if self.quantity == "latency" else second / first

    def remark(self, networks: Networks) -> str:
        """What it was predicted for, and what the ImageNet table has for the pair."""
        text = f"predicted for {self.condition.label}"
        if self.unnamed:
            text += "; assumed, since these documents do not name the device"
        condition = condition_of("imagenet", self.elsewhere)
        if condition is None:
            return text
        column = table("imagenet").column(self.elsewhere)
        theirs = column[self.first[1]] / column[self.second[1]]
        if (self.quantity == "latency") is not self.elsewhere.startswith("latency"):
            theirs = 1 / theirs
        ours = self.ratio(networks, condition)
        return (
            f"{text}; for {condition.device} the ImageNet table has {theirs:.2f}, ours {ours:.2f}"
        )


def _pair(first: str, second: str) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("imagenet", first), ("imagenet", second)


_TINY = _pair("FasterNet-T0", "MobileViT-XXS")
_LARGE = _pair("FasterNet-L", "Swin-B")
_PARTIAL = _pair("PartialNet-T2", "FasterNet-T2")
_PATCONV = ("patconv-elsewhere", "ResNet50 with PATConv"), ("patconv-elsewhere", "ResNet50")

CLAIMS: Mapping[str, Claim] = {
    "FasterNet-T0 / MobileViT-XXS, GPU throughput": Claim(
        *_TINY, "speed", RTX_2080_TI, unnamed=True, elsewhere="throughput_v100"
    ),
    "FasterNet-T0 / MobileViT-XXS, CPU speed": Claim(
        *_TINY, "speed", I9_9900X, unnamed=True, elsewhere="latency_epyc_73f3"
    ),
    "FasterNet-T0 / MobileViT-XXS, ARM speed": Claim(*_TINY, "speed", CORTEX_A72, unnamed=True),
    "FasterNet-L / Swin-B, GPU throughput": Claim(
        *_LARGE, "speed", RTX_2080_TI, unnamed=True, elsewhere="throughput_v100"
    ),
    "FasterNet-L / Swin-B, CPU latency": Claim(
        *_LARGE, "latency", I9_9900X, unnamed=True, elsewhere="latency_epyc_73f3"
    ),
    "PartialNet-T2 / FasterNet-T2, V100 throughput": Claim(*_PARTIAL, "speed", V100),
    "PartialNet-T2 / FasterNet-T2, MI250 throughput": Claim(*_PARTIAL, "speed", MI250),
    "PartialNet-T2 / FasterNet-T2, EPYC 73F3 latency": Claim(*_PARTIAL, "latency", EPYC),
    "ResNet50 with PATConv / ResNet50, V100 throughput": Claim(*_PATCONV, "speed", V100),
}
"""Claims about networks, by row."""


def _operator_claims() -> Mapping[str, Callable[[], float]]:
    from costmodel.measurement.reproduction import worked_examples as examples

    return {
        "PConv / Conv, MACs": examples.partial_macs_ratio,
        "PConv / Conv, activation traffic": examples.partial_traffic_ratio,
        "Conv / depthwise separable, MACs, 3x3, 256 to 256": partial(
            examples.separable_macs_ratio, 256
        ),
        "Conv / depthwise separable, MACs, 3x3, 64 to 64": partial(
            examples.separable_macs_ratio, 64
        ),
    }


def claimed(row: str, networks: Networks) -> tuple[float, str]:
    """The predicted ratio of a claim, and what to know about it.

    Raises:
        UsageError: for a claim that nothing here computes, or if a package is not installed.
    """
    operators = _operator_claims()
    if row in operators:
        return operators[row](), ""
    if row not in CLAIMS:
        raise UsageError(f"claim {row!r}: nothing computes it")
    claim = CLAIMS[row]
    return claim.ratio(networks), claim.remark(networks)
