"""PartialNet T0 to L, which an earlier paper calls PATNet, and every row of its ablations.

Sources: "Partial Convolution Meets Visual Attention" (PATNet) and "Partial Channel Network:
Compute Fewer, Perform Better" (PartialNet). A block of the first three stages (v1) is PAT_ch, two
1x1 convolutions that widen by two and narrow again, and PAT_sp, inside one shortcut. A block of
the last stage (v2) has PAT_sf instead of PAT_ch and a shortcut of its own around it.

What reproduces the published figures, for all six networks: PAT_sp in all four stages, half of its
channels convolved, parameters counted as trained, multiply-accumulates counted after PAT_sp has
merged into the MLP (`zoo.merge_pat_sp`), attention scores included.

| network | depths   | parameters, M | published | MACs merged, G | published |
|---------|----------|---------------|-----------|----------------|-----------|
| T0      | 1-2-6-4  | 4.29          | 4.3       | 0.249          | 0.25      |
| T1      | 1-2-6-4  | 7.79          | 7.8       | 0.552          | 0.55      |
| T2      | 2-2-6-4  | 12.65         | 12.6      | 1.033          | 1.03      |
| S       | 2-2-9-4  | 28.98         | 29.0      | 2.705          | 2.71      |
| M       | 2-3-16-4 | 61.37         | 61.3      | 6.675          | 6.69      |
| L       | 2-3-20-4 | 104.47        | 104.4     | 11.884         | 11.91     |

The papers disagree on T0 and T1. T0: PATNet's 1-2-6-4 fits; PartialNet's 1-2-8-2 gives 3.56 M
and 0.233 G. T1: neither fits. PATNet's 2-2-6-4 has the parameters (7.81 M) but 0.585 G;
PartialNet's 1-2-8-2 has 6.14 M and 0.517 G; the first number of the one with the rest of the other,
1-2-6-4, fits both. Those are the defaults; `depths="patnet"` and `depths="partialnet"` give the
printed ones.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypeVar

from torch import Tensor, nn

from costmodel.errors import UnknownNameError, UsageError
from costmodel.zoo.activation import Activation, activation
from costmodel.zoo.pat_channel import PATch
from costmodel.zoo.pat_self import PATsf
from costmodel.zoo.pat_spatial import PATsp, merge_into
from costmodel.zoo.pconv import PConv
from costmodel.zoo.registry import register
from costmodel.zoo.squeeze_excitation import SqueezeExcitation
from costmodel.zoo.stem import Classifier, Downsample
from costmodel.zoo.style_attention import SRM, GaussianSE

Depths = tuple[int, int, int, int]
Mixer = Literal["pat", "pat_all", "pat_srm", "pat_se", "pconv", "conv", "dwconv"]
Spatial = Literal["pat", "pat_all", "none"]
LastMixer = Literal["pat", "pat_all", "as_before"]


@dataclass(frozen=True)
class Design:
    """One PartialNet or one row of its ablations."""

    width: int
    depths: Depths
    act: Activation
    heads: int = 6
    mixer: Mixer = "pat"
    """What stages 1 to 3 use before the MLP: PAT_ch ("pat") or what an ablation puts there."""
    spatial: Spatial = "pat"
    """PAT_sp behind the MLP, over part of the channels, over all, or absent."""
    last: LastMixer = "pat"
    """PAT_sf in stage 4, over part of the channels, over all, or `mixer` there as well."""
    ratios: tuple[float, ...] | None = None
    """Split ratio of each block's convolution, front to back; 1/4 everywhere if None."""
    grid: tuple[int, int] = (7, 7)
    """Height and width of stage 4's maps that its relative positions are tabulated for."""


