"""Run conditions: on what device and in what way a published figure is taken to have been measured.

The documents state the devices, a batch of 256 on the GPUs and one core of the CPU; precision,
folding and software they leave open. What is assumed is chosen here, once per column, next to the
alternatives it was chosen among; `compare_conditions` scores them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Condition:
    """A device and a way of running a network on it."""

    device: str
    """As the command line takes it: "epyc-73f3@1" is one core."""
    batch: int
    precision: str = "fp32"
    folded: bool = False
    """Batch norm inside the layer before it."""
    fused: bool = False
    """Compiled: pointwise operators joined between library operators."""
    merged: bool = True
    """PAT_sp's 1x1 convolution inside the MLP, where a network has any."""
    part: Literal["network", "backbone"] = "network"
    """What of a detector runs."""

    @property
    def label(self) -> str:
        """The condition in words."""
        words = [
            self.device,
            self.precision,
            f"batch {self.batch}",
            "elementwise fused" if self.fused else "eager",
            "batch norm folded" if self.folded else "batch norm not folded",
        ]
        if not self.merged:
            words.append("PAT_sp not merged")
        if self.part == "backbone":
            words.append("backbone alone")
        return ", ".join(words)


V100 = Condition("v100-sxm2", 256)
MI250 = Condition("mi250-gcd", 256)
EPYC = Condition("epyc-73f3@1", 1, folded=True, fused=True)
DETECTOR = Condition("mi250-gcd", 16, part="backbone")


@dataclass(frozen=True)
class Assumption:
    """The condition behind one column, why, and what else it could have been."""

    column: str
    condition: Condition
    why: str
    alternatives: tuple[Condition, ...]
    table: str | None = None
    """The only table it holds for; None for all others."""

    @property
    def example(self) -> str:
        """The table whose rows the alternatives are scored on."""
        return self.table or "imagenet"


ASSUMPTIONS = (
    Assumption(
        "throughput_v100",
        V100,
        "Batch 256 is stated. Only float32 is near: in float16 its tensor cores would be well over "
        "twice as fast, and it has no TF32. Eager runs fit, fused ones would be faster than "
        "published; whether batch norms were folded can hardly be told.",
        (
            replace(V100, folded=True),
            replace(V100, fused=True),
            replace(V100, folded=True, fused=True),
            replace(V100, merged=False),
            replace(V100, device="v100-pcie-32gb"),
            replace(V100, precision="fp16"),
        ),
    ),
    Assumption(
        "throughput_mi250",
        MI250,
        "Batch 256 is stated. A framework sees one die (GCD) as a device; the whole board, or "
        "float16, would be far faster than what was published. CDNA 2 has no TF32.",
        (
            replace(MI250, folded=True),
            replace(MI250, fused=True),
            replace(MI250, merged=False),
            replace(MI250, precision="fp16"),
            replace(MI250, device="mi250"),
        ),
    ),
    Assumption(
        "latency_epyc_73f3",
        EPYC,
        "One core is stated; a batch of one is what a latency means. Folding and fusion are how "
        "CPUs are run for inference and are not stated; the scores of the alternatives are close.",
        (
            replace(EPYC, fused=False),
            replace(EPYC, folded=False),
            replace(EPYC, folded=False, fused=False),
            replace(EPYC, merged=False),
            replace(EPYC, batch=256),
        ),
    ),
    Assumption(
        "throughput_mi250",
        DETECTOR,
        "The backbone alone: the whole detector with ResNet-50 at 121 images/s would take 61 "
        "TFLOP/s in float32, more than the 45 TFLOP/s of one die, while 121 is near the ImageNet "
        "table's throughput divided by the 20.4 times as many pixels. The batch is not stated.",
        (
            replace(DETECTOR, batch=1),
            replace(DETECTOR, part="network"),
            replace(DETECTOR, part="network", precision="fp16"),
            replace(DETECTOR, part="network", device="mi250"),
        ),
        table="coco",
    ),
)


def assumption_of(table: str, column: str) -> Assumption | None:
    """The assumption behind a measured column, None for columns that are not measured times."""
    found = [a for a in ASSUMPTIONS if a.column == column and a.table in (None, table)]
    return max(found, key=lambda a: a.table is not None, default=None)


def condition_of(table: str, column: str) -> Condition | None:
    """The condition that a column's figures are predicted under; None if none are predicted."""
    assumption = assumption_of(table, column)
    return None if assumption is None else assumption.condition


UNPREDICTED: Mapping[str, str] = {
    "top1": "accuracy comes from training; a cost model does not predict it",
    **{
        f"{ap}_{task}": "average precision comes from training; a cost model does not predict it"
        for ap in ("ap", "ap50", "ap75")
        for task in ("box", "mask")
    },
    "latency_mobile": "the phone is not named, so there is no device to predict for",
}
"""Columns without a prediction, with the reason."""
