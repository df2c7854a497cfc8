"""PartialNet with a split ratio of its own in every block, as DPConv learns them.

Source: "Partial Channel Network: Compute Fewer, Perform Better", Figure 7 and the section on
learnable dynamic partial convolution: there the ratios are learnt under a limit on complexity;
here they are chosen under any budget, such as latency on a device. The defaults are PartialNet-T0
with 1/4 everywhere. DPConv deploys as PConv, so that is what a block holds.
"""

from __future__ import annotations

from functools import partial

from costmodel.zoo.activation import Activation
from costmodel.zoo.families.family import Cell, Family, Parameter, Slot, register
from costmodel.zoo.families.fasternet import FASTERNET, block_cell
from costmodel.zoo.learnt_splits import DIVISORS, learnt_splits

DEPTHS = (1, 2, 6, 4)
BLOCKS = tuple(stage for stage, depth in enumerate(DEPTHS) for _ in range(depth))
"""Stage of every block, front to back."""


def _block(
    stage: int, width: int, ratio: float, activation: Activation, resolution: int, heads: int
) -> tuple[Cell, int]:
    return block_cell(stage, "patconv", 1, width, ratio, 2.0, activation, resolution, True, heads)


def _slots() -> tuple[Slot, ...]:
    fixed = {slot.name: slot for slot in FASTERNET.slots if not slot.name.startswith("stage")}
    slots = [fixed["stem"]]
    for number, stage in enumerate(BLOCKS, 1):
        if number > 1 and stage != BLOCKS[number - 2]:
            slots.append(fixed[f"merge{stage}"])
        needs = ("width", f"ratio{number}", "activation", "resolution", "heads")
        slots.append(Slot(f"block{number}", needs, partial(_block, stage)))
    return (*slots, fixed["classifier"])


DPCONV = register(
    Family(
        "dpconv",
        "Huang et al., Partial Channel Network: Compute Fewer, Perform Better",
        {
            "width": Parameter(32, "channels of the first stage", low=8, high=1024),
            **{
                f"ratio{number}": Parameter(
                    0.25, f"split ratio of block {number}, in stage {stage + 1}",
                    low=1 / 1024, high=1.0,
                )
                for number, stage in enumerate(BLOCKS, 1)
            },
            "activation": Parameter("gelu", "inside the blocks", FASTERNET.parameters[
                "activation"].names),
            "resolution": FASTERNET.parameters["resolution"],
            "heads": Parameter(4, "of the self-attention in the last stage", low=1, high=64),
            "classes": FASTERNET.parameters["classes"],
        },
        _slots(),
        {
            f"zoo:partialnet_t0_theta_{theta}_merged": {
                f"ratio{number}": ratio for number, ratio in enumerate(learnt_splits(theta), 1)
            }
            for theta in DIVISORS
        },
    )
)  # fmt: skip