class PartialNetBlock(nn.Module):
    """Mixer, MLP and PAT_sp with one shortcut (v1), or with two (v2, `split_shortcut`).

    Shape (n, c, h, w) unchanged.
    """

    def __init__(
        self,
        channels: int,
        mixer: nn.Module,
        spatial: nn.Module,
        act: Activation,
        split_shortcut: bool,
        expansion: float = 2,
    ) -> None:
        super().__init__()
        hidden = round(expansion * channels)
        self.mixer = mixer
        self.widen = nn.Conv2d(channels, hidden, 1, bias=False)
        self.norm = nn.BatchNorm2d(hidden)
        self.act = activation(act)
        self.narrow = nn.Conv2d(hidden, channels, 1, bias=False)
        self.spatial = spatial
        self.split_shortcut = split_shortcut

    def mlp(self, x: Tensor) -> Tensor:
        """The two 1x1 convolutions and PAT_sp."""
        y: Tensor = self.spatial(self.narrow(self.act(self.norm(self.widen(x)))))
        return y

    def forward(self, x: Tensor) -> Tensor:
        if self.split_shortcut:
            x = x + self.mixer(x)
            return x + self.mlp(x)
        return x + self.mlp(self.mixer(x))

    def merge_spatial(self) -> None:
        """Move PAT_sp's batch norm and convolution into `narrow`, in place."""
        if isinstance(self.spatial, PATsp):
            self.narrow, self.spatial = merge_into(self.narrow, self.spatial)


class PartialNet(nn.Module):
    """Four stages of `design.width`, 2, 4 and 8 times as many channels at strides 4 to 32.

    Input (n, 3, h, w) with h and w multiples of 32; output (n, classes) logits.
    """

    def __init__(self, design: Design, classes: int = 1000) -> None:
        super().__init__()
        self.channels = tuple(design.width * 2**stage for stage in range(4))
        blocks = sum(design.depths)
        ratios = list(design.ratios or (1 / 4,) * blocks)
        if len(ratios) != blocks:
            raise UsageError(f"{len(ratios)} split ratios for {blocks} blocks")
        self.stem = Downsample(3, design.width, 4)
        self.merges = nn.ModuleList(Downsample(c, 2 * c, 2) for c in self.channels[:-1])
        self.stages = nn.ModuleList()
        for stage, depth in enumerate(design.depths):
            last = stage == 3 and design.last != "as_before"
            stage_ratios, ratios = ratios[:depth], ratios[depth:]
            self.stages.append(
                nn.Sequential(
                    *(_block(self.channels[stage], ratio, design, last) for ratio in stage_ratios)
                )
            )
        self.classifier = Classifier(self.channels[-1], 1280, classes, design.act)

    def features(self, x: Tensor) -> list[Tensor]:
        """Output of each stage, the pyramid that a detector reads."""
        x = self.stem(x)
        outputs = []
        for index, stage in enumerate(self.stages):
            if index:
                x = self.merges[index - 1](x)
            x = stage(x)
            outputs.append(x)
        return outputs

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x)[-1])
        return logits


def _block(channels: int, ratio: float, design: Design, last: bool) -> PartialNetBlock:
    mixer: nn.Module
    if last:
        attended: Literal["rest", "all"] = "all" if design.last == "pat_all" else "rest"
        mixer = PATsf(channels, ratio, design.heads, design.grid, attended)
    else:
        mixer = _mixer(channels, ratio, design.mixer)
    spatial: nn.Module = nn.Identity()
    if design.spatial != "none":
        spatial = PATsp(channels, attended="all" if design.spatial == "pat_all" else "rest")
    return PartialNetBlock(channels, mixer, spatial, design.act, split_shortcut=last)


def _mixer(channels: int, ratio: float, kind: Mixer) -> nn.Module:
    match kind:
        case "pat":
            return PATch(channels, ratio)
        case "pat_all":
            return PATch(channels, ratio, attended="all")
        case "pat_srm":
            return PATch(channels, ratio, attention=SRM)
        case "pat_se":
            return PATch(channels, ratio, attention=SqueezeExcitation)
        case "pconv":
            return PConv(channels, ratio)
        case "conv":
            return nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        case "dwconv":
            return nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
                GaussianSE(channels),
                nn.BatchNorm2d(channels),
            )


DESIGNS = {
    "t0": Design(32, (1, 2, 6, 4), "gelu", heads=4),
    "t1": Design(48, (1, 2, 6, 4), "gelu"),
    "t2": Design(64, (2, 2, 6, 4), "relu"),
    "s": Design(96, (2, 2, 9, 4), "relu"),
    "m": Design(128, (2, 3, 16, 4), "relu"),
    "l": Design(160, (2, 3, 20, 4), "relu"),
}

PRINTED_DEPTHS: dict[str, dict[str, Depths]] = {
    "patnet": {"t0": (1, 2, 6, 4), "t1": (2, 2, 6, 4)},
    "partialnet": {"t0": (1, 2, 8, 2), "t1": (1, 2, 8, 2)},
}
"""Depths as each paper's table of configurations prints them, where the papers differ."""

_T2 = DESIGNS["t2"]

ABLATIONS = {
    # partial (P) or full (F) attention, as channel - spatial - self
    "t2_fpp": replace(_T2, mixer="pat_all"),
    "t2_pfp": replace(_T2, spatial="pat_all"),
    "t2_ppf": replace(_T2, last="pat_all"),
    # the three blocks added one after the other
    "t2_plain": replace(_T2, mixer="pconv", spatial="none", last="as_before"),
    "t2_ch": replace(_T2, spatial="none", last="as_before"),
    "t2_ch_sp": replace(_T2, last="as_before"),
    "t2_2282": replace(_T2, depths=(2, 2, 8, 2)),
    # another convolution in the place of PAT_ch
    "t2_conv": replace(_T2, mixer="conv"),
    "t2_dwconv": replace(_T2, mixer="dwconv", width=72),
    # conventional channel attention in the place of the enhanced one
    "t2_srm": replace(_T2, mixer="pat_srm"),
    "t2_se": replace(_T2, mixer="pat_se"),
}
"""Every ablation of the two papers, as a change of PartialNet-T2.

The rows decide what the text leaves open. "Full" attention keeps the partial convolution (F-P-P
has 13.0 M only then). Without PAT_sf, stage 4 has PAT_ch. The squeeze-and-excitation row needs a
reduction of 4. The widened depthwise row is not described, and no uniform widening alone has both
its figures. 72 instead of 64 channels, with the Gaussian attention over all of them, is the
plainest of about forty combinations that do in a search over widths and parts, and only with
PAT_sp unmerged (15.77 M, 1.280 G; published 15.8 M, 1.28 G): a fit to two numbers, not a finding.
"""


Model = TypeVar("Model", bound=nn.Module)


def merge_pat_sp(model: Model) -> Model:
    """A copy in which every PAT_sp's 1x1 convolution has become part of the MLP before it.

    Exact in evaluation mode, on any device including meta. Raises UsageError for a model in
    training mode, whose batch statistics are not settled.
    """
    if model.training:
        raise UsageError("PAT_sp merges in evaluation mode only; call model.eval() first")
    model = copy.deepcopy(model)
    for module in model.modules():
        if isinstance(module, PartialNetBlock):
            module.merge_spatial()
    return model


def partialnet(
    variant: str,
    depths: str | Depths | None = None,
    ratios: Sequence[float] | None = None,
    merged: bool = False,
    grid: tuple[int, int] = (7, 7),
    classes: int = 1000,
) -> PartialNet:
    """A published size or ablation.

    `depths`: four numbers, "patnet" or "partialnet" for what those papers print, None for what
    reproduces their figures. `ratios`: split ratio per block. `merged`: PAT_sp inside the MLP, as
    deployed and as the published multiply-accumulates are counted. `grid`: stage 4's map, an
    input's height and width over 32.
    """
    design = replace((DESIGNS | ABLATIONS)[variant], grid=grid)
    if isinstance(depths, str):
        if depths not in PRINTED_DEPTHS:
            raise UnknownNameError("depth setting", depths, PRINTED_DEPTHS)
        depths = PRINTED_DEPTHS[depths].get(variant, design.depths)
    if depths is not None:
        design = replace(design, depths=depths)
    if ratios is not None:
        design = replace(design, ratios=tuple(ratios))
    model = PartialNet(design, classes).eval()
    return merge_pat_sp(model) if merged else model


for _variant in DESIGNS | ABLATIONS:
    register(f"partialnet_{_variant}", partial(partialnet, _variant))
    register(f"partialnet_{_variant}_merged", partial(partialnet, _variant, merged=True))
